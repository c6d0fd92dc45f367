#include "payments/stuck.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "telemetry/lane_report.hpp"

namespace quittance::payments {

namespace {

constexpr std::chrono::seconds look_interval{10};
/// The metrics say at most so many of payments and of refunds: a count of all would take longer with each.
constexpr std::string_view max_counted = "10000";

std::string since_of(const std::string& table) {
    return "SELECT stuck_since FROM (SELECT stuck_since FROM " + table +
           " WHERE stuck_since > 0 ORDER BY stuck_since LIMIT " + std::string(max_counted) + ") AS of_" +
           table;
}

bool retry_payment(db::Session& session, const PaymentId& id, Timestamp now) {
    const PaymentStore payments(session.dialect());
    db::Transaction transaction(session);
    auto locked = payments.find_and_lock(session, std::span(&id, 1));
    if (locked.empty() || !locked.front().stuck_since) return false;
    const bool resumed = resume_stuck(locked.front(), now);
    payments.reschedule(session, locked);
    transaction.commit();
    return resumed;
}

/// The lock of a payment guards its refunds too.
bool retry_refund(db::Session& session, const RefundId& id, Timestamp now) {
    const PaymentStore payments(session.dialect());
    const RefundStore refunds(session.dialect());
    const auto before = refunds.find(session, std::span(&id, 1));
    if (before.empty()) return false;
    db::Transaction transaction(session);
    const PaymentId payment = before.front().payment_id;
    static_cast<void>(payments.find_and_lock(session, std::span(&payment, 1)));
    auto found = refunds.find(session, std::span(&id, 1));
    if (found.empty() || !found.front().stuck_since) return false;
    const bool resumed = resume_stuck(found.front(), now);
    refunds.update(session, found);
    transaction.commit();
    return resumed;
}

}  // namespace

std::vector<Stuck> list_stuck(db::Session& session, std::int64_t limit) {
    const PaymentStore payments(session.dialect());
    const RefundStore refunds(session.dialect());
    std::vector<Stuck> list;
    for (Payment& payment : payments.find_stuck(session, limit))
        list.push_back({std::move(payment), std::nullopt});
    const auto stuck_refunds = refunds.find_stuck(session, limit);
    const auto of_refunds = payments_of(session, payments, stuck_refunds);
    for (const Refund& refund : stuck_refunds) {
        const auto payment = of_refunds.find(refund.payment_id);
        if (payment != of_refunds.end()) list.push_back({payment->second, refund});
    }
    std::ranges::sort(list, {}, &Stuck::since);
    return list;
}

bool retry_stuck(db::Session& session, const UuidBytes& id, Timestamp now) {
    return retry_payment(session, PaymentId(id), now) || retry_refund(session, RefundId(id), now);
}

StuckCount count_stuck(db::Session& session) {
    static const std::string sql = "SELECT COUNT(*), COALESCE(MIN(stuck_since), 0) FROM (" +
                                   since_of("payments") + " UNION ALL " + since_of("refunds") + ") AS stuck";
    const auto rows = session.select<std::int64_t, std::int64_t>(sql);
    const auto& [count, oldest_ms] = rows.at(0);
    return {count, oldest_ms};
}

StuckWatch::StuckWatch(db::Scheduler& readers, const Clock& clock, telemetry::Metrics& metrics)
    : clock_(clock),
      lane_(
          readers, {},
          [](db::Session& session, std::span<Look> looks) {
              return std::vector<Result<StuckCount>>(looks.size(), count_stuck(session));
          },
          telemetry::LaneReport(metrics, "payments_stuck_watch")) {
    metrics.gauge("payments_stuck", "Payments and refunds that wait for a human.", {},
                  [this] { return static_cast<double>(rows_.load()); });
    metrics.gauge("payments_stuck_oldest_age_seconds", "How long the first of them has been waiting.", {},
                  [this] {
                      if (rows_ == 0) return 0.0;
                      return static_cast<double>(to_ms(clock_.now()) - oldest_ms_) / 1000.0;
                  });
}

void StuckWatch::step() {
    const auto now = clock_.steady_now();
    if (now < next_look_ || looking_.exchange(true)) return;
    next_look_ = now + look_interval;
    lane_.submit({}, [this](Result<StuckCount> count) {
        if (count) {
            rows_ = count->rows;
            oldest_ms_ = count->oldest_ms;
        }
        looking_ = false;
    });
}

}  // namespace quittance::payments
