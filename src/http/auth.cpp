#include "http/auth.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "core/json.hpp"
#include "http/claims.hpp"

namespace quittance::http {

namespace {

constexpr std::string_view es256 = "ES256";
constexpr std::size_t p256_coordinate_bytes = 32;
constexpr int min_rsa_bits = 2048;  // RFC 7518 section 3.3.
constexpr int max_rsa_bits = 8192;  // Checking larger ones would cost too much time.

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* pointer) const noexcept {
        Free(pointer);
    }
};
using BigNumber = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

const unsigned char* as_bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

int base64url_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    if (c == '_') return 63;
    return -1;
}

/// Strict: no padding, no other character, and no bits left over, so that each value has one text only.
std::optional<std::string> from_base64url(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size() * 3 / 4);
    unsigned bits = 0;
    int bit_count = 0;
    for (const char c : text) {
        const int value = base64url_value(c);
        if (value < 0) return std::nullopt;
        bits = (bits << 6 | static_cast<unsigned>(value)) & 0xFFFF;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes.push_back(static_cast<char>(bits >> bit_count & 0xFF));
        }
    }
    const unsigned left_over = bits & ((1U << bit_count) - 1);
    if (bit_count == 6 || left_over != 0) return std::nullopt;
    return bytes;
}

std::optional<std::string> binary_member(const json::object& object, std::string_view name) {
    const auto text = text_member(object, name);
    return text ? from_base64url(*text) : std::nullopt;
}

BigNumber big_number(std::string_view bytes) {
    return BigNumber(BN_bin2bn(as_bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

/// A public key from its numbers; nullptr when they make no valid one.
std::shared_ptr<EVP_PKEY> build_key(const char* type, OSSL_PARAM_BLD* builder) {
    const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* made = nullptr;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
        return nullptr;
    }
    std::shared_ptr<EVP_PKEY> key(made, EVP_PKEY_free);
    const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, made, nullptr));
    return check && EVP_PKEY_public_check(check.get()) == 1 ? key : nullptr;
}

std::shared_ptr<EVP_PKEY> p256_key(const json::object& jwk) {
    const auto x = binary_member(jwk, "x");
    const auto y = binary_member(jwk, "y");
    if (text_member(jwk, "crv") != "P-256" || !x || !y || x->size() != p256_coordinate_bytes ||
        y->size() != p256_coordinate_bytes) {
        return nullptr;
    }
    const std::string uncompressed_point = '\x04' + *x + *y;  // SEC 1 section 2.3.3.
    const ParameterBuilder builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, uncompressed_point.data(),
                                         uncompressed_point.size()) != 1) {
        return nullptr;
    }
    return build_key("EC", builder.get());
}

std::shared_ptr<EVP_PKEY> rsa_key(const json::object& jwk) {
    const auto n = binary_member(jwk, "n");
    const auto e = binary_member(jwk, "e");
    if (!n || !e || n->size() > max_rsa_bits / 8 || e->size() > sizeof(std::uint64_t)) return nullptr;
    const BigNumber modulus = big_number(*n);
    const BigNumber exponent = big_number(*e);
    if (!modulus || !exponent || BN_num_bits(modulus.get()) < min_rsa_bits ||
        BN_is_odd(exponent.get()) == 0 || BN_is_one(exponent.get()) == 1) {
        return nullptr;
    }
    const ParameterBuilder builder(OSSL_PARAM_BLD_new());
    if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
        return nullptr;
    }
    return build_key("RSA", builder.get());
}

/// OpenSSL takes an ECDSA signature as DER only; a JWS carries the two numbers side by side.
std::vector<unsigned char> ecdsa_signature_as_der(std::string_view raw) {
    std::vector<unsigned char> der;
    if (raw.size() != 2 * p256_coordinate_bytes) return der;
    BigNumber r = big_number(raw.substr(0, p256_coordinate_bytes));
    BigNumber s = big_number(raw.substr(p256_coordinate_bytes));
    const EcdsaSignature signature(ECDSA_SIG_new());
    if (!r || !s || !signature) return der;
    ECDSA_SIG_set0(signature.get(), r.release(), s.release());
    const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
    if (size <= 0) return der;
    der.resize(static_cast<std::size_t>(size));
    unsigned char* end = der.data();
    i2d_ECDSA_SIG(signature.get(), &end);
    return der;
}

bool is_for_signatures(const json::object& jwk) {
    if (jwk.contains("use") && text_member(jwk, "use") != "sig") return false;
    const json::value* operations = jwk.if_contains("key_ops");
    if (operations == nullptr) return true;
    const json::array* list = operations->if_array();
    return list != nullptr && std::ranges::find(*list, json::value("verify")) != list->end();
}

/// One part of a token: base64url around one JSON object.
std::optional<json::object> decode_object(std::string_view part) {
    const auto text = from_base64url(part);
    if (!text) return std::nullopt;
    auto value = parse_json(*text);
    if (!value || !value->is_object()) return std::nullopt;
    return std::move(value->get_object());
}

struct TokenParts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_text;  ///< Header and payload with the dot between.
};

std::optional<TokenParts> split(std::string_view token) {
    const std::size_t first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
        return std::nullopt;
    }
    return TokenParts{token.substr(0, first), token.substr(first + 1, second - first - 1),
                      token.substr(second + 1), token.substr(0, second)};
}

bool has_type(const json::object& header, std::string_view type) {
    static constexpr std::string_view media_prefix = "application/";
    auto found = text_member(header, "typ").value_or("");
    if (found.starts_with(media_prefix)) found.remove_prefix(media_prefix.size());
    return found == type;
}

char to_lower_ascii(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_bearer(std::string_view scheme) {
    return std::ranges::equal(scheme, std::string_view("bearer"),
                              [](char a, char b) { return to_lower_ascii(a) == b; });
}

}  // namespace

Result<std::string_view> bearer_token(const Request& request) {
    const HeaderField* found = nullptr;
    for (const HeaderField& field : request.headers) {
        if (field.first != "authorization") continue;
        if (found != nullptr) {
            return Error{ErrorCode::unauthenticated, "There is more than one Authorization header.", {}, 0};
        }
        found = &field;
    }
    const std::string_view value = found == nullptr ? std::string_view() : std::string_view(found->second);
    const std::size_t scheme_end = value.find(' ');
    if (scheme_end == std::string_view::npos || !is_bearer(value.substr(0, scheme_end))) {
        return Error{
            ErrorCode::unauthenticated, "This needs an access token: Authorization: Bearer ...", {}, 0};
    }
    const std::size_t token_start = value.find_first_not_of(' ', scheme_end);
    return token_start == std::string_view::npos ? std::string_view() : value.substr(token_start);
}

Result<Principal> authenticate(const Request& request, TokenVerifier& verifier) {
    const auto token = bearer_token(request);
    if (!token) return token.error();
    return verifier.verify(*token);
}

std::optional<PublicKey> PublicKey::from_jwk(const json::object& jwk) {
    const auto kind = text_member(jwk, "kty");
    const bool is_rsa = kind == "RSA";
    if ((!is_rsa && kind != "EC") || !is_for_signatures(jwk)) return std::nullopt;
    const std::string_view algorithm = is_rsa ? rs256 : es256;
    if (jwk.contains("alg") && text_member(jwk, "alg") != algorithm) return std::nullopt;
    auto key = is_rsa ? rsa_key(jwk) : p256_key(jwk);
    if (!key) {
        // What failed here must not be reported by the next user of this thread's error queue.
        ERR_clear_error();
        return std::nullopt;
    }
    return PublicKey(std::move(key), algorithm);
}

bool PublicKey::verifies(std::string_view text, std::string_view signature) const {
    std::vector<unsigned char> der;
    if (algorithm_ == es256) {
        der = ecdsa_signature_as_der(signature);
        if (der.empty()) return false;
        signature = {reinterpret_cast<const char*>(der.data()), der.size()};
    }
    // For an RSA key this means PKCS #1 v1.5 padding, which is RS256.
    const DigestContext context(EVP_MD_CTX_new());
    const bool good =
        context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
        EVP_DigestVerify(context.get(), as_bytes(signature), signature.size(), as_bytes(text), text.size()) ==
            1;
    if (!good) ERR_clear_error();
    return good;
}

Result<KeySet> parse_jwks(std::string_view text) {
    const auto document = parse_json(text);
    const json::object* set = document ? document->if_object() : nullptr;
    const json::value* keys = set == nullptr ? nullptr : set->if_contains("keys");
    if (keys == nullptr || !keys->is_array()) {
        return Error{ErrorCode::malformed, "This is not a JWK set (RFC 7517).", {}, 0};
    }
    KeySet usable;
    for (const json::value& entry : keys->get_array()) {
        const json::object* jwk = entry.if_object();
        const auto kid = jwk == nullptr ? std::nullopt : text_member(*jwk, "kid");
        if (!kid) continue;
        if (auto key = PublicKey::from_jwk(*jwk)) usable.emplace(*kid, std::move(*key));
    }
    return usable;
}

StaticKeySource::StaticKeySource(std::string_view jwks) {
    auto keys = parse_jwks(jwks);
    if (keys) keys_ = std::move(keys).value();
    if (keys_.empty()) {
        throw ConfigurationError("the JWK set has no key with a kid for ES256 (P-256) or RS256 (2048 bits)");
    }
}

Result<PublicKey> StaticKeySource::find(std::string_view kid) {
    const auto found = keys_.find(std::string(kid));
    if (found == keys_.end()) return unknown_key();
    return found->second;
}

Result<json::object> verify_signature(std::string_view token, std::string_view type, KeySource& keys,
                                      std::string_view only_algorithm) {
    if (token.size() > max_token_bytes) return untrusted("it is too long");
    const auto parts = split(token);
    if (!parts) return untrusted("it has not three parts");
    const auto header = decode_object(parts->header);
    if (!header) return untrusted("its header cannot be read");
    if (!has_type(*header, type)) return untrusted("it is of another type");
    // We understand no extension, and RFC 7515 section 4.1.11 forbids to pass over a critical one.
    if (header->contains("crit")) return untrusted("it needs an extension");
    const auto algorithm = text_member(*header, "alg");
    if (!only_algorithm.empty() && algorithm != only_algorithm) {
        return untrusted("it is signed with another algorithm");
    }
    const auto kid = text_member(*header, "kid");
    if (!kid) return untrusted("it does not name its key");
    const auto key = keys.find(*kid);
    if (!key) return key.error();
    if (algorithm != key->algorithm()) return untrusted("its algorithm is not its key's");
    const auto signature = from_base64url(parts->signature);
    if (!signature || !key->verifies(parts->signed_text, *signature)) {
        return untrusted("its signature is wrong");
    }
    auto claims = decode_object(parts->payload);
    if (!claims) return untrusted("its claims cannot be read");
    return std::move(*claims);
}

/// In shards, so that I/O threads seldom wait for each other. Where one is full, its oldest token makes room:
/// most are remembered equally long, so that it is also the first to be forgotten.
class JwtVerifier::Cache {
public:
    explicit Cache(std::size_t tokens) : tokens_per_shard_(std::max<std::size_t>(tokens / shard_count, 1)) {}

    std::optional<Principal> find(std::string_view token, Timestamp now) {
        Shard& shard = shard_of(token);
        const std::lock_guard lock(shard.mutex);
        const auto found = shard.tokens.find(token);
        if (found == shard.tokens.end() || now >= found->second.expires_at) return std::nullopt;
        return found->second.principal;
    }

    void add(std::string_view token, Verified verified, Timestamp now) {
        verified.expires_at = std::min(verified.expires_at, now + max_token_memory);
        Shard& shard = shard_of(token);
        const std::lock_guard lock(shard.mutex);
        const auto [place, is_new] = shard.tokens.insert_or_assign(std::string(token), verified);
        if (is_new) shard.by_age.push_back(&place->first);
        while (shard.by_age.size() > tokens_per_shard_ ||
               now >= shard.tokens.find(*shard.by_age.front())->second.expires_at) {
            shard.tokens.erase(shard.tokens.find(*shard.by_age.front()));
            shard.by_age.pop_front();
        }
    }

private:
    static constexpr std::size_t shard_count = 16;
    static constexpr std::size_t hashed_bytes = 32;
    /// Of the end, which is signature and as good as random. Who puts another's signature under claims of
    /// his own gets as far as the comparison.
    struct EndHash {
        using is_transparent = void;  // NOLINT(readability-identifier-naming): the library looks for it.
        std::size_t operator()(std::string_view token) const noexcept {
            return std::hash<std::string_view>()(
                token.substr(token.size() - std::min(token.size(), hashed_bytes)));
        }
    };
    struct Shard {
        std::mutex mutex;
        std::unordered_map<std::string, Verified, EndHash, std::equal_to<>> tokens;
        std::deque<const std::string*> by_age;
    };

    Shard& shard_of(std::string_view token) { return shards_[EndHash()(token) % shard_count]; }

    const std::size_t tokens_per_shard_;
    std::array<Shard, shard_count> shards_;
};

JwtVerifier::JwtVerifier(KeySource& keys, const Clock& clock, JwtVerifierOptions options)
    : keys_(keys),
      clock_(clock),
      options_(std::move(options)),
      cache_(std::make_unique<Cache>(options_.cached_tokens)) {
    ensure(!options_.issuer.empty() && !options_.audience.empty(), "tokens have an issuer and an audience");
}

JwtVerifier::~JwtVerifier() = default;

Result<Principal> JwtVerifier::verify(std::string_view token) {
    if (token.size() > max_token_bytes) return untrusted("it is too long");
    const Timestamp now = clock_.now();
    if (const auto known = cache_->find(token, now)) return *known;
    const auto claims = verify_signature(token, access_token_type, keys_);
    if (!claims) return claims.error();
    const auto verified = judge(*claims, now);
    if (!verified) return verified.error();
    cache_->add(token, *verified, now);
    return verified->principal;
}

Result<JwtVerifier::Verified> JwtVerifier::judge(const json::object& claims, Timestamp now) const {
    if (text_member(claims, "iss") != options_.issuer) return untrusted("it is from another issuer");
    if (!names_audience(claims, options_.audience)) return untrusted("it is for another audience");
    const auto expires_at = date_claim(claims, "exp");
    if (!expires_at) return untrusted("it does not say when it expires");
    if (now >= *expires_at) return untrusted("it has expired");
    // Without `iat` its life begins now.
    const Timestamp begin = date_claim(claims, "iat").value_or(now);
    if (*expires_at > std::min(begin, now + max_issuer_ahead) + max_token_lifetime)
        return untrusted("it would live too long");
    if (claims.contains("nbf")) {
        const auto not_before = date_claim(claims, "nbf");
        if (!not_before || *not_before > now + max_issuer_ahead) return untrusted("it is not valid yet");
    }
    const auto user_id = UserId::parse(text_member(claims, "sub").value_or(""));
    const auto role = parse_role(text_member(claims, "role").value_or(""));
    if (!user_id || !role) return untrusted("it does not say whose it is");
    return Verified{Principal{*user_id, *role}, *expires_at};
}

}  // namespace quittance::http
