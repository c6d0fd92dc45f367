#include "users/user_service.hpp"

#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "http/auth.hpp"
#include "users/users_test_support.hpp"

namespace quittance::users {
namespace {

using namespace std::chrono_literals;

constexpr const char* pass_phrase = "three blue kettles";

/// The service on a real database, with every thread replaced by a step of the test.
class UserServiceTest : public testing::Test {
protected:
    /// Works until nothing is left to do.
    void settle() {
        while (writers_.step(writer_) || readers_.step(reader_) || hasher_.step()) {
        }
    }
    template <class T, class Call>
    Result<T> answer(Call call) {
        std::optional<Result<T>> result;
        call([&](Result<T> given) { result = std::move(given); });
        settle();
        return std::move(result).value();
    }

    Result<User> register_user(const std::string& email, const std::string& password = pass_phrase) {
        return answer<User>([&](auto done) {
            service_.register_user({"Ada", email, Secret(password)}, std::move(done));
        });
    }
    Result<Tokens> login(const std::string& email, const std::string& password = pass_phrase,
                         const std::string& network = "192.0.2.1") {
        return answer<Tokens>([&](auto done) {
            service_.login({email, Secret(password), network}, std::move(done));
        });
    }
    Result<Tokens> refresh(const std::string& token) {
        return answer<Tokens>([&](auto done) { service_.refresh(Secret(token), std::move(done)); });
    }
    void logout(const std::string& token) {
        EXPECT_TRUE(answer<Done>([&](auto done) { service_.logout(Secret(token), std::move(done)); }).ok());
    }
    std::string refresh_token_of(const Result<Tokens>& tokens) {
        EXPECT_TRUE(tokens.ok()) << tokens.error().detail;
        return tokens->refresh_token.reveal();
    }
    std::string logged_in(const std::string& email) { return refresh_token_of(login(email)); }
    std::int64_t rows_in(const std::string& table) {
        return std::get<0>(reader_.select<std::int64_t>("SELECT COUNT(*) FROM " + table).front());
    }

    TestFolder folder_;
    ManualClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
    telemetry::Metrics metrics_;
    OrdersDatabase database_;
    db::Session writer_{database_.options()};
    db::Session reader_{database_.options()};
    db::Scheduler writers_{clock_};
    db::Scheduler readers_{clock_};
    PasswordHasherOptions hashing_{.cost = {.memory_kib = 8, .passes = 1}, .threads = 0, .max_queued = 16};
    PasswordHasher hasher_{hashing_};
    TokenIssuer issuer_{{SigningKey::load_or_create(folder_ / "key.pem")}, {}, clock_, random_};
    http::StaticKeySource keys_{issuer_.jwks()};
    http::JwtVerifier verifier_{keys_, clock_, {issuer_.names().issuer, issuer_.names().audience}};
    UserService service_{writers_, readers_, writer_.dialect(), hasher_, issuer_, ids_,
                         random_,  clock_,   metrics_};
};

TEST_F(UserServiceTest, who_registers_can_log_in_whatever_the_case_of_the_address) {
    const auto user = register_user(" Ada@Example.com ");
    ASSERT_TRUE(user.ok());
    EXPECT_EQ(user->email, "ada@example.com");
    EXPECT_EQ(user->role, Role::customer);
    EXPECT_EQ(user->created_at, clock_.now());
    const auto tokens = login("ADA@example.COM\t");
    ASSERT_TRUE(tokens.ok());
    EXPECT_EQ(tokens->expires_in, 15min);
    EXPECT_EQ(*verifier_.verify(tokens->access_token), (Principal{user->id, Role::customer}));
}

TEST_F(UserServiceTest, a_registration_that_breaks_rules_is_refused_before_any_work) {
    const auto refused = register_user("nobody", "short");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid);
    EXPECT_EQ(refused.error().faults.size(), 2U);
    EXPECT_EQ(rows_in("users"), 0);
}

TEST_F(UserServiceTest, one_address_is_registered_once_and_neighbours_in_the_batch_do_not_suffer) {
    std::vector<std::optional<Result<User>>> results(4);
    const std::vector<std::string> emails{"a@x.de", "b@x.de", "A@X.de", "c@x.de"};
    for (std::size_t i = 0; i < emails.size(); ++i) {
        service_.register_user({"Ada", emails[i], Secret(pass_phrase)},
                               [&results, i](Result<User> result) { results[i] = std::move(result); });
    }
    settle();
    for (const std::size_t accepted : {0U, 1U, 3U})
        EXPECT_TRUE(results[accepted]->ok()) << accepted;
    ASSERT_FALSE(results[2]->ok());
    EXPECT_EQ(results[2]->error().code, ErrorCode::conflict);
    EXPECT_EQ(register_user("b@x.de").error().code, ErrorCode::conflict);
    EXPECT_EQ(rows_in("users"), 3);
}

TEST_F(UserServiceTest, a_wrong_password_and_an_unknown_address_get_the_same_answer) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < 9; ++i) {
        const auto wrong = login("ada@example.com", "three blue kettle");
        const auto unknown = login("bob@example.com");
        ASSERT_FALSE(wrong.ok());
        ASSERT_FALSE(unknown.ok());
        EXPECT_EQ(wrong.error().code, unknown.error().code) << i;
        EXPECT_EQ(wrong.error().detail, unknown.error().detail) << i;
        EXPECT_EQ(wrong.error().retry_after_s, unknown.error().retry_after_s) << i;
    }
    EXPECT_EQ(login("not an address").error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(login("").error().code, ErrorCode::unauthenticated);
}

TEST_F(UserServiceTest, after_five_failures_an_account_waits_longer_and_longer_until_a_success) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(login("ada@example.com", "wrong pass phrase").error().code, ErrorCode::unauthenticated)
            << i;
    }
    const auto delayed = login("ada@example.com");
    ASSERT_FALSE(delayed.ok()) << "even the right password has to wait";
    EXPECT_EQ(delayed.error().code, ErrorCode::rate_limited);
    EXPECT_EQ(delayed.error().retry_after_s, 1);
    clock_.advance(1s);
    EXPECT_EQ(login("ada@example.com", "wrong pass phrase").error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(login("ada@example.com").error().retry_after_s, 2);
    clock_.advance(2s);
    EXPECT_TRUE(login("ada@example.com").ok());
    EXPECT_EQ(rows_in("login_failures"), 0);
    EXPECT_EQ(login("ada@example.com", "wrong pass phrase").error().code, ErrorCode::unauthenticated);
    EXPECT_TRUE(login("ada@example.com").ok());
}

TEST_F(UserServiceTest, failures_of_others_keep_the_owner_of_an_account_neither_out_nor_waiting) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < 15; ++i)
        EXPECT_FALSE(login("ada@example.com", "wrong pass phrase", "203.0.113.9").ok());
    EXPECT_EQ(login("ada@example.com", pass_phrase, "203.0.113.9").error().code, ErrorCode::rate_limited);
    EXPECT_TRUE(login("ada@example.com", pass_phrase, "198.51.100.7").ok());
    EXPECT_EQ(login("ada@example.com", pass_phrase, "203.0.113.9").error().code, ErrorCode::rate_limited)
        << "the owner's success forgives nothing that others did";
}

TEST_F(UserServiceTest, an_attack_from_many_machines_slows_them_down_and_not_the_owner) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < failures_of_an_attack; ++i) {
        EXPECT_EQ(
            login("ada@example.com", "wrong pass phrase", "203.0.113." + std::to_string(i)).error().code,
            ErrorCode::unauthenticated);
    }
    const std::string fresh = "198.51.100.66";
    EXPECT_EQ(login("ada@example.com", "wrong pass phrase", fresh).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(login("ada@example.com", "wrong pass phrase", fresh).error().retry_after_s, 60);
    EXPECT_TRUE(login("ada@example.com", pass_phrase, "198.51.100.7").ok());
}

TEST_F(UserServiceTest, an_operator_lets_an_account_in_again) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < 6; ++i) {
        EXPECT_FALSE(login("ada@example.com", "wrong pass phrase").ok());
        EXPECT_FALSE(login("bob@example.com").ok());
    }
    EXPECT_EQ(login("ada@example.com").error().code, ErrorCode::rate_limited);
    EXPECT_EQ(unlock_user(writer_, " ADA@example.com"), 1);
    EXPECT_TRUE(login("ada@example.com").ok());
    EXPECT_EQ(login("bob@example.com").error().code, ErrorCode::rate_limited) << "no other account";
    EXPECT_EQ(unlock_user(writer_, "ada@example.com"), 0);
}

TEST_F(UserServiceTest, a_password_is_the_same_however_its_letters_were_composed) {
    const std::string composed = "caf\u00e9 au lait";
    const std::string decomposed = "cafe\u0301 au lait";
    ASSERT_TRUE(register_user("ada@example.com", decomposed).ok());
    EXPECT_TRUE(login("ada@example.com", composed).ok());
    EXPECT_TRUE(login("ada@example.com", decomposed).ok());
    EXPECT_FALSE(login("ada@example.com", "cafe au lait").ok());
}

TEST_F(UserServiceTest, a_password_that_was_hashed_as_it_was_typed_is_accepted_and_hashed_again) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string decomposed = "cafe\u0301 au lait";
    writer_.execute("UPDATE users SET password_hash = :hash", {hasher_.hash_now(Secret(decomposed)).value()});
    EXPECT_FALSE(login("ada@example.com", "caf\u00e9 au lait").ok());
    EXPECT_TRUE(login("ada@example.com", decomposed).ok());
    EXPECT_TRUE(login("ada@example.com", "caf\u00e9 au lait").ok()) << "it was hashed again";
}

TEST_F(UserServiceTest, guessing_at_the_same_time_is_no_way_around_the_delay) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    std::map<ErrorCode, int> answers;
    for (int i = 0; i < 12; ++i) {
        service_.login({"ada@example.com", Secret("wrong pass phrase")},
                       [&](Result<Tokens> result) { ++answers[result.error().code]; });
    }
    settle();
    EXPECT_EQ(answers[ErrorCode::unauthenticated], 5);
    EXPECT_EQ(answers[ErrorCode::rate_limited], 7);
}

TEST_F(UserServiceTest, outcomes_of_one_account_in_one_batch_count_in_their_order) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    int answered = 0;
    for (const char* password :
         {"wrong pass phrase", pass_phrase, "wrong pass phrase", "wrong pass phrase"}) {
        service_.login({"ada@example.com", Secret(password)}, [&](const Result<Tokens>&) { ++answered; });
    }
    settle();
    EXPECT_EQ(answered, 4);
    const auto failures = reader_.select<std::int64_t>("SELECT failures FROM login_failures");
    ASSERT_EQ(failures.size(), 2U) << "of the account and of the source";
    for (const auto& [count] : failures)
        EXPECT_EQ(count, 2) << "the success between wiped out the first failure";
}

TEST_F(UserServiceTest, a_password_hashed_at_an_older_cost_is_hashed_again_at_log_in) {
    const PasswordHasher older({.cost = {.memory_kib = 16, .passes = 1}, .threads = 0});
    const auto made = create_user(writer_, older, ids_, random_, clock_,
                                  {"Ada", "ada@example.com", Secret(pass_phrase), Role::customer});
    ASSERT_TRUE(made.ok());
    const auto stored = [&] {
        return std::get<0>(reader_.select<std::string>("SELECT password_hash FROM users")[0]);
    };
    EXPECT_NE(stored().find("m=16,"), std::string::npos);
    EXPECT_TRUE(login("ada@example.com").ok());
    EXPECT_NE(stored().find("m=8,"), std::string::npos);
    EXPECT_TRUE(login("ada@example.com").ok());
}

TEST_F(UserServiceTest, a_refresh_gives_new_tokens_with_the_role_of_today) {
    const auto user = register_user("ada@example.com");
    const std::string first = logged_in("ada@example.com");
    writer_.execute("UPDATE users SET role = 'ADMIN'");
    clock_.advance(20min);
    const auto refreshed = refresh(first);
    ASSERT_TRUE(refreshed.ok());
    EXPECT_NE(refreshed->refresh_token.reveal(), first);
    EXPECT_EQ(*verifier_.verify(refreshed->access_token), (Principal{user->id, Role::admin}));
    EXPECT_TRUE(refresh(refreshed->refresh_token.reveal()).ok());
    EXPECT_EQ(rows_in("refresh_tokens"), 1);
}

TEST_F(UserServiceTest, a_refresh_token_used_twice_ends_its_log_in_and_no_other) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string other = logged_in("ada@example.com");
    const std::string stolen = logged_in("ada@example.com");
    const std::string newest = refresh_token_of(refresh(refresh_token_of(refresh(stolen))));
    EXPECT_EQ(refresh(stolen).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(refresh(newest).error().code, ErrorCode::unauthenticated);
    EXPECT_TRUE(refresh(other).ok());
}

TEST_F(UserServiceTest, a_refresh_token_used_twice_in_one_batch_ends_its_log_in_too) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string token = logged_in("ada@example.com");
    const std::string other = logged_in("ada@example.com");
    std::vector<std::string> given;
    int refused = 0;
    for (const std::string& text : {token, other, token}) {
        service_.refresh(Secret(text), [&](Result<Tokens> result) {
            if (result) {
                given.push_back(result->refresh_token.reveal());
            } else {
                ++refused;
            }
        });
    }
    settle();
    EXPECT_EQ(refused, 1);
    ASSERT_EQ(given.size(), 2U);
    EXPECT_FALSE(refresh(given[0]).ok()) << "the family is gone, with the token that it gave first";
    EXPECT_TRUE(refresh(given[1]).ok()) << "the neighbour is not";
}

TEST_F(UserServiceTest, refresh_tokens_end_after_30_days_without_use_and_at_log_out) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string idle = logged_in("ada@example.com");
    const std::string used = logged_in("ada@example.com");
    clock_.advance(29 * 24h);
    const std::string rotated = refresh_token_of(refresh(used));
    clock_.advance(24h);
    EXPECT_EQ(refresh(idle).error().code, ErrorCode::unauthenticated);
    const std::string again = refresh_token_of(refresh(rotated));
    logout(again);
    EXPECT_EQ(refresh(again).error().code, ErrorCode::unauthenticated);
    logout(again);
    logout("");
    logout("nonsense");
}

TEST_F(UserServiceTest, an_older_token_of_a_log_in_can_log_it_out) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string older = logged_in("ada@example.com");
    const std::string newest = refresh_token_of(refresh(older));
    logout(older);
    EXPECT_FALSE(refresh(newest).ok());
}

TEST_F(UserServiceTest, refresh_tokens_that_nobody_gave_out_are_refused) {
    for (const std::string& text :
         {std::string(), std::string("x"), std::string(64, 'A'), std::string(65, 'A')}) {
        EXPECT_EQ(refresh(text).error().code, ErrorCode::unauthenticated) << text;
    }
}

TEST_F(UserServiceTest, only_hashes_of_secrets_are_stored) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    const std::string token = logged_in("ada@example.com");
    for (const auto& [family, hash] :
         reader_.select<std::string, std::string>("SELECT family_hash, token_hash FROM refresh_tokens")) {
        EXPECT_EQ(token.find(family), std::string::npos);
        EXPECT_EQ(hash, hash_for_storage(token));
    }
    EXPECT_EQ(
        reader_.select<std::string>("SELECT password_hash FROM users WHERE password_hash LIKE '%kettles%'")
            .size(),
        0U);
}

TEST_F(UserServiceTest, users_are_found_by_id) {
    const auto user = register_user("ada@example.com");
    const auto find = [&](UserId id) {
        return answer<User>([&](auto done) { service_.find(id, std::move(done)); });
    };
    EXPECT_EQ(*find(user->id), *user);
    EXPECT_EQ(find(ids_.generate<UserId>()).error().code, ErrorCode::not_found);
}

TEST_F(UserServiceTest, a_busy_hasher_refuses_without_counting_a_failure) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    for (int i = 0; i < 16; ++i)
        hasher_.hash(Secret("x"), [](const Result<std::string>&) {});
    std::optional<Result<Tokens>> refused;
    service_.login({"ada@example.com", Secret(pass_phrase)},
                   [&](Result<Tokens> r) { refused = std::move(r); });
    EXPECT_TRUE(readers_.step(reader_));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error().code, ErrorCode::overloaded);
    settle();
    EXPECT_EQ(rows_in("login_failures"), 0);
    EXPECT_TRUE(login("ada@example.com").ok());
}

TEST_F(UserServiceTest, housekeeping_forgets_what_has_ended) {
    ASSERT_TRUE(register_user("ada@example.com").ok());
    logged_in("ada@example.com");
    EXPECT_FALSE(login("bob@example.com").ok());
    service_.step();
    settle();
    EXPECT_EQ(rows_in("refresh_tokens"), 1);
    EXPECT_EQ(rows_in("login_failures"), 2);
    clock_.advance(30 * 24h);
    service_.step();
    settle();
    EXPECT_EQ(rows_in("refresh_tokens"), 0);
    EXPECT_EQ(rows_in("login_failures"), 0);
}

TEST_F(UserServiceTest, an_operator_creates_users_of_any_role_with_a_given_or_a_made_password) {
    const auto given = create_user(writer_, hasher_, ids_, random_, clock_,
                                   {"Boss", "Boss@Example.com", Secret(pass_phrase), Role::admin});
    ASSERT_TRUE(given.ok());
    EXPECT_FALSE(given->generated_password.has_value());
    EXPECT_EQ(given->user.email, "boss@example.com");
    const auto tokens = login("boss@example.com");
    ASSERT_TRUE(tokens.ok());
    EXPECT_EQ(verifier_.verify(tokens->access_token)->role, Role::admin);

    const auto made = create_user(writer_, hasher_, ids_, random_, clock_,
                                  {"Till", "till@example.com", Secret(), Role::service});
    ASSERT_TRUE(made.ok() && made->generated_password);
    EXPECT_EQ(made->generated_password->reveal().size(), 20U);
    EXPECT_TRUE(login("till@example.com", made->generated_password->reveal()).ok());

    EXPECT_EQ(
        create_user(writer_, hasher_, ids_, random_, clock_, {"B", "boss@example.com", Secret(), Role::admin})
            .error()
            .code,
        ErrorCode::conflict);
    EXPECT_EQ(create_user(writer_, hasher_, ids_, random_, clock_,
                          {"B", "b@example.com", Secret("password"), Role::admin})
                  .error()
                  .code,
              ErrorCode::invalid);
}

}  // namespace
}  // namespace quittance::users
