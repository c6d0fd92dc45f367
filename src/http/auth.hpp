// Who sent a request: JSON Web Tokens (RFC 7519), verified in the way RFC 8725 asks for.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <boost/json/object.hpp>
#include <openssl/types.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/principal.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// The `typ` of our access tokens (RFC 9068): no other kind of JWT can pass for one.
inline constexpr std::string_view access_token_type = "at+jwt";

/// Longer tokens are refused unread. Ours take about 500 bytes, with an RSA signature about 700.
inline constexpr std::size_t max_token_bytes = 4096;

/// How far Google's clock, as the issuer of push tokens, may differ from ours.
inline constexpr std::chrono::seconds max_clock_skew{60};

/// How far the clock of our own issuer may be ahead of ours (docs/reliability.md): it widens `nbf`, and how
/// far away `exp` may be. A token is never accepted after its `exp`, because a clock that runs behind would
/// then lengthen the life of a stolen one.
inline constexpr std::chrono::minutes max_issuer_ahead{10};

/// A token that lives longer by its own `iat` and `exp` is refused: our issuer's live 15 minutes, so that it
/// was made by somebody else, with a key that has leaked.
inline constexpr std::chrono::minutes max_token_lifetime{16};

/// How long a verified token is remembered at most: so long after a verifier has learned that a key was
/// withdrawn, the last token that it signed ends.
inline constexpr std::chrono::minutes max_token_memory{5};

/// Turns a token into its holder. Thread safe.
class TokenVerifier {
public:
    virtual ~TokenVerifier() = default;
    /// `unauthenticated` for any token that cannot be trusted; `unavailable` when the keys cannot be had.
    virtual Result<Principal> verify(std::string_view token) = 0;
};

/// What `Authorization: Bearer` carries, as long as the request lives. `unauthenticated` without exactly one
/// such header.
[[nodiscard]] Result<std::string_view> bearer_token(const Request& request);

/// The caller named by the bearer token. Errors as `bearer_token` and `TokenVerifier::verify`.
[[nodiscard]] Result<Principal> authenticate(const Request& request, TokenVerifier& verifier);

inline constexpr std::string_view rs256 = "RS256";

/// A key that signatures are checked with. Its kind alone decides the algorithm: ES256 for a key on the
/// curve P-256, RS256 for an RSA key of 2048 to 8192 bits. A cheap copy; immutable and thread safe.
class PublicKey {
public:
    /// Reads a JWK (RFC 7517). nullopt for other kinds, for keys that are not for signatures, and for values
    /// that make no valid key.
    [[nodiscard]] static std::optional<PublicKey> from_jwk(const boost::json::object& jwk);

    /// The value of `alg` that a token must carry: "ES256" or "RS256".
    [[nodiscard]] std::string_view algorithm() const { return algorithm_; }
    /// True when `signature`, in the raw form of RFC 7518 section 3, is this key's over `text`.
    [[nodiscard]] bool verifies(std::string_view text, std::string_view signature) const;

private:
    PublicKey(std::shared_ptr<EVP_PKEY> key, std::string_view algorithm)
        : key_(std::move(key)), algorithm_(algorithm) {}

    std::shared_ptr<EVP_PKEY> key_;
    std::string_view algorithm_;
};

/// Keys by `kid`.
using KeySet = std::unordered_map<std::string, PublicKey>;

/// Reads a JWK set. As RFC 7517 section 5 asks, keys that we cannot use are left out; so are keys without a
/// `kid`, and the later ones of a `kid` that stands twice. `malformed` when the text is no JWK set.
[[nodiscard]] Result<KeySet> parse_jwks(std::string_view text);

/// Where public keys come from. Thread safe; must not block.
class KeySource {
public:
    virtual ~KeySource() = default;
    /// `unauthenticated` for an unknown `kid`, `unavailable` when the keys could not be fetched yet.
    [[nodiscard]] virtual Result<PublicKey> find(std::string_view kid) = 0;
};

/// The keys of one JWK set, fixed for good.
class StaticKeySource final : public KeySource {
public:
    /// Throws ConfigurationError when the text is no JWK set or holds no key that we can use.
    explicit StaticKeySource(std::string_view jwks);
    [[nodiscard]] Result<PublicKey> find(std::string_view kid) override;

private:
    KeySet keys_;
};

/// The claims of a token with a valid signature; the claims themselves are not judged. The algorithm is the
/// key's, the key is the source's: what a token says in `jku`, `x5u`, `jwk` or `x5c` is never looked at.
/// `type` must equal the token's `typ` (or follow "application/" there). Errors as `TokenVerifier::verify`.
/// Where the issuer is known to use one algorithm only, `only_algorithm` refuses the others before a key is
/// looked for. Thread safe. For tokens of another issuer, such as the push tokens of Pub/Sub, pass "JWT".
[[nodiscard]] Result<boost::json::object> verify_signature(std::string_view token, std::string_view type,
                                                           KeySource& keys,
                                                           std::string_view only_algorithm = {});

struct JwtVerifierOptions {
    std::string issuer;    ///< `iss` must be this.
    std::string audience;  ///< `aud` must be or contain this.
    /// Verified tokens that are remembered at most, about 600 bytes each.
    std::size_t cached_tokens = 16'384;
};

/// Verifies our access tokens. A token that was verified is remembered, as it is, until its `exp` or for
/// `max_token_memory`: a signature costs 60 µs to check, a repeated token a comparison. The memory is
/// bounded; where it is full, the oldest token makes room.
class JwtVerifier final : public TokenVerifier {
public:
    JwtVerifier(KeySource& keys, const Clock& clock, JwtVerifierOptions options);
    ~JwtVerifier() override;

    Result<Principal> verify(std::string_view token) override;

private:
    struct Verified {
        Principal principal;
        Timestamp expires_at;  ///< As the claims say, or in the memory what comes first.
    };
    class Cache;

    [[nodiscard]] Result<Verified> judge(const boost::json::object& claims, Timestamp now) const;

    KeySource& keys_;
    const Clock& clock_;
    const JwtVerifierOptions options_;
    std::unique_ptr<Cache> cache_;
};

}  // namespace quittance::http
