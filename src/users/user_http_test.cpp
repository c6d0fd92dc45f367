#include "users/user_http.hpp"

#include <algorithm>
#include <thread>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/manual_clock.hpp"
#include "http/handler_testing.hpp"
#include "users/users_test_support.hpp"

namespace quittance::users {
namespace {

namespace json = boost::json;
using http::Method;
using http::Request;
using http::Response;

constexpr const char* ada = R"({"name":"Ada","email":"Ada@example.com","password":"three blue kettles"})";
constexpr const char* adas_login = R"({"email":"ada@example.com","password":"three blue kettles"})";

/// The routes on a real database with real threads; only the server is missing.
class UserHttpTest : public testing::Test {
protected:
    UserHttpTest() { add_user_routes(router_, service_, issuer_, verifier_, limiter_); }
    ~UserHttpTest() override { hasher_.stop(); }

    Response call(Method method, const std::string& path, std::string body = "",
                  const std::string& token = "") {
        Request request{.method = method, .path = path, .body = std::move(body)};
        if (!token.empty()) request.headers.emplace_back("authorization", "Bearer " + token);
        return http::answer_of(router_, std::move(request), std::this_thread::yield);
    }
    Response post(const std::string& path, std::string body) {
        return call(Method::post, path, std::move(body));
    }

    static std::string header(const Response& response, std::string_view name) {
        const auto found = std::ranges::find(response.headers, name, &http::HeaderField::first);
        return found == response.headers.end() ? std::string() : found->second;
    }
    static std::vector<std::string> pointers(const Response& response) {
        std::vector<std::string> found;
        EXPECT_EQ(response.status, 422) << response.body;
        const auto body = json::parse(response.body);
        for (const auto& fault : body.at("errors").as_array()) {
            found.emplace_back(fault.at("pointer").as_string());
        }
        std::ranges::sort(found);
        return found;
    }
    static std::string member(const Response& response, std::string_view name) {
        return std::string(json::parse(response.body).at(name).as_string());
    }

    // Outlives the threads: one that has just answered may not have left it yet.
    TestFolder folder_;
    SystemClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
    telemetry::Metrics metrics_;
    OrdersDatabase database_;
    db::Scheduler scheduler_{clock_};
    PasswordHasherOptions hashing_{.cost = {.memory_kib = 8, .passes = 1}, .threads = 1, .max_queued = 16};
    PasswordHasher hasher_{hashing_};
    TokenIssuer issuer_{{SigningKey::load_or_create(folder_ / "key.pem")}, {}, clock_, random_};
    http::StaticKeySource keys_{issuer_.jwks()};
    http::JwtVerifier verifier_{keys_, clock_, {issuer_.names().issuer, issuer_.names().audience}};
    UserService service_{scheduler_, scheduler_, db::Dialect(database_.options().engine),
                         hasher_,    issuer_,    ids_,
                         random_,    clock_,     metrics_};
    // Stands still: how long the requests of a test take must not give an address new tokens.
    ManualClock limiter_clock_;
    http::AddressLimiter limiter_{{.per_second = 5}, limiter_clock_};
    http::Router router_;
    std::jthread worker_{[this](const std::stop_token& stop) {
        db::Session session(database_.options());
        scheduler_.run(session, stop);
    }};
};

TEST_F(UserHttpTest, an_address_that_tries_too_often_has_to_wait_whatever_it_sends) {
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(post("/users", "{}").status, 422);
        EXPECT_EQ(post("/users/login", "{}").status, 422);
    }
    for (const char* path : {"/users", "/users/login"}) {
        const Response refused = post(path, "{}");
        EXPECT_EQ(refused.status, 429);
        EXPECT_EQ(header(refused, "Retry-After"), "1");
    }
    EXPECT_EQ(post("/users/refresh", "{}").status, 422) << "costs no hash";
}

TEST_F(UserHttpTest, from_registration_to_log_out) {
    const Response registered = post("/users", ada);
    ASSERT_EQ(registered.status, 201) << registered.body;
    const auto user = json::parse(registered.body).as_object();
    EXPECT_EQ(user.size(), 5U);
    EXPECT_EQ(user.at("name").as_string(), "Ada");
    EXPECT_EQ(user.at("email").as_string(), "ada@example.com");
    EXPECT_EQ(user.at("role").as_string(), "CUSTOMER");
    EXPECT_EQ(user.at("createdAt").as_string().size(), 24U);
    EXPECT_TRUE(UserId::parse(std::string_view(user.at("id").as_string())));
    EXPECT_EQ(post("/users", ada).status, 409);

    const Response logged_in = post("/users/login", adas_login);
    ASSERT_EQ(logged_in.status, 200) << logged_in.body;
    EXPECT_EQ(member(logged_in, "tokenType"), "Bearer");
    EXPECT_EQ(json::parse(logged_in.body).at("expiresIn").as_int64(), 900);
    EXPECT_EQ(header(logged_in, "Cache-Control"), "no-store");

    const Response me = call(Method::get, "/users/me", "", member(logged_in, "token"));
    EXPECT_EQ(me.status, 200);
    EXPECT_EQ(me.body, registered.body);

    const std::string first = R"({"refreshToken":")" + member(logged_in, "refreshToken") + "\"}";
    const Response refreshed = post("/users/refresh", first);
    ASSERT_EQ(refreshed.status, 200) << refreshed.body;
    const std::string second = R"({"refreshToken":")" + member(refreshed, "refreshToken") + "\"}";
    EXPECT_EQ(post("/users/logout", second).status, 204);
    EXPECT_EQ(post("/users/logout", second).status, 204);
    EXPECT_EQ(post("/users/refresh", second).status, 401);
}

TEST_F(UserHttpTest, a_registration_names_every_fault) {
    EXPECT_EQ(pointers(post("/users", "{}")), (std::vector<std::string>{"/email", "/name", "/password"}));
    EXPECT_EQ(pointers(post("/users", R"({"name":"","email":"x","password":"y"})")),
              (std::vector<std::string>{"/email", "/name", "/password"}));
    EXPECT_EQ(pointers(post("/users", R"({"name":7,"email":"ada@example.com","password":"password"})")),
              (std::vector<std::string>{"/name", "/password"}));
    EXPECT_EQ(pointers(post("/users", "[]")), std::vector<std::string>{""});
    EXPECT_EQ(post("/users", "{").status, 400);
    EXPECT_EQ(post("/users", "").status, 400);
}

TEST_F(UserHttpTest, nobody_can_choose_their_role) {
    const Response refused =
        post("/users", R"({"name":"Ada","email":"a@b.c","password":"three blue kettles","role":"ADMIN"})");
    EXPECT_EQ(pointers(refused), std::vector<std::string>{"/role"});
}

TEST_F(UserHttpTest, a_nul_in_a_password_is_a_fault_and_not_the_end_of_it) {
    EXPECT_EQ(
        pointers(post("/users", R"({"name":"Ada","email":"a@b.c","password":"three blue\u0000 kettles"})")),
        std::vector<std::string>{"/password"});
}

TEST_F(UserHttpTest, log_in_answers_401_then_429_with_the_time_to_wait) {
    for (int i = 0; i < 5; ++i) {
        const Response refused = post("/users/login", adas_login);
        EXPECT_EQ(refused.status, 401);
        EXPECT_NE(header(refused, "WWW-Authenticate"), "");
    }
    const Response delayed = post("/users/login", adas_login);
    EXPECT_EQ(delayed.status, 429);
    EXPECT_EQ(header(delayed, "Retry-After"), "1");
}

TEST_F(UserHttpTest, bodies_of_log_in_refresh_and_log_out_are_strict) {
    EXPECT_EQ(pointers(post("/users/login", "{}")), (std::vector<std::string>{"/email", "/password"}));
    EXPECT_EQ(pointers(post("/users/login", R"({"email":"a","password":"b","otp":"1"})")),
              std::vector<std::string>{"/otp"});
    for (const char* path : {"/users/refresh", "/users/logout"}) {
        EXPECT_EQ(pointers(post(path, "{}")), std::vector<std::string>{"/refreshToken"});
        EXPECT_EQ(pointers(post(path, R"({"refreshToken":7})")), std::vector<std::string>{"/refreshToken"});
        EXPECT_EQ(post(path, "null x").status, 400);
    }
    EXPECT_EQ(post("/users/refresh", R"({"refreshToken":"nonsense"})").status, 401);
    EXPECT_EQ(post("/users/logout", R"({"refreshToken":"nonsense"})").status, 204);
}

TEST_F(UserHttpTest, only_a_user_with_a_token_is_somebody) {
    EXPECT_EQ(call(Method::get, "/users/me").status, 401);
    EXPECT_EQ(call(Method::get, "/users/me", "", "a.b.c").status, 401);
    const std::string orphan = issuer_.issue({ids_.generate<UserId>(), Role::admin});
    EXPECT_EQ(call(Method::get, "/users/me", "", orphan).status, 401) << "a token of a user who is gone";
}

TEST_F(UserHttpTest, the_public_keys_are_published_and_may_be_kept_for_a_while) {
    const Response keys = call(Method::get, "/.well-known/jwks.json");
    EXPECT_EQ(keys.status, 200);
    EXPECT_EQ(keys.body, issuer_.jwks());
    EXPECT_EQ(header(keys, "Cache-Control"), "public, max-age=300");
}

}  // namespace
}  // namespace quittance::users
