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

namespace quittance::payments {

/// An event of attempt n outranks every event of attempt n - 1: see `PaymentUpdated::sequence`.
inline constexpr std::int64_t sequences_per_attempt = 1'000'000;
/// A payment that is still PENDING after this long was probably left behind by a crash: sooner, and calls
/// that are merely slow would be repeated for nothing.
inline constexpr std::chrono::seconds stale_after{30};
/// Providers remember an idempotency key for at least 24 h; beyond that the same key could charge again, so
/// we stop an hour earlier and only look up.
inline constexpr std::chrono::hours idempotency_key_valid_for{23};
/// A request of ours may be under way for this long at the most before the provider has seen it; only then
/// does "not found" prove that a canceled payment was never made.
inline constexpr std::chrono::hours not_found_is_final_after{1};
/// Look-ups are repeated with pauses that double from the first to the longest.
inline constexpr std::chrono::seconds first_look_up_pause{1};
inline constexpr std::chrono::seconds longest_look_up_pause{3600};

static_assert(not_found_is_final_after < idempotency_key_valid_for);

/// What a payment needs from the gateway.
enum class GatewayCall {
    none,
    authorize,  ///< Authorize and capture in one call, under the payment's key.
    look_up,
    refund,  ///< Give back `refund_requested_minor` under `refund_key`.
    cancel,  ///< Release what was never captured.
};

struct Payment {
    PaymentId id;
    OrderId order_id;
    UserId user_id;
    int attempt = 1;
    contracts::PaymentStatus status = contracts::PaymentStatus::pending;
    Money amount;
    std::int64_t captured_minor = 0;  ///< 0 <= refunded_minor <= captured_minor <= amount.minor, always.
    std::int64_t refunded_minor = 0;
    std::string payment_method;
    std::string provider;
    std::string provider_reference;
    std::string idempotency_key;  ///< Of the charge; stored before the first call and never changed.
    std::optional<contracts::Failure> failure;
    bool cancel_requested = false;  ///< Whatever was or will be captured goes back.
    int refunds = 0;                ///< Refunds begun so far, the declined ones too.
    std::int64_t refund_requested_minor =
        0;                   ///< The refund under way, stored before it is asked for; 0: none.
    std::string refund_key;  ///< Its idempotency key; empty when none is under way.
    int look_ups = 0;        ///< Answers in a row that did not say what happened.
    std::optional<Timestamp> next_look_up_at;  ///< When to take this payment up again by itself.
    std::string traceparent;  ///< Of the message that last asked for something; goes out with the events.
    int version = 1;          ///< Grows with every change.
    Timestamp created_at;
    Timestamp updated_at;

    bool operator==(const Payment&) const = default;
};

/// Which call was sent, and under which key: an answer to an earlier refund must not settle a later one.
struct Asked {
    GatewayCall call = GatewayCall::none;
    std::string idempotency_key;
};

/// A change of one payment: its new state, what to publish, and what to ask of the gateway at once. A payment
/// whose version did not grow needs no storing.
struct Transition {
    Payment after;
    std::vector<contracts::PaymentUpdated> events;
    GatewayCall next = GatewayCall::none;
};

/// True while money of this payment is, or may yet be, with us: an order has at most one such payment. The
/// unique index of the table says the same.
[[nodiscard]] bool is_active(contracts::PaymentStatus status);

/// A PENDING payment, not yet published (the order is PENDING by itself).
[[nodiscard]] Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event,
                                    std::string_view provider, Timestamp now);

/// A CANCELED payment that stands in the way of a charge request that its cancellation overtook.
[[nodiscard]] Transition begin_canceled(PaymentId id, const contracts::OrderCanceled& event,
                                        std::string_view provider, Timestamp now);

/// The order was canceled. `conflict` when nothing is left to give back (FAILED, CANCELED, REFUNDED) or the
/// same was asked before.
[[nodiscard]] Result<Transition> request_cancel(const Payment& payment, Timestamp now);

/// The gateway answered. `conflict` when the payment does not wait for such an answer (it was given before),
/// `internal` when the answer breaks an invariant, such as more captured than was asked for.
[[nodiscard]] Result<Transition> apply_answer(const Payment& payment, const Asked& asked,
                                              const GatewayResult& answer, Timestamp now);

/// The call that brings a payment forward that was interrupted; none for one that waits for nothing.
[[nodiscard]] GatewayCall resume_call(const Payment& payment, Timestamp now);

/// What `call` (not none) sends to the gateway: the same for the same payment, every time.
[[nodiscard]] GatewayRequest gateway_request(const Payment& payment, GatewayCall call);

/// Throws std::logic_error when the payment breaks an invariant.
void ensure_invariants(const Payment& payment);

}  // namespace quittance::payments
