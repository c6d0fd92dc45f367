#include "payments/payment.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "core/canary.hpp"
#include "payments/transition.hpp"

namespace quittance::payments {

namespace {

using contracts::PaymentStatus;

constexpr std::size_t max_idempotency_key_length = 255;

constexpr std::array all_provider_states{
    ProviderState::none,       ProviderState::absent,   ProviderState::open,    ProviderState::processing,
    ProviderState::authorized, ProviderState::canceled, ProviderState::captured};

[[noreturn]] void impossible() {
    throw std::logic_error("an enumeration holds none of its values");
}

bool awaits_capture(const Payment& payment) {
    return payment.capture_requested_minor > 0;
}

/// A repetition was refused, and what became of an earlier try is not known: the charge is not sent again.
bool is_refused_in_doubt(const Payment& payment) {
    return payment.provider_state == ProviderState::none && payment.failure.has_value();
}

/// From when on no charge is sent.
Timestamp last_sent_before(const Payment& payment) {
    Timestamp last = payment.created_at + idempotency_key_valid_for;
    if (payment.closed_at) last = std::min(last, *payment.closed_at);
    if (payment.cancel_requested_at) last = std::min(last, *payment.cancel_requested_at);
    if (is_refused_in_doubt(payment)) last = std::min(last, payment.updated_at);
    return last;
}

void schedule_now(Payment& payment, Timestamp now) {
    payment.next_look_up_at = now;
    payment.stuck_since.reset();
    // An unanswered payment stays UNKNOWN.
    payment.look_ups = std::min(payment.look_ups, 1);
}

/// A change of what is wanted, which is asked for at once.
Transition wanted(const Payment& before, Payment after, RefundId remainder_id, Timestamp now) {
    const GatewayCall call = plan(after, now);
    if (call != GatewayCall::none) {
        schedule_now(after, now);
        schedule_resumption(after, now);
    }
    return followed(before, std::move(after), remainder_id, now, call);
}

}  // namespace

std::string_view to_string(ProviderState state) {
    switch (state) {
        case ProviderState::none: return "NONE";
        case ProviderState::absent: return "ABSENT";
        case ProviderState::open: return "OPEN";
        case ProviderState::processing: return "PROCESSING";
        case ProviderState::authorized: return "AUTHORIZED";
        case ProviderState::canceled: return "CANCELED";
        case ProviderState::captured: return "CAPTURED";
    }
    return "";
}

std::optional<ProviderState> parse_provider_state(std::string_view text) {
    for (const ProviderState state : all_provider_states) {
        if (to_string(state) == text) return state;
    }
    return std::nullopt;
}

bool is_ended(const Payment& payment) {
    return payment.closed_at || payment.cancel_requested;
}

bool is_over(const Payment& payment) {
    switch (payment.provider_state) {
        case ProviderState::none: return !payment.charge_sent && is_ended(payment);
        case ProviderState::absent:
        case ProviderState::canceled: return true;
        case ProviderState::captured:
            return payment.refunded_minor >= payment.captured_minor &&
                   payment.status == PaymentStatus::refunded;
        case ProviderState::open:
        case ProviderState::processing:
        case ProviderState::authorized: return false;
    }
    impossible();
}

bool pays(const Payment& payment) {
    return payment.provider_state == ProviderState::captured && !payment.cancel_requested;
}

std::int64_t refundable_minor(const Payment& payment) {
    // More may have gone back than was asked for here.
    return std::max<std::int64_t>(
        0, payment.captured_minor - payment.refunded_minor - payment.refund_reserved_minor);
}

GatewayCall plan(const Payment& payment, Timestamp now) {
    switch (payment.provider_state) {
        case ProviderState::none:
            if (!payment.charge_sent) return GatewayCall::none;
            // Asking again might make what shall not be, or under a forgotten key make it twice.
            if (now >= last_sent_before(payment)) return GatewayCall::look_up;
            // The very same request cannot charge twice, and its answer tells what became of the first.
            return GatewayCall::authorize;
        // What a customer can still confirm must not be called failed.
        case ProviderState::open:
            return planted(Canary::declined_stays_open) ? GatewayCall::none : GatewayCall::cancel;
        case ProviderState::processing: return GatewayCall::look_up;
        case ProviderState::authorized:
            if (is_ended(payment)) return GatewayCall::cancel;
            return awaits_capture(payment) ? GatewayCall::capture : GatewayCall::look_up;
        case ProviderState::absent:
        case ProviderState::canceled:
        // Refunds are planned by themselves.
        case ProviderState::captured: return GatewayCall::none;
    }
    impossible();
}

GatewayCall due_call(const Payment& payment, Timestamp now) {
    const GatewayCall planned = plan(payment, now);
    if (planned != GatewayCall::none || !payment.charge_sent) return planned;
    return GatewayCall::look_up;
}

Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event, std::string_view provider,
                      CaptureMode mode, Timestamp now, bool waits) {
    Payment payment{.id = id,
                    .order_id = event.order_id,
                    .user_id = event.user_id,
                    .attempt = event.attempt,
                    .amount = event.amount,
                    .payment_method = event.payment_method,
                    .provider = std::string(provider),
                    .idempotency_key = "pay-" + id.to_string(),
                    // What costs nothing has nothing to wait for.
                    .capture_at_once = mode == CaptureMode::automatic || event.amount.minor == 0,
                    .created_at = now,
                    .charge_sent = !waits,
                    .updated_at = now};
    if (!waits) schedule_resumption(payment, now);
    ensure_invariants(payment);
    return payment;
}

Transition begin_canceled(PaymentId id, const contracts::OrderCanceled& event, std::string_view provider,
                          Timestamp now) {
    Payment payment{.id = id,
                    .order_id = event.order_id,
                    .user_id = event.user_id,
                    .attempt = event.attempt,
                    .amount = event.amount,
                    .provider = std::string(provider),
                    .idempotency_key = "pay-" + id.to_string(),
                    .created_at = now,
                    .cancel_requested = true,
                    .cancel_requested_at = now,
                    .status = PaymentStatus::canceled,
                    .updated_at = now};
    ensure_invariants(payment);
    contracts::PaymentUpdated event_to_publish = updated_event(payment);
    return {std::move(payment), {}, {std::move(event_to_publish)}, GatewayCall::none};
}

Transition take_nothing(const Payment& payment, Timestamp now) {
    ensure(payment.amount.minor == 0, "only an amount of zero is taken without asking the provider");
    Payment after = payment;
    after.provider_state = ProviderState::captured;
    settle(after);
    return followed(payment, std::move(after), {}, now);
}

Result<Transition> request_cancel(const Payment& payment, RefundId remainder_id, Timestamp now) {
    if (payment.cancel_requested) return conflict(payment, "be canceled twice");
    Payment after = payment;
    after.cancel_requested = true;
    after.cancel_requested_at = now;
    return wanted(payment, std::move(after), remainder_id, now);
}

Result<Transition> request_close(const Payment& payment, Timestamp now) {
    if (is_ended(payment)) return conflict(payment, "be closed; it was ended before");
    Payment after = payment;
    after.closed_at = now;
    return wanted(payment, std::move(after), {}, now);
}

Transition release_charge(const Payment& payment, Timestamp now) {
    ensure(!payment.charge_sent && !is_ended(payment), "only a charge that waits is released");
    Payment after = payment;
    after.charge_sent = true;
    return wanted(payment, std::move(after), {}, now);
}

Result<Transition> request_capture(const Payment& payment, std::int64_t amount_minor, Timestamp now) {
    if (payment.status != PaymentStatus::authorized || is_ended(payment)) {
        return conflict(payment, "be captured");
    }
    if (awaits_capture(payment)) return conflict(payment, "be captured twice; a capture is under way");
    if (amount_minor < 1 || amount_minor > payment.amount.minor) {
        return conflict(payment, "be captured with more than was authorized, or with nothing");
    }
    Payment after = payment;
    after.captures += 1;
    after.capture_requested_minor = amount_minor;
    after.capture_key = "capture-" + payment.id.to_string() + "-" + std::to_string(after.captures);
    after.failure.reset();
    settle(after);
    schedule_resumption(after, now);
    return unpublished(std::move(after), now, GatewayCall::capture);
}

Result<Transition> request_void(const Payment& payment, RefundId remainder_id, Timestamp now) {
    const bool waits =
        payment.status == PaymentStatus::authorized || payment.status == PaymentStatus::requires_action;
    if (!waits || payment.cancel_requested || awaits_capture(payment)) return conflict(payment, "be voided");
    return request_cancel(payment, remainder_id, now);
}

GatewayRequest gateway_request(const Payment& payment, GatewayCall call) {
    GatewayRequest request{.payment_id = payment.id,
                           .order_id = payment.order_id,
                           .amount = payment.amount,
                           .payment_method = payment.payment_method,
                           .provider_reference = payment.provider_reference,
                           .idempotency_key = payment.idempotency_key,
                           .may_be_sent_until = last_sent_before(payment)};
    if (call == GatewayCall::authorize) {
        // The first request knew no reference, and a repetition under the same key must equal it.
        request.provider_reference.clear();
    } else if (call == GatewayCall::capture) {
        request.amount.minor = payment.capture_requested_minor;
        request.idempotency_key = payment.capture_key;
    } else if (call == GatewayCall::cancel) {
        request.idempotency_key = "cancel-" + payment.id.to_string();
    }
    return request;
}

bool resume_stuck(Payment& payment, Timestamp now) {
    if (!payment.stuck_since) return false;
    schedule_now(payment, now);
    return true;
}

void ensure_invariants(const Payment& payment) {
    ensure(payment.attempt >= 1, "a payment's attempt is at least 1");
    ensure(payment.captured_minor >= 0 && payment.refunded_minor >= 0 && payment.refund_reserved_minor >= 0,
           "amounts are not negative");
    ensure(payment.amount.minor <= max_amount_minor, "an amount is within its bounds");
    ensure(payment.capture_requested_minor >= 0 && payment.capture_requested_minor <= payment.amount.minor,
           "no more is asked for than is authorized");
    ensure(payment.cancel_requested == payment.cancel_requested_at.has_value(),
           "it is known since when a payment is to be canceled");
    ensure(awaits_capture(payment) == !payment.capture_key.empty(), "a capture under way has a key");
    ensure(!payment.idempotency_key.empty() && payment.idempotency_key.size() <= max_idempotency_key_length,
           "a payment has an idempotency key");
    ensure(payment.charge_sent || payment.provider_state == ProviderState::none,
           "what was never sent was never seen");
}

}  // namespace quittance::payments
