// Reads the whole ledger and says what does not hold: for `quittance ledger verify`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "db/database.hpp"

namespace quittance::payments {

struct LedgerFinding {
    /// entry_altered, entry_missing, entry_stray, head_altered, account_differs, unbalanced, payment_differs
    std::string kind;
    std::string detail;  ///< Where, and what; for people.
};

struct LedgerAudit {
    std::int64_t entries = 0;   ///< Read.
    std::int64_t payments = 0;  ///< Compared with their entries.
    std::vector<LedgerFinding> findings;
    bool more = false;  ///< There is more to find than was listed.
};

/// How far an audit has come.
struct AuditProgress {
    std::string_view what;   ///< "entries" or "payments".
    std::int64_t done = 0;   ///< Of these.
    std::int64_t total = 0;  ///< 0: not known.
};

/// Called after each page, from the thread that audits.
using ReportAuditProgress = std::function<void(const AuditProgress&)>;

/// Every chain is computed anew, from its first entry to its head; each movement has to stand in the two
/// accounts that it is between, and to sum to zero; the sums of each payment have to be its captured and
/// refunded amounts. Reads in pages, each a statement of its own, so that time is linear and memory constant
/// in the number of payments, and neither a lock nor a transaction is held. Services may go on meanwhile: the
/// chains are read up to where they ended at the start, and a payment that differs from its entries is read
/// once more, with its entries, in one statement. Lists at most `limit` findings. Works outside of
/// transactions and throws what the session throws.
[[nodiscard]] LedgerAudit audit_ledger(db::Session& session, std::size_t limit,
                                       const ReportAuditProgress& report = {});

}  // namespace quittance::payments
