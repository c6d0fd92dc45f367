// The list for a human: payments and refunds whose outcome the provider did not tell in days, and refunds
// that failed after they had succeeded.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/scheduler.hpp"
#include "payments/payment_store.hpp"
#include "payments/refund_store.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// A payment, or one of its refunds.
struct Stuck {
    Payment payment;
    std::optional<Refund> refund;

    [[nodiscard]] Timestamp since() const {
        return refund ? refund->stuck_since.value() : payment.stuck_since.value();
    }
};

/// The longest first, at most `limit` of payments and of refunds. Takes no locks and no transaction.
[[nodiscard]] std::vector<Stuck> list_stuck(db::Session& session, std::int64_t limit);

struct StuckCount {
    std::int64_t rows = 0;  ///< Payments and refunds, at most 10 000 of each.
    std::int64_t oldest_ms = 0;
};
[[nodiscard]] StuckCount count_stuck(db::Session& session);

/// Puts this payment, or the refund with this id, back on the schedule: a running service asks the provider
/// within moments. False when it does not stand in the list. Reads and locks this one only.
[[nodiscard]] bool retry_stuck(db::Session& session, const UuidBytes& id, Timestamp now);

/// Counts the list now and then, for the metrics. Thread safe, but `step` is for one thread.
class StuckWatch {
public:
    StuckWatch(db::Scheduler& readers, const Clock& clock, telemetry::Metrics& metrics);

    /// Looks again when it is time to; returns at once.
    void step();

private:
    struct Look {};

    const Clock& clock_;
    std::chrono::steady_clock::time_point next_look_{};
    std::atomic<std::int64_t> rows_ = 0;
    std::atomic<std::int64_t> oldest_ms_ = 0;
    std::atomic<bool> looking_ = false;
    db::Lane<Look, StuckCount> lane_;
};

}  // namespace quittance::payments
