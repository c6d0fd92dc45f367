// For tests: keys that sign whatever they are given.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "core/random.hpp"
#include "http/auth.hpp"

namespace quittance::http {

namespace json = boost::json;

inline std::string base64url(std::string_view text) {
    return to_base64url(std::as_bytes(std::span(text)));
}

/// A private key of the test; signs whatever it is given.
class TestKey {
public:
    static TestKey p256() { return {EVP_EC_gen("P-256"), "EC"}; }
    static TestKey rsa(unsigned bits) { return {EVP_RSA_gen(bits), "RSA"}; }
    /// Made once: looking for two large primes takes long.
    static const TestKey& shared_rsa() {
        static const TestKey key = TestKey::rsa(2048);
        return key;
    }

    [[nodiscard]] json::object jwk(std::string_view kid) const {
        json::object jwk{{"kty", kind_}, {"kid", kid}};
        if (kind_ == "EC") {
            jwk["crv"] = "P-256";
            jwk["x"] = number(OSSL_PKEY_PARAM_EC_PUB_X, 32);
            jwk["y"] = number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
        } else {
            jwk["n"] = number(OSSL_PKEY_PARAM_RSA_N, EVP_PKEY_get_size(key_.get()));
            jwk["e"] = "AQAB";
        }
        return jwk;
    }

    [[nodiscard]] std::string sign(std::string_view text) const {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                              EVP_MD_CTX_free);
        std::size_t size = 1024;
        std::string signature(size, '\0');
        auto* bytes = reinterpret_cast<unsigned char*>(signature.data());
        EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()), 1);
        EXPECT_EQ(EVP_DigestSign(context.get(), bytes, &size,
                                 reinterpret_cast<const unsigned char*>(text.data()), text.size()),
                  1);
        signature.resize(size);
        return kind_ == "EC" ? raw(signature) : signature;
    }

    [[nodiscard]] std::string token(const json::object& header, const json::value& claims) const {
        const std::string text =
            base64url(json::serialize(header)) + "." + base64url(json::serialize(claims));
        return text + "." + base64url(sign(text));
    }

private:
    TestKey(EVP_PKEY* key, std::string kind) : key_(key, EVP_PKEY_free), kind_(std::move(kind)) {}

    [[nodiscard]] std::string number(const char* name, int size) const {
        BIGNUM* value = nullptr;
        EXPECT_EQ(EVP_PKEY_get_bn_param(key_.get(), name, &value), 1);
        std::string bytes(static_cast<std::size_t>(size), '\0');
        BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), size);
        BN_free(value);
        return base64url(bytes);
    }

    static std::string raw(const std::string& der) {
        const auto* start = reinterpret_cast<const unsigned char*>(der.data());
        ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &start, static_cast<long>(der.size()));
        std::string bytes(64, '\0');
        auto* out = reinterpret_cast<unsigned char*>(bytes.data());
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32);
        ECDSA_SIG_free(signature);
        return bytes;
    }

    std::shared_ptr<EVP_PKEY> key_;
    std::string kind_;
};

inline std::string jwks(const std::vector<json::object>& keys) {
    json::array list;
    for (const json::object& key : keys)
        list.push_back(key);
    return json::serialize(json::object{{"keys", list}});
}

/// Counts how often a signature had to be checked.
class CountingKeySource final : public KeySource {
public:
    explicit CountingKeySource(std::string_view text) : keys_(text) {}
    [[nodiscard]] Result<PublicKey> find(std::string_view kid) override {
        ++searches;
        return keys_.find(kid);
    }

    std::atomic<int> searches{0};

private:
    StaticKeySource keys_;
};

}  // namespace quittance::http
