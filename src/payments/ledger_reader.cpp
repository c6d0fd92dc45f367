#include "payments/ledger_reader.hpp"

#include <utility>

#include "telemetry/lane_report.hpp"

namespace quittance::payments {

LedgerReader::LedgerReader(db::Scheduler& readers, const db::Dialect& dialect, telemetry::Metrics& metrics)
    : store_(dialect),
      balances_(
          readers, {},
          [this](db::Session& session, std::span<BalancesRequest> requests) {
              // Whoever asks at the same time gets the same answer.
              return std::vector<Result<std::vector<Balance>>>(requests.size(), read_balances(session));
          },
          telemetry::LaneReport(metrics, "ledger_balances")),
      entries_(
          readers, {},
          [this](db::Session& session, std::span<LedgerQuery> queries) {
              std::vector<Result<LedgerPage>> pages;
              for (const LedgerQuery& query : queries) {
                  LedgerPage page{store_.entries_of(session, query.order_id, query.after, query.limit + 1),
                                  false};
                  page.has_more = std::ssize(page.entries) > query.limit;
                  if (page.has_more) page.entries.pop_back();
                  pages.emplace_back(std::move(page));
              }
              return pages;
          },
          telemetry::LaneReport(metrics, "ledger_entries")) {}

std::vector<Balance> LedgerReader::read_balances(db::Session& session) {
    LedgerSums sums;
    {
        const std::lock_guard lock(mutex_);
        sums = sums_;
    }
    auto balances = store_.balances(session, sums);
    const std::lock_guard lock(mutex_);
    sums_ = std::move(sums);
    return balances;
}

void LedgerReader::balances(absl::AnyInvocable<void(Result<std::vector<Balance>>)> done) {
    balances_.submit({}, std::move(done));
}

void LedgerReader::entries(LedgerQuery query, absl::AnyInvocable<void(Result<LedgerPage>)> done) {
    entries_.submit(query, std::move(done));
}

}  // namespace quittance::payments
