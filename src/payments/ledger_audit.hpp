// Reads the whole ledger and says what does not hold: for `quittance ledger verify`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "db/database.hpp"

namespace quittance::payments {

struct LedgerFinding {
    /// entry_altered, entry_missing, entry_stray, head_altered, account_differs, unbalanced, payment_differs
    std::string kind;
    std::string detail;  ///< Where, and what; for people.
};

struct LedgerAudit {
    std::int64_t entries = 0;  ///< Read.
    std::vector<LedgerFinding> findings;
    bool more = false;  ///< There is more to find than was listed.
};

/// Every chain is computed anew, from its first entry to its head; each movement has to stand in the two
/// accounts that it is between, and to sum to zero; the sums of each payment have to be its captured and
/// refunded amounts. Services may go on meanwhile: what is posted after the start is left for the next time.
/// Lists at most `limit` findings.
[[nodiscard]] LedgerAudit audit_ledger(db::Session& session, std::size_t limit);

}  // namespace quittance::payments
