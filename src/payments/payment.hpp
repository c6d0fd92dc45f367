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

/// A request that the provider refuses under a key of which an earlier try got no answer is refused for good
/// after so many look-ups: 68 minutes, in which nothing is on its way any more.
inline constexpr int refusal_is_final_after_look_ups = 12;
/// A payment that the provider decides on later, or holds authorized, is looked at by itself: after a pause
/// of as long as it is old, within these bounds. Its webhooks come sooner.
inline constexpr std::chrono::seconds shortest_watch_pause{2};
inline constexpr std::chrono::hours longest_watch_pause{24};

/// What a payment needs from the gateway.
enum class GatewayCall {
    none,
    authorize,  ///< Under the payment's key; captures in the same call when `capture_at_once` is set.
    look_up,
    refund,   ///< Give back the amount of a refund, under its key.
    cancel,   ///< Close what was never captured.
    capture,  ///< Take `capture_requested_minor` under `capture_key`.
};

/// What was last seen of a payment at its provider.
enum class ProviderState {
    none,        ///< Nothing yet. It may be there all the same.
    absent,      ///< It was not made, and no request that could make it is under way.
    open,        ///< Declined, or waits for the customer: a customer may still confirm it.
    processing,  ///< The provider decides later.
    authorized,  ///< The amount is reserved.
    canceled,    ///< Closed; holds nothing.
    captured,    ///< Money was taken: `captured_minor`, `refunded_minor`.
};

[[nodiscard]] std::string_view to_string(ProviderState state);
[[nodiscard]] std::optional<ProviderState> parse_provider_state(std::string_view text);

/// What is wanted (by us), what was seen (at the provider), and what follows from both. What is wanted
/// changes by the functions `request_...` only, what was seen by `apply_answer` and `apply_refund_answer`
/// only; the status follows.
struct Payment {
    PaymentId id;
    OrderId order_id;
    UserId user_id;
    int attempt = 1;
    Money amount;
    std::string payment_method;
    std::string provider;
    std::string idempotency_key;  ///< Of the charge; stored before the first call and never changed.
    bool capture_at_once = true;  ///< Decided when the payment begins: a repetition must ask the same.
    Timestamp created_at;

    // Wanted.
    /// Let it end: another attempt has taken its place. Money that is there all the same may pay the order.
    /// No charge is sent from then on.
    std::optional<Timestamp> closed_at;
    bool cancel_requested = false;  ///< It shall hold nothing: whatever was or will be captured goes back.
    std::optional<Timestamp> cancel_requested_at;  ///< No charge is sent after it; set with the former.
    int captures = 0;                          ///< Captures asked for by hand so far, the refused ones too.
    std::int64_t capture_requested_minor = 0;  ///< The capture under way; 0: none.
    std::string capture_key;                   ///< Its idempotency key; empty when none is under way.
    std::int64_t refund_reserved_minor = 0;    ///< The sum of the refunds under way.

    // Seen.
    bool charge_sent = false;  ///< A charge may have been sent. Set before the first is.
    ProviderState provider_state = ProviderState::none;
    std::string provider_reference;
    std::int64_t captured_minor = 0;  ///< Never falls, and neither does the next.
    std::int64_t refunded_minor = 0;  ///< At whosever request.
    std::optional<contracts::Failure> failure;

    // What follows.
    contracts::PaymentStatus status = contracts::PaymentStatus::pending;
    int look_ups = 0;                          ///< Answers in a row that did not say what happened.
    std::optional<Timestamp> next_look_up_at;  ///< When to take this payment up again by itself.
    std::optional<Timestamp> stuck_since;      ///< Waits for manual review.
    std::string traceparent;  ///< Of the message that last asked for something; goes out with the events.
    int version = 1;          ///< Grows with every change.
    Timestamp updated_at;

    bool operator==(const Payment&) const = default;
};

/// Which call was sent, and what its asker had seen. An answer moves the schedule only of the state that
/// asked; what it tells of the provider is taken in all the same.
struct Asked {
    GatewayCall call = GatewayCall::none;
    std::string idempotency_key;
    bool is_first_try = false;  ///< No earlier call under this key.
    int seen_version = 0;       ///< `Payment::version`; for a refund, its `look_ups`.
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

/// It shall neither be charged nor be kept waiting for a customer.
[[nodiscard]] bool is_ended(const Payment& payment);
/// Nothing can come of it any more: no money is held, and without a further request of ours none will be.
[[nodiscard]] bool is_over(const Payment& payment);
/// Of the attempts to pay one order, this one has paid it, whatever of the money went back since.
[[nodiscard]] bool pays(const Payment& payment);

/// Why it failed, where that can be told: not before it is final.
[[nodiscard]] const std::optional<contracts::Failure>& visible_failure(const Payment& payment);

/// What of the captured money may still be asked back; never negative.
[[nodiscard]] std::int64_t refundable_minor(const Payment& payment);

/// A PENDING payment, not yet published (the order is PENDING by itself). `waits`: its charge is not sent
/// before `release_charge`.
[[nodiscard]] Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event,
                                    std::string_view provider, CaptureMode mode, Timestamp now,
                                    bool waits = false);

/// A CANCELED payment that stands in the way of a charge request that its cancellation overtook.
[[nodiscard]] Transition begin_canceled(PaymentId id, const contracts::OrderCanceled& event,
                                        std::string_view provider, Timestamp now);

/// The amount is zero, which no provider charges: captured without asking.
[[nodiscard]] Transition take_nothing(const Payment& payment, Timestamp now);

/// The order was canceled, or another attempt pays it: nothing shall stay with this one, whatever its state.
/// `conflict` when the same was asked before. Here and below, `remainder_id` becomes the id of the refund
/// that gives back the remainder.
[[nodiscard]] Result<Transition> request_cancel(const Payment& payment, RefundId remainder_id, Timestamp now);

/// Another attempt takes its place. `conflict` when it was ended before.
[[nodiscard]] Result<Transition> request_close(const Payment& payment, Timestamp now);

/// The attempts before are over: the charge may be sent, and is due.
[[nodiscard]] Transition release_charge(const Payment& payment, Timestamp now);

/// Takes part or all of an authorized payment, once. `conflict` in any other status or over the amount.
[[nodiscard]] Result<Transition> request_capture(const Payment& payment, std::int64_t amount_minor,
                                                 Timestamp now);

/// Releases what was not captured. `conflict` when nothing waits for a capture or for the customer.
[[nodiscard]] Result<Transition> request_void(const Payment& payment, RefundId remainder_id, Timestamp now);

/// Reserves the amount and begins a refund. What cannot go back (too much, nothing captured) is a refund that
/// FAILED, which is published, so that whoever asked for it learns of it.
[[nodiscard]] Transition request_refund(const Payment& payment, const contracts::RefundRequested& event,
                                        Timestamp now);

/// Publishes the outcome of a refund that is over, for a consumer that asked for it again.
[[nodiscard]] Transition repeat_outcome(const Payment& payment, const Refund& refund, Timestamp now);

/// The one door for what is seen: takes in the answer to any call, in every state, and says what follows.
[[nodiscard]] Transition apply_answer(const Payment& payment, const Asked& asked, const GatewayResult& answer,
                                      RefundId remainder_id, Timestamp now);
/// The same for an answer about a refund.
[[nodiscard]] Transition apply_refund_answer(const Payment& payment, const Refund& refund, const Asked& asked,
                                             const GatewayResult& answer, RefundId remainder_id,
                                             Timestamp now);

/// The answer could not be stored: the provider is asked again, later each time, until manual review.
[[nodiscard]] Transition put_off(const Payment& payment, Timestamp now);
[[nodiscard]] Transition put_off(const Payment& payment, const Refund& refund, Timestamp now);

/// What to ask next, from what is wanted and what was seen; none when nothing is left to do. The first row
/// that applies of the table in docs/decisions/0019-wanted-and-seen.md.
[[nodiscard]] GatewayCall plan(const Payment& payment, Timestamp now);
[[nodiscard]] GatewayCall plan(const Refund& refund, Timestamp now);

/// What to ask of a payment that is due: what is planned, else a look, for somebody has told of it. None when
/// the provider cannot know it.
[[nodiscard]] GatewayCall due_call(const Payment& payment, Timestamp now);

/// What `call` (not none) sends to the gateway: the same for the same payment, every time.
[[nodiscard]] GatewayRequest gateway_request(const Payment& payment, GatewayCall call);
[[nodiscard]] GatewayRequest gateway_request(const Payment& payment, const Refund& refund, GatewayCall call);

/// Takes up again what waits for manual review; false when it does not.
[[nodiscard]] bool resume_stuck(Payment& payment, Timestamp now);
[[nodiscard]] bool resume_stuck(Refund& refund, Timestamp now);

/// Throws std::logic_error when the payment breaks an invariant.
void ensure_invariants(const Payment& payment);

}  // namespace quittance::payments
