#include "payments/ledger_chain.hpp"

#include <array>

#include <openssl/evp.h>

#include "core/error.hpp"

namespace quittance::payments {

namespace {

constexpr std::size_t digest_bytes = 32;

}  // namespace

std::string first_hash() {
    return std::string(2 * digest_bytes, '0');
}

std::string hash_after(std::string_view previous_hash, const LedgerEntry& entry) {
    // No column holds a line break, so no two entries give the same text.
    std::string text(previous_hash);
    const auto add = [&](std::string_view column) {
        text += '\n';
        text += column;
    };
    add(std::to_string(entry.chain));
    add(std::to_string(entry.seq));
    add(entry.payment_id);
    add(std::to_string(entry.payment_version));
    add(entry.movement);
    add(entry.account);
    add(entry.currency);
    add(std::to_string(entry.amount_minor));
    add(std::to_string(entry.posted_at_ms));

    std::array<unsigned char, digest_bytes> digest{};
    // Looked up once: finding the algorithm takes longer than computing it.
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    const int done = EVP_Digest(text.data(), text.size(), digest.data(), nullptr, sha256, nullptr);
    ensure(done == 1, "SHA-256 is available");
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string hash;
    hash.reserve(2 * digest_bytes);
    for (const unsigned char byte : digest) {
        hash += digits[byte >> 4];
        hash += digits[byte & 15];
    }
    return hash;
}

}  // namespace quittance::payments
