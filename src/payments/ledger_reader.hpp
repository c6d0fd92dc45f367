// The ledger for those who ask over HTTP.
#pragma once

#include <mutex>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "db/scheduler.hpp"
#include "payments/ledger_store.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

struct LedgerQuery {
    OrderId order_id;
    LedgerCursor after;
    std::int64_t limit = 50;
};

struct LedgerPage {
    std::vector<LedgerEntry> entries;
    bool has_more = false;
};

/// Thread safe. Every call returns at once; `done` runs exactly once, on any thread, and must not block. Who
/// may ask is for the caller to know.
class LedgerReader {
public:
    LedgerReader(db::Scheduler& readers, const db::Dialect& dialect, telemetry::Metrics& metrics);

    void balances(absl::AnyInvocable<void(Result<std::vector<Balance>>)> done);
    void entries(LedgerQuery query, absl::AnyInvocable<void(Result<LedgerPage>)> done);

private:
    struct BalancesRequest {};

    [[nodiscard]] std::vector<Balance> read_balances(db::Session& session);

    const LedgerStore store_;
    std::mutex mutex_;
    LedgerSums sums_;  ///< As of the last question: the next one reads what came since.
    db::Lane<BalancesRequest, std::vector<Balance>> balances_;
    db::Lane<LedgerQuery, LedgerPage> entries_;
};

}  // namespace quittance::payments
