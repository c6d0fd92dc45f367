// Payments from event to outcome: begin, ask the gateway outside of any transaction, finish, acknowledge.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/principal.hpp"
#include "db/scheduler.hpp"
#include "messaging/bus.hpp"
#include "messaging/relay.hpp"
#include "payments/command_keys.hpp"
#include "payments/gateway.hpp"
#include "payments/payment_writer.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// More than any subscription has outstanding: an event that finds the queue full is delivered again, which
/// uses up one of its deliveries.
inline constexpr std::size_t max_queued_events = 65'536;
/// How long a batch of events waits while the database is away; it is then tried again, without an end.
inline constexpr std::chrono::milliseconds database_retry_pause{200};
/// The same for the sweep, which nobody waits for.
inline constexpr std::chrono::milliseconds sweep_retry_pause{1000};
/// Payments that one sweep takes up; a provider after an outage should not be met by all of them at once.
inline constexpr std::int64_t max_swept_payments = 256;

/// What a capture or a void is answered with.
struct CommandedPayment {
    Payment payment;        ///< As it is now.
    bool replayed = false;  ///< An earlier request with the same key asked for it.
};

/// Every event is acknowledged after its effect is committed, and every call to the gateway is made after
/// the intent is committed, under the stored key: whatever is killed in between is taken up again by
/// redelivery or by `step`, and nothing is charged or refunded twice.
///
/// Thread safe. Build it before the schedulers' workers start, and stop them before it is destroyed; calls
/// that the gateway has not answered by then are taken up again after the next start.
class PaymentService {
public:
    PaymentService(db::Scheduler& writers, db::Scheduler& readers, const db::Dialect& dialect,
                   Gateway& gateway, messaging::Relay& relay, IdGenerator& ids, Random& random,
                   const Clock& clock, telemetry::Metrics& metrics,
                   CaptureMode mode = CaptureMode::automatic);
    ~PaymentService();
    PaymentService(const PaymentService&) = delete;
    PaymentService& operator=(const PaymentService&) = delete;

    /// The `messaging::Receiver` of subscription `payment-service-sub`. Events that cannot be read are
    /// rejected at once, what is temporary is delivered again.
    void receive(std::vector<messaging::Delivery> deliveries);

    /// Takes up what is due: payments whose outcome is not known, and those that a crash left behind. Returns
    /// at once. Call it every 100 ms or so, from one thread.
    void step();

    /// `not_found` also for other people's, unless the caller is an ADMIN. `done` runs exactly once, on any
    /// thread, and must not block or throw.
    void find(PaymentId id, const Principal& caller, absl::AnyInvocable<void(Result<Payment>)> done);
    /// Every attempt to pay the order, the first one first; none for an order that is unknown or not the
    /// caller's. `done` as for `find`.
    void list_by_order(OrderId order_id, const Principal& caller,
                       absl::AnyInvocable<void(Result<std::vector<Payment>>)> done);

    /// Takes part or all of an authorized payment, or releases it: the intent is committed before `done`, the
    /// provider is asked after it. `not_found`; `precondition_failed`; `conflict` when the payment's state
    /// does not allow it; `invalid` for a key that named another request. Who may do this is for the caller
    /// to know. `done` as for `find`.
    void command(CommandRequest request, absl::AnyInvocable<void(Result<CommandedPayment>)> done);
    /// Every refund of the payment, the first one first. `done` as for `find`.
    void list_refunds(PaymentId id, absl::AnyInvocable<void(Result<std::vector<Refund>>)> done);

    /// Calls that the gateway has not answered yet.
    [[nodiscard]] std::size_t calls_in_flight() const { return calls_in_flight_; }

private:
    struct SweepRequest {};
    struct PurgeRequest {};
    struct ProlongRequest {
        std::vector<PaymentId> payments;
        std::vector<RefundId> refunds;
    };
    /// Keeps answers that come too late away from a service that is gone.
    struct Lifeline {
        std::shared_mutex mutex;
        PaymentService* service;
    };
    struct CallMetrics {
        std::array<telemetry::Counter*, gateway_outcomes> outcomes{};  // By GatewayOutcome.
        telemetry::Histogram* latency = nullptr;
    };
    [[nodiscard]] static std::array<CallMetrics, 6> call_metrics(telemetry::Metrics& metrics);
    /// The deliveries that are acknowledged when a call's answer is stored.
    using Handles = std::vector<messaging::AckHandle>;
    /// A call that the gateway has not answered yet.
    struct CallInFlight {
        PaymentId payment;
        std::optional<RefundId> refund;
        std::chrono::steady_clock::time_point prolonged_at;
        Handles handles;
    };

    /// One transaction; its events reach the bus after the commit.
    template <class Work>
    std::vector<Result<Step>> transact(db::Session& session, Work work);
    [[nodiscard]] std::vector<Result<std::vector<Step>>> sweep(db::Session& session, std::size_t requests);
    void purge(db::Session& session);

    void begun(Result<Step> step, messaging::AckHandle handle);
    /// Makes the call that the step asks for, or acknowledges when nothing is left to do, or nothing that
    /// this gateway's provider could do: what is stored then waits for an instance that asks the other.
    void proceed(Step step, Handles handles);
    /// False when a call about the same payment, or the same refund, is under way: the deliveries then wait
    /// for its answer. One question at a time, so that one answer counts once.
    [[nodiscard]] bool enter_call(const Step& step, Handles& handles);
    [[nodiscard]] Handles leave_call(const FinishRequest& answer);
    void ask(const Step& step, FinishRequest asking);
    void answered(FinishRequest answer);
    void finish(FinishRequest answer, Handles handles);
    /// What was asked is asked again later.
    void not_applied(FinishRequest asked, const Error& why, Handles handles);
    /// Keeps what slow calls are about from being taken up by another instance.
    void prolong_claims(std::chrono::steady_clock::time_point now);

    Gateway& gateway_;
    messaging::Relay& relay_;
    const Clock& clock_;
    const PaymentWriter writer_;
    const db::IdempotencyKeyStore keys_;

    const std::array<CallMetrics, 6> calls_;  // By GatewayCall.
    telemetry::Counter& events_repeated_;
    telemetry::Counter& events_rejected_;
    telemetry::Counter& events_returned_;
    telemetry::Counter& answers_refused_;
    telemetry::Counter& other_provider_payments_;

    std::atomic<std::size_t> calls_in_flight_ = 0;
    std::mutex in_flight_mutex_;
    std::unordered_map<std::string, CallInFlight> in_flight_;  // By the id of the refund, or of the payment.
    std::atomic<bool> sweeping_ = false;
    std::atomic<bool> has_more_to_purge_ = false;
    std::chrono::steady_clock::time_point next_purge_{};
    std::shared_ptr<Lifeline> lifeline_;

    db::Lane<BeginRequest, Step> begin_;
    db::Lane<FinishRequest, Step> finish_;
    db::Lane<CommandRequest, Step> command_;
    db::Lane<SweepRequest, std::vector<Step>> sweep_;
    db::Lane<PurgeRequest, Done> purge_;
    db::Lane<ProlongRequest, Done> prolong_;
    db::Lane<Visible<PaymentId>, Payment> find_;
    db::Lane<Visible<OrderId>, std::vector<Payment>> list_;
    db::Lane<PaymentId, std::vector<Refund>> list_refunds_;
};

}  // namespace quittance::payments
