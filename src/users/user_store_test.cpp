#include "users/user_store.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "users/users_test_support.hpp"

namespace quittance::users {
namespace {

using namespace std::chrono_literals;

class UserStoreTest : public testing::Test {
protected:
    [[nodiscard]] StoredUser user(const std::string& email) {
        return {
            {ids_.generate<UserId>(), "Ada '); DROP TABLE users; -- 李", email, Role::customer, clock_.now()},
            "$argon2id$of " + email};
    }
    [[nodiscard]] StoredFamily family(const std::string& name, const StoredUser& holder) const {
        return {hash_for_storage(name),
                {hash_for_storage(name + " token"), clock_.now() + 1h},
                {holder.user.id, holder.user.role},
                clock_.now()};
    }
    std::vector<bool> insert(const std::vector<StoredUser>& users) { return store_.insert(session_, users); }

    OrdersDatabase database_;
    ManualClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
    db::Session session_{database_.options()};
    const UserStore store_{session_.dialect()};
};

TEST_F(UserStoreTest, users_are_found_as_they_were_stored) {
    const StoredUser ada = user("ada@example.com");
    StoredUser admin = user("admin@example.com");
    admin.user.role = Role::admin;
    EXPECT_EQ(insert({ada, admin}), (std::vector<bool>{true, true}));
    const UserId stranger = ids_.generate<UserId>();
    const auto by_id = store_.find(session_, std::vector{ada.user.id, stranger, admin.user.id, ada.user.id});
    ASSERT_EQ(by_id.size(), 2U);
    EXPECT_EQ(by_id.at(ada.user.id), ada.user);
    EXPECT_EQ(by_id.at(admin.user.id), admin.user);
    const auto by_email =
        store_.find_by_email(session_, std::vector<std::string>{"admin@example.com", "nobody@example.com"});
    ASSERT_EQ(by_email.size(), 1U);
    EXPECT_EQ(by_email.at("admin@example.com").user, admin.user);
    EXPECT_EQ(by_email.at("admin@example.com").password_hash, admin.password_hash);
}

TEST_F(UserStoreTest, a_taken_address_disturbs_no_neighbour) {
    EXPECT_EQ(insert({user("a@x")}), std::vector<bool>{true});
    EXPECT_EQ(insert({user("b@x"), user("a@x"), user("c@x"), user("b@x")}),
              (std::vector<bool>{true, false, true, false}));
    EXPECT_EQ(insert({user("a@x"), user("b@x")}), (std::vector<bool>{false, false}));
    EXPECT_EQ(session_.select<std::string>("SELECT email FROM users ORDER BY email").size(), 3U);
}

TEST_F(UserStoreTest, of_many_who_register_the_same_addresses_at_once_each_address_goes_to_one) {
    constexpr int addresses = 40;
    std::atomic<int> stored = 0;
    {
        std::vector<std::jthread> registrations;
        for (int thread = 0; thread < 6; ++thread) {
            registrations.emplace_back([&, thread] {
                const auto session = database_.connect();
                std::vector<StoredUser> users;
                for (int i = 0; i < addresses; ++i)
                    users.push_back(user(std::to_string((i * (thread + 1)) % (addresses + 1)) + "@x"));
                db::Transaction transaction(*session);
                const auto is_stored = store_.insert(*session, users);
                transaction.commit();
                stored += static_cast<int>(std::ranges::count(is_stored, true));
            });
        }
    }
    const auto rows = session_.select<std::int64_t>("SELECT COUNT(*) FROM users");
    EXPECT_EQ(stored, std::get<0>(rows.at(0)));
}

TEST_F(UserStoreTest, the_database_refuses_what_the_rules_refuse) {
    StoredUser nameless = user("a@x");
    nameless.user.name.clear();
    EXPECT_THROW(insert({nameless}), StorageRejected);
    EXPECT_THROW(insert({user(std::string(255, 'x'))}), StorageRejected);
    EXPECT_THROW(
        session_.execute("INSERT INTO users VALUES ('0190a0b0-0000-7000-8000-000000000001', 'n', 'e@x', "
                         "'ROOT', 'h', 1)"),
        StorageRejected);
}

TEST_F(UserStoreTest, password_hashes_can_be_replaced) {
    const StoredUser ada = user("a@x");
    const StoredUser bob = user("b@x");
    insert({ada, bob});
    store_.set_password_hashes(session_, std::vector<std::pair<UserId, std::string>>{{ada.user.id, "new"}});
    const auto found = store_.find_by_email(session_, std::vector<std::string>{"a@x", "b@x"});
    EXPECT_EQ(found.at("a@x").password_hash, "new");
    EXPECT_EQ(found.at("b@x").password_hash, bob.password_hash);
}

TEST_F(UserStoreTest, failures_are_kept_per_address_and_cleared) {
    const std::vector<std::string> both{hash_for_storage("a@x"), hash_for_storage("b@x")};
    EXPECT_TRUE(store_.login_failures(session_, both).empty());
    auto failures = store_.lock_login_failures(session_, both, both);
    ASSERT_EQ(failures.size(), 2U);
    for (auto& [hash, failed] : failures) {
        EXPECT_EQ(failed.count, 0);
        failed = with_login_failure(failed, clock_.now());
    }
    store_.put_login_failures(session_, failures);
    EXPECT_EQ(store_.lock_login_failures(session_, both, both).at(both[0]).count, 1);
    store_.clear_login_failures(session_, std::vector{both[0]});
    const auto left = store_.login_failures(session_, both);
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left.at(both[1]).last_at, clock_.now());
}

TEST_F(UserStoreTest, families_of_refresh_tokens_are_stored_updated_and_removed) {
    const StoredUser ada = user("a@x");
    insert({ada});
    const StoredFamily first = family("first", ada);
    const StoredFamily second = family("second", ada);
    store_.insert_families(session_, std::vector{first, second});
    const std::vector<std::string> hashes{first.family_hash, second.family_hash, hash_for_storage("unknown")};
    auto found = store_.lock_families(session_, hashes);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found.at(first.family_hash).principal, first.principal);
    EXPECT_EQ(found.at(first.family_hash).family.expires_at, first.family.expires_at);
    EXPECT_EQ(found.at(first.family_hash).created_at, first.created_at);

    StoredFamily rotated = first;
    rotated.family = {hash_for_storage("next"), clock_.now() + 2h};
    store_.update_families(session_, std::vector{rotated});
    store_.remove_families(session_, std::vector{second.family_hash});
    found = store_.lock_families(session_, hashes);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.at(first.family_hash).family.current_token_hash, hash_for_storage("next"));
    EXPECT_EQ(found.at(first.family_hash).family.expires_at, clock_.now() + 2h);
}

TEST_F(UserStoreTest, purging_removes_what_has_ended_and_nothing_else) {
    const StoredUser ada = user("a@x");
    insert({ada});
    StoredFamily old = family("old", ada);
    old.family.expires_at = clock_.now() + 1min;
    store_.insert_families(session_, std::vector{old, family("new", ada)});
    const std::vector<std::string> both{hash_for_storage("a@x"), hash_for_storage("b@x")};
    static_cast<void>(store_.lock_login_failures(session_, both, both));
    store_.put_login_failures(session_,
                              {{both[0], {3, clock_.now() - 1h + 1min}}, {both[1], {3, clock_.now()}}});
    EXPECT_FALSE(store_.purge(session_, clock_.now() + 1min));
    EXPECT_EQ(session_.select<std::string>("SELECT family_hash FROM refresh_tokens").size(), 1U);
    EXPECT_EQ(store_.login_failures(session_, both).size(), 1U);
    EXPECT_EQ(store_.find(session_, std::vector{ada.user.id}).size(), 1U);
}

TEST_F(UserStoreTest, purging_takes_a_limited_number_at_once_and_says_when_more_is_left) {
    const StoredUser ada = user("a@x");
    insert({ada});
    std::vector<StoredFamily> families;
    for (int i = 0; i < 2'500; ++i)
        families.push_back(family(std::to_string(i), ada));
    store_.insert_families(session_, families);
    const Timestamp later = families.front().family.expires_at + 1min;
    const auto left = [&] {
        return std::get<0>(session_.select<std::int64_t>("SELECT COUNT(*) FROM refresh_tokens").at(0));
    };
    EXPECT_TRUE(store_.purge(session_, later));
    EXPECT_EQ(left(), 500);
    EXPECT_FALSE(store_.purge(session_, later));
    EXPECT_EQ(left(), 0);
}

}  // namespace
}  // namespace quittance::users
