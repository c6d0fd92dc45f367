#include "users/tokens.hpp"

#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/auth.hpp"
#include "users/users_test_support.hpp"

namespace quittance::users {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

const Principal ada{*UserId::parse("0190a0b0-0000-7000-8000-000000000001"), Role::admin};

class TokensTest : public testing::Test {
protected:
    [[nodiscard]] SigningKey make_key(const std::string& name) const {
        return SigningKey::load_or_create(folder_ / name);
    }
    [[nodiscard]] std::filesystem::path write(const std::string& name, const std::string& text) const {
        const auto file = folder_ / name;
        std::ofstream(file) << text;
        return file;
    }
    /// Makes a file with the openssl program; the options are as on the command line.
    [[nodiscard]] std::filesystem::path openssl(const std::string& name, const std::string& arguments) const {
        const auto file = folder_ / name;
        const std::string command = "openssl " + arguments + " -out '" + file.string() + "' 2>/dev/null";
        EXPECT_EQ(std::system(command.c_str()), 0) << command;
        return file;
    }
    static std::string refusal(const std::filesystem::path& file) {
        try {
            static_cast<void>(SigningKey::load(file));
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return "";
    }

    TestFolder folder_;
    ManualClock clock_;
    SystemRandom random_;
};

TEST_F(TokensTest, an_issued_token_is_verified_until_it_ends_after_15_minutes) {
    const TokenIssuer issuer({make_key("key.pem")}, {.issuer = "i", .audience = "a"}, clock_, random_);
    http::StaticKeySource keys(issuer.jwks());
    http::JwtVerifier verifier(keys, clock_, {.issuer = "i", .audience = "a"});
    http::JwtVerifier elsewhere(keys, clock_, {.issuer = "i", .audience = "b"});
    const std::string token = issuer.issue(ada);
    ASSERT_TRUE(verifier.verify(token).ok()) << verifier.verify(token).error().detail;
    EXPECT_EQ(*verifier.verify(token), ada);
    EXPECT_FALSE(elsewhere.verify(token).ok());
    clock_.advance(15min - 1ms);
    EXPECT_TRUE(verifier.verify(token).ok());
    clock_.advance(1ms);
    EXPECT_FALSE(verifier.verify(token).ok());
}

TEST_F(TokensTest, no_two_tokens_are_alike_and_all_are_short) {
    const TokenIssuer issuer({make_key("key.pem")}, {}, clock_, random_);
    std::set<std::string> tokens;
    for (int i = 0; i < 100; ++i)
        tokens.insert(issuer.issue(ada));
    EXPECT_EQ(tokens.size(), 100U);
    EXPECT_LT(tokens.begin()->size(), 600U);
}

TEST_F(TokensTest, the_first_key_signs_and_all_are_published_without_their_private_half) {
    const SigningKey first = make_key("first.pem");
    const SigningKey second = make_key("second.pem");
    ASSERT_NE(first.kid(), second.kid());
    const TokenIssuer before({first, second}, {}, clock_, random_);
    const TokenIssuer after({second, first}, {}, clock_, random_);
    const auto set = json::parse(before.jwks()).at("keys").as_array();
    ASSERT_EQ(set.size(), 2U);
    for (const auto& key : set) {
        std::set<std::string> members;
        for (const auto& member : key.as_object())
            members.emplace(member.key());
        EXPECT_EQ(members, (std::set<std::string>{"alg", "crv", "kid", "kty", "use", "x", "y"}));
    }
    EXPECT_EQ(set[0].at("kid").as_string(), first.kid());
    http::StaticKeySource keys(before.jwks());
    http::JwtVerifier verifier(keys, clock_, {.issuer = "quittance", .audience = "quittance"});
    EXPECT_TRUE(verifier.verify(before.issue(ada)).ok());
    EXPECT_TRUE(verifier.verify(after.issue(ada)).ok()) << "verifiers know the next key before it signs";
}

TEST_F(TokensTest, a_key_is_known_by_its_thumbprint) {
    // The key of RFC 7515 appendix A.3; its RFC 7638 thumbprint.
    const auto file = write("rfc.pem",
                            "-----BEGIN PRIVATE KEY-----\n"
                            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                            "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                            "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                            "-----END PRIVATE KEY-----\n");
    const SigningKey key = SigningKey::load(file);
    EXPECT_NE(key.public_jwk().find("\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""),
              std::string::npos)
        << key.public_jwk();
    EXPECT_EQ(key.kid(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
}

TEST_F(TokensTest, a_missing_key_is_made_once_and_only_its_owner_may_read_it) {
    const auto file = folder_ / "key.pem";
    const std::string kid = SigningKey::load_or_create(file).kid();
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    EXPECT_EQ(SigningKey::load_or_create(file).kid(), kid);
    EXPECT_EQ(SigningKey::load(file).kid(), kid);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(file.parent_path()), {}), 1)
        << "nothing else is left in the folder";
}

TEST_F(TokensTest, programs_that_start_at_once_get_the_same_key) {
    const auto file = folder_ / "key.pem";
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
            const std::string kid = SigningKey::load_or_create(file).kid();
            std::ofstream(folder_ / ("kid" + std::to_string(i))) << kid;
            ::_exit(0);
        }
        children.push_back(child);
    }
    std::set<std::string> kids;
    for (std::size_t i = 0; i < children.size(); ++i) {
        int status = 0;
        ASSERT_EQ(::waitpid(children[i], &status, 0), children[i]);
        std::string kid;
        std::ifstream(folder_ / ("kid" + std::to_string(i))) >> kid;
        kids.insert(kid);
    }
    EXPECT_EQ(kids.size(), 1U);
    EXPECT_FALSE(kids.contains(""));
}

TEST_F(TokensTest, keys_made_with_openssl_are_understood) {
    EXPECT_EQ(refusal(openssl("pkcs8.pem", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")), "");
    EXPECT_EQ(refusal(openssl("sec1.pem", "ecparam -name prime256v1 -genkey")), "");
}

TEST_F(TokensTest, a_file_that_is_no_key_of_ours_is_named_with_the_way_to_make_one) {
    const std::vector<std::filesystem::path> files{
        folder_ / "missing.pem",
        write("empty.pem", ""),
        write("nonsense.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        openssl("rsa.pem", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        openssl("p384.pem", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        openssl("ed25519.pem", "genpkey -algorithm ED25519"),
        openssl("locked.pem",
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:secret"),
        openssl("public.pem",
                "pkey -pubout -in '" + openssl("k.pem", "ecparam -name prime256v1 -genkey").string() + "'"),
        folder_ / "."};
    for (const auto& file : files) {
        const std::string message = refusal(file);
        EXPECT_NE(message.find(file.string()), std::string::npos) << file << ": " << message;
        EXPECT_NE(message.find("openssl genpkey"), std::string::npos) << message;
    }
    EXPECT_THROW(static_cast<void>(SigningKey::load_or_create(folder_ / "no/such/folder/key.pem")),
                 ConfigurationError);
    EXPECT_THROW(TokenIssuer({}, {}, clock_, random_), ConfigurationError);
}

}  // namespace
}  // namespace quittance::users
