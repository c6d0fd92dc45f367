#include "http/google_tokens.hpp"

#include "http/token_testing.hpp"

namespace quittance::http {
namespace {

constexpr const char* audience = "https://payments.example.com/pubsub/push";
constexpr const char* account = "pusher@shop.iam.gserviceaccount.com";

class GoogleTokenTest : public testing::Test {
protected:
    GoogleTokenTest() : now_s_(to_ms(clock_.now()) / 1000) {}

    static json::object header() { return {{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "google"}}; }
    [[nodiscard]] json::object claims() const {
        return {{"iss", "https://accounts.google.com"},
                {"aud", audience},
                {"email", account},
                {"email_verified", true},
                {"iat", now_s_},
                {"exp", now_s_ + 3600}};
    }
    [[nodiscard]] std::string with_claim(std::string_view name, const json::value& value) const {
        json::object changed = claims();
        changed[name] = value;
        return rsa_.token(header(), changed);
    }
    void expect_refused(const std::string& token, const std::string& why) {
        const auto result = verifier_.verify(token);
        ASSERT_FALSE(result.ok()) << why;
        EXPECT_EQ(result.error().code, ErrorCode::unauthenticated) << why;
    }

    SystemClock clock_;
    const std::int64_t now_s_;
    const TestKey& rsa_ = TestKey::shared_rsa();
    const TestKey ec_ = TestKey::p256();
    CountingKeySource keys_{jwks({rsa_.jwk("google"), ec_.jwk("curve")})};
    GoogleTokenVerifier verifier_{keys_, clock_, {.audience = audience, .service_account = account}};
};

TEST_F(GoogleTokenTest, a_token_for_our_service_account_is_accepted) {
    EXPECT_TRUE(verifier_.verify(rsa_.token(header(), claims())).ok());
    EXPECT_TRUE(verifier_.verify(with_claim("iss", "accounts.google.com")).ok());
}

TEST_F(GoogleTokenTest, every_claim_counts) {
    expect_refused(with_claim("iss", "https://accounts.google.com/"), "another issuer");
    expect_refused(with_claim("aud", "https://payments.example.com/pubsub/push/"), "a longer audience");
    expect_refused(with_claim("aud", json::array{audience, "other"}), "a list of audiences");
    expect_refused(with_claim("email", "somebody@gmail.com"), "another account");
    expect_refused(with_claim("email_verified", false), "an account that nobody verified");
    expect_refused(with_claim("email_verified", "true"), "a text that says so");
    for (const char* name : {"iss", "aud", "email", "email_verified", "iat", "exp"}) {
        json::object changed = claims();
        changed.erase(name);
        expect_refused(rsa_.token(header(), changed), name);
    }
}

TEST_F(GoogleTokenTest, clocks_may_differ_by_a_minute) {
    EXPECT_TRUE(verifier_.verify(with_claim("exp", now_s_ - 50)).ok());
    expect_refused(with_claim("exp", now_s_ - 61), "expired");
    EXPECT_TRUE(verifier_.verify(with_claim("iat", now_s_ + 50)).ok());
    expect_refused(with_claim("iat", now_s_ + 70), "issued in the future");
}

TEST_F(GoogleTokenTest, a_signature_that_was_removed_is_none) {
    const std::string good = rsa_.token(header(), claims());
    expect_refused(good.substr(0, good.rfind('.')) + ".SIGNATURE_REMOVED_BY_GOOGLE", "stripped");
    expect_refused(TestKey::rsa(2048).token(header(), claims()), "signed by somebody else");
}

TEST_F(GoogleTokenTest, only_rs256_is_looked_at) {
    json::object head = header();
    head["alg"] = "ES256";
    head["kid"] = "curve";
    expect_refused(ec_.token(head, claims()), "a good signature with a key of another kind");
    for (const char* algorithm : {"HS256", "none", "RS512", ""}) {
        head["alg"] = algorithm;
        head["kid"] = "google";
        expect_refused(rsa_.token(head, claims()), algorithm);
    }
    EXPECT_EQ(keys_.searches, 0) << "no key is looked for before the algorithm is right";
}

}  // namespace
}  // namespace quittance::http
