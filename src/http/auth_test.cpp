#include "http/auth.hpp"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "core/random.hpp"
#include "http/token_testing.hpp"

namespace quittance {

void PrintTo(const Error& error, std::ostream* out) {
    *out << error.detail;
}

namespace http {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* issuer = "https://shop.example";
constexpr const char* audience = "quittance";
constexpr const char* user = "0190a0b0-0000-7000-8000-000000000001";
constexpr std::int64_t now_s = 1'800'000'000;

class FixedClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return time; }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }

    Timestamp time = timestamp_from_ms(now_s * 1000);
};

class JwtVerifierTest : public testing::Test {
protected:
    static json::object header(std::string_view algorithm = "ES256", std::string_view kid = "ec") {
        return {{"alg", algorithm}, {"typ", "at+jwt"}, {"kid", kid}};
    }
    static json::object claims() {
        return {{"iss", issuer}, {"aud", audience}, {"sub", user},        {"role", "CUSTOMER"},
                {"iat", now_s},  {"nbf", now_s},    {"exp", now_s + 900}, {"jti", "1"}};
    }
    static std::string token(const json::object& header, const json::value& claims, const TestKey& key) {
        return key.token(header, claims);
    }
    [[nodiscard]] std::string good_token() const { return token(header(), claims(), ec_); }

    /// A good token after one change to its claims, signed all the same.
    [[nodiscard]] std::string with_claim(std::string_view name, const json::value& value) const {
        json::object changed = claims();
        changed[name] = value;
        return token(header(), changed, ec_);
    }
    [[nodiscard]] std::string without_claim(std::string_view name) const {
        json::object changed = claims();
        changed.erase(name);
        return token(header(), changed, ec_);
    }
    [[nodiscard]] std::string with_header(std::string_view name, const json::value& value) const {
        json::object changed = header();
        changed[name] = value;
        return token(changed, claims(), ec_);
    }

    void expect_refused(const std::string& text, const char* why) {
        const auto result = verifier_.verify(text);
        ASSERT_FALSE(result.ok()) << why;
        EXPECT_EQ(result.error().code, ErrorCode::unauthenticated) << why;
    }
    void expect_accepted(const std::string& text, const char* why) {
        const auto result = verifier_.verify(text);
        ASSERT_TRUE(result.ok()) << why << ": " << result.error().detail;
        EXPECT_EQ(*result, (Principal{*UserId::parse(user), Role::customer})) << why;
    }

    const TestKey ec_ = TestKey::p256();
    const TestKey& rsa_ = TestKey::shared_rsa();
    const TestKey stranger_ = TestKey::p256();
    FixedClock clock_;
    CountingKeySource keys_{jwks({ec_.jwk("ec"), rsa_.jwk("rsa")})};
    JwtVerifier verifier_{keys_, clock_, {.issuer = issuer, .audience = audience, .cached_tokens = 64}};
};

TEST_F(JwtVerifierTest, tokens_signed_by_a_known_key_name_their_holder) {
    expect_accepted(good_token(), "ES256");
    expect_accepted(token(header("RS256", "rsa"), claims(), rsa_), "RS256");
    expect_accepted(with_header("typ", "application/at+jwt"), "the long form of typ");
    expect_accepted(with_claim("aud", json::array{"other", audience}), "one of several audiences");
    expect_accepted(without_claim("nbf"), "nbf is optional");
    expect_accepted(with_claim("exp", static_cast<double>(now_s) + 900.5), "dates may have a fraction");
}

TEST_F(JwtVerifierTest, the_role_comes_from_the_token) {
    EXPECT_EQ(verifier_.verify(with_claim("role", "ADMIN"))->role, Role::admin);
    EXPECT_EQ(verifier_.verify(with_claim("role", "SERVICE"))->role, Role::service);
    expect_refused(with_claim("role", "ROOT"), "an unknown role");
    expect_refused(with_claim("role", 1), "a role that is no text");
    expect_refused(without_claim("role"), "no role");
    expect_refused(with_claim("sub", "somebody"), "a holder that is no id");
    expect_refused(without_claim("sub"), "no holder");
}

TEST_F(JwtVerifierTest, a_token_cannot_choose_its_algorithm) {
    const std::string claims_part = base64url(json::serialize(claims()));
    for (const char* none : {"none", "None", "NONE", ""}) {
        const std::string unsigned_token = base64url(json::serialize(header(none))) + "." + claims_part + ".";
        expect_refused(unsigned_token, "no signature");
        expect_refused(unsigned_token + "AA", "none with a signature");
    }
    expect_refused(with_header("alg", "RS256"), "RS256 claimed for a P-256 key");
    expect_refused(with_header("alg", "ES384"), "an algorithm that is not ours");
    expect_refused(token(header("ES256", "rsa"), claims(), ec_), "the kid of the RSA key");
    expect_refused(token(header("PS256", "rsa"), claims(), rsa_), "PS256 claimed for an RS256 signature");
}

TEST_F(JwtVerifierTest, a_public_key_is_no_shared_secret) {
    const std::vector<std::string> public_texts{json::serialize(ec_.jwk("ec")),
                                                ec_.jwk("ec")["x"].as_string().c_str(),
                                                json::serialize(rsa_.jwk("rsa"))};
    for (const char* kid : {"ec", "rsa"}) {
        for (const std::string& secret : public_texts) {
            const std::string text =
                base64url(json::serialize(header("HS256", kid))) + "." + base64url(json::serialize(claims()));
            std::array<unsigned char, 32> mac{};
            HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                 reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), nullptr);
            expect_refused(text + "." + to_base64url(std::as_bytes(std::span(mac))),
                           "HS256 with a public key");
        }
    }
}

TEST_F(JwtVerifierTest, keys_that_a_token_brings_along_are_not_looked_at) {
    for (const char* kid : {"ec", "stranger"}) {
        json::object head = header("ES256", kid);
        head["jwk"] = stranger_.jwk(kid);
        head["jku"] = "https://attacker.example/jwks.json";
        head["x5u"] = "https://attacker.example/cert.pem";
        head["x5c"] = json::array{"AAAA"};
        expect_refused(token(head, claims(), stranger_), "signed with the key that it brings");
    }
    expect_accepted(with_header("jku", "https://attacker.example/jwks.json"), "and they do no harm either");
    expect_refused(token(header(), claims(), stranger_), "signed by a stranger under a known kid");
    expect_refused(with_header("kid", "unknown"), "an unknown kid");
    expect_refused(with_header("kid", 7), "a kid that is no text");
}

TEST_F(JwtVerifierTest, other_kinds_of_tokens_do_not_pass_for_access_tokens) {
    for (const char* type : {"JWT", "at+jwt ", "AT+JWT;x", "", "logout+jwt", "application/jwt"}) {
        expect_refused(with_header("typ", type), type);
    }
    json::object head = header();
    head.erase("typ");
    expect_refused(token(head, claims(), ec_), "no typ");
    expect_refused(with_header("crit", json::array{"exp"}), "a critical extension");
}

TEST_F(JwtVerifierTest, issuer_and_audience_must_be_ours) {
    expect_refused(with_claim("iss", "https://shop.example/"), "another issuer");
    expect_refused(without_claim("iss"), "no issuer");
    expect_refused(with_claim("aud", "Quittance"), "another audience");
    expect_refused(with_claim("aud", json::array{"other", 1}), "other audiences");
    expect_refused(with_claim("aud", json::array{}), "no audience in the list");
    expect_refused(without_claim("aud"), "no audience");
}

TEST_F(JwtVerifierTest, a_token_is_good_until_exp_and_from_ten_minutes_before_nbf) {
    expect_refused(with_claim("exp", now_s), "just expired");
    expect_refused(with_claim("exp", now_s - 1), "expired a second ago");
    expect_accepted(with_claim("exp", now_s + 1), "a second left");
    expect_accepted(with_claim("exp", now_s + 16 * 60), "a minute for clocks that differ");
    expect_refused(with_claim("exp", now_s + 16 * 60 + 1), "a longer life than the issuer gives");
    expect_refused(without_claim("exp"), "no end");
    expect_refused(with_claim("exp", "2100-01-01"), "an end that is no number");
    expect_refused(with_claim("exp", 1e300), "an end beyond all calendars");
    expect_refused(with_claim("exp", -1), "an end before 1970");
    expect_accepted(with_claim("nbf", now_s + 600), "an issuer whose clock is ten minutes ahead");
    expect_refused(with_claim("nbf", now_s + 601), "not yet valid");
    expect_refused(with_claim("nbf", "now"), "a start that is no number");
}

TEST_F(JwtVerifierTest, a_fresh_token_of_an_issuer_whose_clock_differs_by_up_to_ten_minutes_is_good) {
    const auto issued_at = [&](std::int64_t issued_s) {
        json::object changed = claims();
        changed["iat"] = changed["nbf"] = issued_s;
        changed["exp"] = issued_s + 900;
        return token(header(), changed, ec_);
    };
    for (const std::int64_t minutes : {-10, -2, 0, 2, 10})
        expect_accepted(issued_at(now_s + minutes * 60), std::to_string(minutes).c_str());
    expect_refused(issued_at(now_s + 11 * 60), "eleven minutes ahead");
    json::object endless = claims();
    endless["iat"] = now_s + 900;
    endless["exp"] = now_s + 2 * 900;
    expect_refused(token(header(), endless, ec_), "a start in the future does not lengthen a life");
    endless.erase("iat");
    endless["exp"] = now_s + 16 * 60 + 1;
    expect_refused(token(header(), endless, ec_), "no iat, and a longer life than the issuer gives");
}

TEST_F(JwtVerifierTest, every_change_to_a_signed_token_is_noticed) {
    const std::string good = good_token();
    const std::size_t last = good.size() - 1;
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string changed = good;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        if (changed[i] == good[i]) continue;
        EXPECT_FALSE(verifier_.verify(changed).ok()) << "at byte " << i << " of " << last;
    }
}

TEST_F(JwtVerifierTest, a_token_has_exactly_one_text) {
    const std::string good = good_token();
    const std::size_t first_dot = good.find('.');
    expect_refused("", "nothing");
    expect_refused(".", "one dot");
    expect_refused("..", "two dots");
    expect_refused(good + ".", "a dot at the end");
    expect_refused(good + ".AA", "a fourth part");
    expect_refused("." + good, "a dot at the start");
    expect_refused(good.substr(0, good.rfind('.')), "two parts");
    expect_refused(good + "=", "padding");
    expect_refused(good + "==", "more padding");
    expect_refused(good + "A", "one more character");
    expect_refused(good + " ", "a space at the end");
    expect_refused("\n" + good, "a line break at the start");
    expect_refused(good.substr(0, 5) + "\n" + good.substr(5), "a line break inside");
    expect_refused(good.substr(0, first_dot) + "==" + good.substr(first_dot), "padding inside");
    // 64 bytes leave four bits of the last character unused; only zeros are accepted there.
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string twin = good;
    twin.back() = alphabet[alphabet.find(good.back()) + 1];
    expect_refused(twin, "another text for the same signature");
    expect_refused(good.substr(0, good.rfind('.') + 1), "an empty signature");
    expect_refused(std::string(max_token_bytes + 1, 'A'), "too long");
    expect_refused(std::string(100'000, '.'), "only dots");
    expect_accepted(good, "the token itself");
}

TEST_F(JwtVerifierTest, header_and_claims_are_strict_json_objects) {
    for (const json::value& payload : {json::value("text"), json::value(7), json::value(nullptr),
                                       json::value(json::array{claims()}), json::value(true)}) {
        expect_refused(token(header(), payload, ec_), "claims that are no object");
    }
    const std::string head = base64url(json::serialize(header()));
    const std::string whole = json::serialize(claims());
    const std::string twice = whole.substr(0, whole.size() - 1) + R"(,"role":"ADMIN"})";
    for (const std::string& payload : {twice, whole + "x", whole.substr(1), std::string(), "\xFF" + whole}) {
        const std::string text = head + "." + base64url(payload);
        expect_refused(text + "." + base64url(ec_.sign(text)), payload.c_str());
    }
    for (const char* bad_head : {"[]", "null", "\"ES256\"", "{", R"({"alg":"ES256","alg":"ES256"})"}) {
        const std::string text = base64url(bad_head) + "." + base64url(whole);
        expect_refused(text + "." + base64url(ec_.sign(text)), bad_head);
    }
}

TEST_F(JwtVerifierTest, a_repeated_token_costs_no_signature_but_ends_with_its_exp) {
    const std::string good = good_token();
    expect_accepted(good, "first");
    for (int i = 0; i < 10; ++i)
        expect_accepted(good, "repeated");
    EXPECT_EQ(keys_.searches, 1);
    clock_.time += 600s;
    expect_accepted(good, "five minutes left");
    clock_.time += 299s;
    expect_accepted(good, "one second left");
    EXPECT_EQ(keys_.searches, 2);
    clock_.time += 1s;
    expect_refused(good, "expired though remembered");
}

TEST_F(JwtVerifierTest, a_token_is_remembered_for_five_minutes_so_that_a_withdrawn_key_ends) {
    const std::string good = good_token();
    for (int minutes = 0; minutes < 15; ++minutes) {
        expect_accepted(good, "still good");
        EXPECT_EQ(keys_.searches, 1 + minutes / 5) << minutes;
        clock_.time += 60s;
    }
}

TEST_F(JwtVerifierTest, a_remembered_token_does_not_vouch_for_others_with_its_signature) {
    const std::string good = good_token();
    expect_accepted(good, "remembered");
    const std::size_t first = good.find('.');
    const std::size_t second = good.rfind('.');
    const std::string other = with_claim("role", "ADMIN");
    expect_refused(other.substr(0, other.rfind('.')) + good.substr(second), "claims of another");
    expect_refused(good.substr(first, second - first) + good.substr(second), "no header");
    expect_refused(good.substr(second), "only the signature");
    expect_refused(good.substr(good.size() - 8), "its end");
    expect_refused("", "nothing");
    expect_accepted(good, "still remembered");
    EXPECT_EQ(keys_.searches, 2) << "for the good one, and for the claims of another";
}

TEST_F(JwtVerifierTest, refused_tokens_are_not_remembered) {
    const std::string early = with_claim("nbf", now_s + 660);
    expect_refused(early, "not yet valid");
    clock_.time += 60s;
    expect_accepted(early, "valid now");
}

TEST_F(JwtVerifierTest, the_memory_for_verified_tokens_is_bounded) {
    std::vector<std::string> tokens;
    for (int i = 0; i < 256; ++i)
        tokens.push_back(with_claim("jti", i));
    for (const std::string& text : tokens)
        expect_accepted(text, "first");
    EXPECT_EQ(keys_.searches, 256);
    for (const std::string& text : tokens)
        expect_accepted(text, "second");
    EXPECT_GE(keys_.searches, 512 - 64) << "64 places remember 64 tokens at most";
}

TEST_F(JwtVerifierTest, many_threads_may_verify_at_once) {
    const std::vector<std::string> tokens{good_token(), with_claim("jti", "2"), with_claim("jti", "3")};
    std::atomic<int> accepted{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (std::size_t i = 0; i < 300; ++i)
                    accepted += verifier_.verify(tokens[i % 3]).ok() ? 1 : 0;
            });
        }
    }
    EXPECT_EQ(accepted, 1200);
}

TEST_F(JwtVerifierTest, keys_that_cannot_be_had_are_not_the_callers_fault) {
    class NoKeys final : public KeySource {
        [[nodiscard]] Result<PublicKey> find(std::string_view) override {
            return Error{ErrorCode::unavailable, "The keys cannot be fetched.", {}, 1};
        }
    } none;
    JwtVerifier verifier(none, clock_, {.issuer = issuer, .audience = audience});
    EXPECT_EQ(verifier.verify(good_token()).error().code, ErrorCode::unavailable);
}

TEST_F(JwtVerifierTest, a_bearer_header_authenticates_a_request) {
    const auto attempt = [&](std::vector<HeaderField> headers) {
        Request request;
        request.headers = std::move(headers);
        return authenticate(request, verifier_);
    };
    const std::string good = good_token();
    EXPECT_TRUE(attempt({{"accept", "*/*"}, {"authorization", "Bearer " + good}}).ok());
    EXPECT_TRUE(attempt({{"authorization", "bearer   " + good}}).ok()) << "the scheme's case does not matter";
    const std::vector<std::vector<HeaderField>> refused{
        {},
        {{"authorization", ""}},
        {{"authorization", "Bearer"}},
        {{"authorization", "Bearer "}},
        {{"authorization", good}},
        {{"authorization", "Basic " + good}},
        {{"authorization", "Bearer " + good + " x"}},
        {{"authorization", "Bearer " + good}, {"authorization", "Bearer " + good}}};
    for (const auto& headers : refused) {
        EXPECT_EQ(attempt(headers).error().code, ErrorCode::unauthenticated)
            << (headers.empty() ? "no header" : headers.front().second);
    }
}

TEST(JwksTest, keys_that_cannot_check_signatures_are_left_out) {
    const TestKey ec = TestKey::p256();
    const TestKey rsa = TestKey::rsa(2048);
    const auto usable = [](json::object jwk) { return PublicKey::from_jwk(jwk).has_value(); };
    const auto changed = [](json::object jwk, std::string_view name, const json::value& value) {
        jwk[name] = value;
        return jwk;
    };
    EXPECT_TRUE(usable(ec.jwk("k")));
    EXPECT_TRUE(usable(rsa.jwk("k")));
    EXPECT_TRUE(usable(changed(ec.jwk("k"), "key_ops", json::array{"verify"})));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "use", "enc")));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "key_ops", json::array{"sign"})));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "alg", "HS256")));
    EXPECT_FALSE(usable(changed(rsa.jwk("k"), "alg", "PS256")));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "crv", "P-384")));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "y", ec.jwk("k")["x"]))) << "a point that is not on the curve";
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "x", "AA")));
    EXPECT_FALSE(usable(changed(ec.jwk("k"), "x", "not base64!")));
    EXPECT_FALSE(usable(changed(rsa.jwk("k"), "e", "AQ"))) << "an exponent of one";
    EXPECT_FALSE(usable(changed(rsa.jwk("k"), "e", "AQAC"))) << "an even exponent";
    EXPECT_FALSE(usable(changed(rsa.jwk("k"), "e", "AQAAAAAAAAAAAAAB"))) << "a huge exponent";
    EXPECT_FALSE(usable(TestKey::rsa(1024).jwk("k"))) << "too short to be safe";
    EXPECT_FALSE(usable({{"kty", "oct"}, {"k", "c2VjcmV0"}, {"kid", "k"}}));
    EXPECT_FALSE(usable({}));
}

TEST(JwksTest, a_set_keeps_its_usable_keys_and_the_first_of_each_kid) {
    const TestKey first = TestKey::p256();
    const TestKey second = TestKey::p256();
    json::object nameless = second.jwk("x");
    nameless.erase("kid");
    const auto keys =
        parse_jwks(jwks({first.jwk("k"), second.jwk("k"), nameless, {{"kty", "oct"}, {"kid", "o"}}}));
    ASSERT_TRUE(keys.ok());
    ASSERT_EQ(keys->size(), 1U);
    EXPECT_TRUE(keys->at("k").verifies("text", first.sign("text")));
    EXPECT_FALSE(keys->at("k").verifies("text", second.sign("text")));
    EXPECT_FALSE(keys->at("k").verifies("text", ""));
    EXPECT_FALSE(keys->at("k").verifies("text", std::string(64, '\0')));
    for (const char* text : {"", "[]", "{}", R"({"keys":{}})", "not json"}) {
        EXPECT_EQ(parse_jwks(text).error().code, ErrorCode::malformed) << text;
    }
}

TEST(JwksTest, a_program_does_not_start_with_keys_that_it_cannot_use) {
    EXPECT_THROW(StaticKeySource("{}"), ConfigurationError);
    EXPECT_THROW(StaticKeySource(R"({"keys":[]})"), ConfigurationError);
    EXPECT_THROW(StaticKeySource(R"({"keys":[{"kty":"oct","kid":"a","k":"AA"}]})"), ConfigurationError);
}

}  // namespace
}  // namespace http
}  // namespace quittance
