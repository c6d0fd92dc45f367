// One payment of one order: its states, its money, and what may happen to it. Decides only; does no I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/money.hpp"
#include "payments/gateway.hpp"
#include "payments/refund.hpp"

namespace quittance::payments {

using contracts::sequences_per_attempt;
/// A payment that is still PENDING after this long was probably left behind by a crash: sooner, and calls
/// that are merely slow would be repeated for nothing.
inline constexpr std::chrono::seconds stale_after{30};
/// Providers remember an idempotency key for at least 24 h; beyond that the same key could charge again, so
/// we stop an hour earlier and only look up.
inline constexpr std::chrono::hours idempotency_key_valid_for{23};
/// A request of ours may be under way for this long at the most before the provider has seen it, the time
/// that it waits for its turn included. No charge is sent after a cancellation: only so long after it does
/// "not found" prove that a canceled payment was never made.
inline constexpr std::chrono::hours not_found_is_final_after{1};
/// Look-ups are repeated with pauses that double from the first to the longest.
inline constexpr std::chrono::seconds first_look_up_pause{1};
inline constexpr std::chrono::seconds longest_look_up_pause{3600};
/// Twelve pauses that double take 68 minutes, the others an hour each: three days. What a provider does not
/// know by then it will not find out by being asked again.
inline constexpr int most_look_ups = 12 + 71;

static_assert(not_found_is_final_after < idempotency_key_valid_for);

/// What a payment needs from the gateway.
enum class GatewayCall {
    none,
    authorize,  ///< Under the payment's key; captures in the same call when `capture_at_once` is set.
    look_up,
    refund,   ///< Give back the amount of a refund, under its key.
    cancel,   ///< Release what was never captured.
    capture,  ///< Take `capture_requested_minor` under `capture_key`.
};

struct Payment {
    PaymentId id;
    OrderId order_id;
    UserId user_id;
    int attempt = 1;
    contracts::PaymentStatus status = contracts::PaymentStatus::pending;
    Money amount;
    bool capture_at_once = true;      ///< Decided when the payment begins: a repetition must ask the same.
    std::int64_t captured_minor = 0;  ///< 0 <= refunded + reserved <= captured <= amount.minor, always.
    std::int64_t refunded_minor = 0;
    std::int64_t refund_reserved_minor = 0;  ///< The sum of the refunds under way.
    std::string payment_method;
    std::string provider;
    std::string provider_reference;
    std::string idempotency_key;  ///< Of the charge; stored before the first call and never changed.
    std::optional<contracts::Failure> failure;
    bool cancel_requested = false;                 ///< Whatever was or will be captured goes back.
    std::optional<Timestamp> cancel_requested_at;  ///< No charge is sent after it; set with the former.
    int captures = 0;                          ///< Captures asked for by hand so far, the declined ones too.
    std::int64_t capture_requested_minor = 0;  ///< The capture under way; 0: none.
    std::string capture_key;                   ///< Its idempotency key; empty when none is under way.
    int look_ups = 0;                          ///< Answers in a row that did not say what happened.
    std::optional<Timestamp> next_look_up_at;  ///< When to take this payment up again by itself.
    std::optional<Timestamp> stuck_since;      ///< The schedule ended without an answer: a human has to look.
    std::string traceparent;  ///< Of the message that last asked for something; goes out with the events.
    int version = 1;          ///< Grows with every change.
    Timestamp created_at;
    Timestamp updated_at;

    bool operator==(const Payment&) const = default;
};

/// Which call was sent, and under which key: an answer to an earlier capture must not settle a later one.
struct Asked {
    GatewayCall call = GatewayCall::none;
    std::string idempotency_key;
};

/// A change of one payment: its new state, its refunds that began or changed, what to publish, and what to
/// ask of the gateway at once. A payment whose version did not grow needs no storing.
struct Transition {
    Payment after;
    std::vector<Refund> refunds;  ///< The call `refund` is for the last of them.
    std::vector<contracts::PaymentUpdated> events;
    GatewayCall next = GatewayCall::none;
};

/// How payments begin, by choice of the operator.
enum class CaptureMode { automatic, manual };

/// True while money of this payment is, or may yet be, with us: an order has at most one such payment. The
/// unique index of the table says the same.
[[nodiscard]] bool is_active(contracts::PaymentStatus status);

/// What of the captured money may still be asked back.
[[nodiscard]] std::int64_t refundable_minor(const Payment& payment);

/// A PENDING payment, not yet published (the order is PENDING by itself).
[[nodiscard]] Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event,
                                    std::string_view provider, CaptureMode mode, Timestamp now);

/// A CANCELED payment that stands in the way of a charge request that its cancellation overtook.
[[nodiscard]] Transition begin_canceled(PaymentId id, const contracts::OrderCanceled& event,
                                        std::string_view provider, Timestamp now);

/// The order was canceled. `conflict` when nothing is left to give back (FAILED, CANCELED, REFUNDED) or the
/// same was asked before. Here and below, `spare` becomes the id of the refund that gives the rest back.
[[nodiscard]] Result<Transition> request_cancel(const Payment& payment, RefundId spare, Timestamp now);

/// Takes part or all of an authorized payment, once. `conflict` in any other status or over the amount.
[[nodiscard]] Result<Transition> request_capture(const Payment& payment, std::int64_t amount_minor,
                                                 Timestamp now);

/// Releases what was not captured. `conflict` when nothing waits for a capture or for the customer.
[[nodiscard]] Result<Transition> request_void(const Payment& payment, Timestamp now);

/// Reserves the amount and begins a refund. What cannot go back (too much, nothing captured) is a refund that
/// FAILED, which is published, so that whoever asked for it learns of it.
[[nodiscard]] Transition request_refund(const Payment& payment, const contracts::RefundRequested& event,
                                        Timestamp now);

/// The gateway answered. `conflict` when the payment does not wait for such an answer (it was given before),
/// `internal` when the answer breaks an invariant, such as more captured than was asked for.
[[nodiscard]] Result<Transition> apply_answer(const Payment& payment, const Asked& asked,
                                              const GatewayResult& answer, RefundId spare, Timestamp now);
/// The same for an answer about a refund.
[[nodiscard]] Result<Transition> apply_refund_answer(const Payment& payment, const Refund& refund,
                                                     const Asked& asked, const GatewayResult& answer,
                                                     RefundId spare, Timestamp now);

/// The answer could not be applied, or not be stored: the provider is asked again, later each time, until a
/// human has to look.
[[nodiscard]] Transition put_off(const Payment& payment, Timestamp now);
[[nodiscard]] Transition put_off(const Payment& payment, const Refund& refund, Timestamp now);

/// Whether news of the provider about this payment calls for a look-up. `resume_call` wants one once the
/// payment is due.
[[nodiscard]] bool heeds_news(const Payment& payment);

/// The call that brings a payment or a refund forward that was interrupted; none when it waits for nothing.
[[nodiscard]] GatewayCall resume_call(const Payment& payment, Timestamp now);
[[nodiscard]] GatewayCall resume_call(const Refund& refund, Timestamp now);

/// What `call` (not none) sends to the gateway: the same for the same payment, every time.
[[nodiscard]] GatewayRequest gateway_request(const Payment& payment, GatewayCall call);
[[nodiscard]] GatewayRequest gateway_request(const Payment& payment, const Refund& refund, GatewayCall call);

/// Takes up again what stands in the list for a human; false when it does not stand there.
[[nodiscard]] bool resume_stuck(Payment& payment, Timestamp now);
[[nodiscard]] bool resume_stuck(Refund& refund, Timestamp now);

/// Throws std::logic_error when the payment breaks an invariant.
void ensure_invariants(const Payment& payment);

}  // namespace quittance::payments
