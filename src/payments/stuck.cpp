#include "payments/stuck.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "telemetry/lane_report.hpp"

namespace quittance::payments {

namespace {

constexpr std::chrono::seconds look_interval{10};
/// More than anybody looks through by hand.
constexpr std::int64_t max_searched = 100'000;

template <class Row, class Id>
Row* find_row(std::vector<Row>& rows, const Id& id) {
    const auto found = std::ranges::find(rows, id, &Row::id);
    return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::vector<Stuck> list_stuck(db::Session& session, std::int64_t limit) {
    const PaymentStore payments(session.dialect());
    const RefundStore refunds(session.dialect());
    db::Transaction transaction(session);
    std::vector<Stuck> list;
    for (Payment& payment : payments.find_stuck_and_lock(session, limit))
        list.push_back({std::move(payment), std::nullopt});
    const auto stuck_refunds = refunds.find_stuck_and_lock(session, limit);
    const auto of_refunds = payments_of(session, payments, stuck_refunds);
    for (const Refund& refund : stuck_refunds)
        list.push_back({of_refunds.at(refund.payment_id), refund});
    transaction.commit();
    std::ranges::sort(list, {}, &Stuck::since);
    return list;
}

bool retry_stuck(db::Session& session, const UuidBytes& id, Timestamp now) {
    const PaymentStore payments(session.dialect());
    const RefundStore refunds(session.dialect());
    db::Transaction transaction(session);
    bool found = false;
    auto stuck_payments = payments.find_stuck_and_lock(session, max_searched);
    if (Payment* payment = find_row(stuck_payments, PaymentId(id))) {
        found = resume_stuck(*payment, now);
        payments.reschedule(session, std::span(payment, 1));
    }
    auto stuck_refunds = refunds.find_stuck_and_lock(session, max_searched);
    if (Refund* refund = find_row(stuck_refunds, RefundId(id))) {
        found = resume_stuck(*refund, now);
        refunds.update(session, std::span(refund, 1));
    }
    transaction.commit();
    return found;
}

StuckWatch::StuckWatch(db::Scheduler& readers, const Clock& clock, telemetry::Metrics& metrics)
    : clock_(clock),
      lane_(
          readers, {},
          [](db::Session& session, std::span<Look> looks) {
              static const std::string sql =
                  "SELECT COUNT(*), COALESCE(MIN(since), 0) FROM (SELECT stuck_since AS since FROM payments "
                  "WHERE stuck_since > 0 UNION ALL SELECT stuck_since FROM refunds WHERE stuck_since > 0) "
                  "AS stuck";
              const auto [rows, oldest_ms] = session.select<std::int64_t, std::int64_t>(sql).at(0);
              return std::vector<Result<Count>>(looks.size(), Count{rows, oldest_ms});
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
    lane_.submit({}, [this](Result<Count> count) {
        if (count) {
            rows_ = count->rows;
            oldest_ms_ = count->oldest_ms;
        }
        looking_ = false;
    });
}

}  // namespace quittance::payments
