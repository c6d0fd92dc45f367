// The statements on the ledger: append, and read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "db/database.hpp"
#include "payments/ledger.hpp"
#include "payments/ledger_chain.hpp"
#include "payments/ledger_cursor.hpp"

namespace quittance::payments {

struct Balance {
    std::string account;
    std::string currency;
    std::int64_t amount_minor = 0;
};

/// The last entry of a chain.
struct LedgerHead {
    std::int64_t chain = 1;
    std::int64_t seq = 0;
    std::string hash;
};

/// Sums of all entries up to some place in each chain: what is summed need not be read again, because
/// entries never change.
struct LedgerSums {
    std::map<std::int64_t, std::int64_t> read;  ///< For each chain, up to which entry.
    std::map<std::pair<std::string, std::string>, std::int64_t> amounts;  ///< By currency and account.
};

/// Works inside the caller's transaction, where there is one. Throws the storage failures of db/database.hpp.
/// Thread safe: holds nothing but texts.
class LedgerStore {
public:
    explicit LedgerStore(const db::Dialect& dialect);

    /// Appends to a chain that nobody else is appending to, and holds it until the transaction ends: let this
    /// be its last statement. There are more chains than a program has connections, so nobody waits.
    void append(db::Session& session, std::span<const Posting> postings) const;

    /// The sum of each account in each currency.
    [[nodiscard]] std::vector<Balance> balances(db::Session& session) const;
    /// The same from what was summed before, to which it adds the entries that came since, page by page.
    [[nodiscard]] std::vector<Balance> balances(db::Session& session, LedgerSums& sums) const;
    /// The entries of one order's payments in the order of time, those behind `after`.
    [[nodiscard]] std::vector<LedgerEntry> entries_of(db::Session& session, const OrderId& order_id,
                                                      const LedgerCursor& after, std::int64_t limit) const;
    /// The newest entry of each chain.
    [[nodiscard]] std::vector<LedgerHead> heads(db::Session& session) const;
    /// A chain from one of its entries to another, both included.
    [[nodiscard]] std::vector<LedgerEntry> stretch(db::Session& session, std::int64_t chain,
                                                   std::int64_t first_seq, std::int64_t last_seq) const;

private:
    static void add_stretch(db::Session& session, std::int64_t chain, std::int64_t after, std::int64_t last,
                            LedgerSums& sums);
    [[nodiscard]] LedgerHead take_a_chain(db::Session& session, const PaymentId& choice) const;

    std::string take_free_head_;
    std::string take_head_;
    std::string insert_;
    std::string move_head_;
};

}  // namespace quittance::payments
