// How the entries of the ledger hold each other: each is sealed with the hash of the one before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quittance::payments {

/// An entry as it stands in the table, in the table's own words: what is sealed is what is read back.
struct LedgerEntry {
    std::int64_t chain = 1;
    std::int64_t seq = 1;  ///< 1, 2, 3, ... within its chain.
    std::string payment_id;
    std::int64_t payment_version = 1;
    std::string movement;
    std::string account;
    std::string currency;
    std::int64_t amount_minor = 0;
    std::int64_t posted_at_ms = 0;
    std::string hash;

    bool operator==(const LedgerEntry&) const = default;
};

/// What a chain's first entry follows.
[[nodiscard]] std::string first_hash();

/// SHA-256, in lower-case hexadecimal digits, over the hash of the entry before and every other column.
[[nodiscard]] std::string hash_after(std::string_view previous_hash, const LedgerEntry& entry);

}  // namespace quittance::payments
