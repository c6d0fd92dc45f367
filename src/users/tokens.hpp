// Access tokens: the keys that sign them, the tokens themselves, and the public keys that others check with.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <openssl/types.h>

#include "core/clock.hpp"
#include "core/principal.hpp"
#include "core/random.hpp"

namespace quittance::users {

/// Long enough to be cheap, short enough to bear that a token cannot be taken back.
inline constexpr std::chrono::minutes access_token_lifetime{15};

/// A private key on the curve P-256. A cheap copy; immutable and thread safe.
class SigningKey {
public:
    /// Reads PEM, in PKCS #8 or SEC 1 form, not encrypted. Throws ConfigurationError that names the file and
    /// says how to make a key.
    [[nodiscard]] static SigningKey load(const std::filesystem::path& file);

    /// As `load`, but makes the key first where there is no such file. The file appears whole or not at all,
    /// readable for its owner only; of several programs that start at once, all get the same key.
    [[nodiscard]] static SigningKey load_or_create(const std::filesystem::path& file);

    /// The key's RFC 7638 thumbprint: the same wherever the key is loaded.
    [[nodiscard]] const std::string& kid() const { return kid_; }
    /// The public half as a JWK, without anything of the private one.
    [[nodiscard]] std::string public_jwk() const;
    /// An ES256 signature in the raw form of RFC 7518 section 3.4.
    [[nodiscard]] std::string sign(std::string_view text) const;

private:
    SigningKey(std::shared_ptr<EVP_PKEY> key, const std::filesystem::path& file);

    std::shared_ptr<EVP_PKEY> key_;
    std::string x_;  // The public point's coordinates in base64url.
    std::string y_;
    std::string kid_;
};

/// Who issues tokens, and for whom. The verifiers get the same two texts.
struct TokenNames {
    std::string issuer = "quittance";
    std::string audience = "quittance";
};

/// Makes access tokens (RFC 9068 in form: typ `at+jwt`; claims iss, aud, sub, role, iat, nbf, exp, jti).
/// Thread safe.
class TokenIssuer {
public:
    /// The first key signs; all are published. To rotate: append the new key, wait until every verifier has
    /// fetched it, move it to the front, and drop the old one `access_token_lifetime` later.
    /// Throws ConfigurationError without a key.
    TokenIssuer(std::vector<SigningKey> keys, TokenNames names, const Clock& clock, Random& random);

    /// Costs one signature, about 40 µs.
    [[nodiscard]] std::string issue(const Principal& principal) const;

    /// The public keys as a JWK set (RFC 7517).
    [[nodiscard]] const std::string& jwks() const { return jwks_; }
    [[nodiscard]] const TokenNames& names() const { return names_; }

private:
    const std::vector<SigningKey> keys_;
    const TokenNames names_;
    const Clock& clock_;
    Random& random_;
    const std::string header_;  // In base64url; the same for every token.
    const std::string jwks_;
};

}  // namespace quittance::users
