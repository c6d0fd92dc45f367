// Hints of the provider that something happened to a payment. A hint changes no payment: it makes one due,
// and the look-up tells what is true.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "db/scheduler.hpp"
#include "messaging/inbox.hpp"
#include "payments/payment_store.hpp"
#include "payments/refund_store.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// Notices of payments that are not stored here. More are dropped: another system uses the same account.
inline constexpr std::size_t max_parked_notices = 10'000;
/// A payment is stored before the provider hears of it, so nobody should need even this.
inline constexpr std::chrono::hours parked_notices_live{1};

struct ProviderNotice {
    std::string event_id;  ///< The provider's, for the inbox.
    PaymentId payment_id;
    std::optional<RefundId> failed_refund{};  ///< As the notice has it. It may have succeeded before.
    struct Told {
        std::int64_t captured_minor = 0;
        /// Equal to ours, or there is news: a refund that comes to nothing is taken off again.
        std::optional<std::int64_t> refunded_minor{};
    };
    /// All that the notice says, where it says no more than this.
    std::optional<Told> told{};
};

enum class NoticeOutcome {
    taken_up,  ///< The payment is due now.
    settled,   ///< The payment has that money already, or the provider cannot know it.
    repeated,  ///< This very notice came before.
    parked,    ///< There is no such payment yet.
    dropped,   ///< Nor is there room for more of these.
};

/// Thread safe. Build it before the scheduler's workers start, and stop them before it is destroyed.
class ProviderNotices {
public:
    ProviderNotices(db::Scheduler& writers, const db::Dialect& dialect, Random& random, const Clock& clock,
                    telemetry::Metrics& metrics);

    /// `done` runs after the commit, on any thread, exactly once, and must not block or throw. Idempotent by
    /// the event's id.
    void take(ProviderNotice notice, absl::AnyInvocable<void(Result<NoticeOutcome>)> done);

    /// Takes up again what is parked, when that is due. Returns at once; call it every few moments from one
    /// thread.
    void step();

private:
    struct ReplayRequest {};

    [[nodiscard]] std::vector<Result<NoticeOutcome>> record(db::Session& session,
                                                            std::span<const ProviderNotice> notices) const;
    /// Makes the payments and refunds due that wait for an answer of the provider; `locked` are rows under a
    /// lock.
    void make_due(db::Session& session, const std::vector<Payment>& locked) const;
    /// Has those looked up that have succeeded here, if their payments are `locked`.
    void recheck_succeeded_refunds(db::Session& session, const std::vector<RefundId>& failed,
                                   const std::vector<Payment>& locked) const;
    void replay(db::Session& session) const;

    const PaymentStore store_;
    const RefundStore refunds_;
    const messaging::Inbox inbox_;
    const Clock& clock_;
    const std::string park_;
    const std::string unpark_;
    const std::string drop_old_;

    std::array<telemetry::Counter*, 5> outcomes_{};  // By NoticeOutcome.
    telemetry::Counter& replayed_;
    telemetry::Counter& dropped_;
    const std::shared_ptr<std::atomic<double>> parked_now_ = std::make_shared<std::atomic<double>>(0);
    std::chrono::steady_clock::time_point next_replay_{};

    db::Lane<ProviderNotice, NoticeOutcome> take_;
    db::Lane<ReplayRequest, Done> replay_;
};

}  // namespace quittance::payments
