#include "payments/payment.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace quittance::payments {

namespace {

using contracts::Failure;
using contracts::PaymentStatus;

constexpr std::size_t max_idempotency_key_length = 255;
// 2^12 s is longer than the longest pause; shifting further could overflow.
constexpr int most_doublings = 12;

[[noreturn]] void impossible() {
    throw std::logic_error("an enumeration holds none of its values");
}

Error conflict(const Payment& payment, std::string_view what) {
    return Error{
        ErrorCode::conflict,
        "A payment in state " + std::string(to_string(payment.status)) + " cannot " + std::string(what) + ".",
        {},
        0};
}

contracts::PaymentUpdated updated_event(const Payment& payment) {
    ensure(payment.version < sequences_per_attempt, "a payment changes fewer times than its sequence allows");
    return {.order_id = payment.order_id,
            .payment_id = payment.id,
            .status = payment.status,
            .captured_minor = payment.captured_minor,
            .refunded_minor = payment.refunded_minor,
            .currency = payment.amount.currency,
            .sequence = payment.attempt * sequences_per_attempt + payment.version,
            .failure = payment.failure};
}

/// A change that only this service needs to know.
Transition unpublished(Payment after, Timestamp now, GatewayCall next = GatewayCall::none) {
    after.version += 1;
    after.updated_at = now;
    ensure_invariants(after);
    return {std::move(after), {}, next};
}

Transition published(Payment after, Timestamp now, GatewayCall next = GatewayCall::none) {
    Transition transition = unpublished(std::move(after), now, next);
    transition.events.push_back(updated_event(transition.after));
    return transition;
}

void schedule_look_up(Payment& payment, Timestamp now) {
    const std::chrono::seconds pause =
        first_look_up_pause * (1 << std::min(payment.look_ups, most_doublings));
    payment.next_look_up_at = now + std::min(pause, longest_look_up_pause);
    payment.look_ups += 1;
}

/// Until the answer comes; see `stale_after`.
void schedule_resumption(Payment& payment, Timestamp now) {
    payment.look_ups = 0;
    payment.next_look_up_at = now + stale_after;
}

void settle(Payment& payment) {
    payment.look_ups = 0;
    payment.next_look_up_at.reset();
}

void begin_refund(Payment& payment, std::int64_t amount_minor, Timestamp now) {
    payment.refunds += 1;
    payment.refund_requested_minor = amount_minor;
    payment.refund_key = "refund-" + payment.id.to_string() + "-" + std::to_string(payment.refunds);
    schedule_resumption(payment, now);
}

PaymentStatus status_of_money(const Payment& payment) {
    if (payment.refunded_minor == payment.captured_minor && payment.refunded_minor > 0) {
        return PaymentStatus::refunded;
    }
    return payment.refunded_minor > 0 ? PaymentStatus::partially_refunded : PaymentStatus::captured;
}

/// Gives back what is left of a canceled payment; without money there is nothing to ask of the gateway.
GatewayCall give_back_rest(Payment& payment, Timestamp now) {
    const std::int64_t rest = payment.captured_minor - payment.refunded_minor;
    if (rest == 0) {
        payment.status = PaymentStatus::refunded;
        return GatewayCall::none;
    }
    begin_refund(payment, rest, now);
    return GatewayCall::refund;
}

Result<Transition> captured(Payment after, std::int64_t captured_minor, std::int64_t refunded_minor,
                            Timestamp now) {
    if (captured_minor < 0 || captured_minor > after.amount.minor || refunded_minor < 0 ||
        refunded_minor > captured_minor) {
        return Error{
            ErrorCode::internal, "The provider reports amounts that this payment cannot have.", {}, 0};
    }
    after.captured_minor = captured_minor;
    after.refunded_minor = refunded_minor;
    after.status = status_of_money(after);
    after.failure.reset();
    settle(after);
    GatewayCall next = GatewayCall::none;
    if (after.cancel_requested && after.status != PaymentStatus::refunded) next = give_back_rest(after, now);
    return published(std::move(after), now, next);
}

Transition declined(Payment after, Failure failure, Timestamp now) {
    after.status = after.cancel_requested ? PaymentStatus::canceled : PaymentStatus::failed;
    if (failure.code.empty()) failure.code = "declined";
    after.failure = std::move(failure);
    settle(after);
    return published(std::move(after), now);
}

Transition action_required(Payment after, Failure failure, Timestamp now) {
    after.status = PaymentStatus::requires_action;
    if (failure.code.empty()) failure.code = "authentication_required";
    after.failure = std::move(failure);
    if (!after.cancel_requested) {
        settle(after);
        return published(std::move(after), now);
    }
    schedule_resumption(after, now);
    return published(std::move(after), now, GatewayCall::cancel);
}

/// The provider has decided nothing yet (PENDING), or we cannot tell (UNKNOWN).
Transition undecided(Payment after, PaymentStatus status, Timestamp now) {
    schedule_look_up(after, now);
    const bool news = after.status != status;
    after.status = status;
    return news ? published(std::move(after), now) : unpublished(std::move(after), now);
}

/// The provider has never seen the charge.
Transition never_received(Payment after, Timestamp now) {
    const auto age = now - after.created_at;
    if (after.cancel_requested && age >= not_found_is_final_after) {
        after.status = PaymentStatus::canceled;
        settle(after);
        return published(std::move(after), now);
    }
    if (after.cancel_requested) {
        schedule_look_up(after, now);
        return unpublished(std::move(after), now);
    }
    if (age < idempotency_key_valid_for) {
        // The very same request again cannot charge twice, wherever the first one is.
        schedule_look_up(after, now);
        return unpublished(std::move(after), now, GatewayCall::authorize);
    }
    return declined(std::move(after),
                    {"provider_never_received", "The payment provider never received this payment."}, now);
}

bool awaits_charge(const Payment& payment) {
    return payment.status == PaymentStatus::pending || payment.status == PaymentStatus::unknown;
}

bool awaits_refund(const Payment& payment) {
    return payment.refund_requested_minor > 0;
}

bool awaits_release(const Payment& payment) {
    return payment.cancel_requested &&
           (payment.status == PaymentStatus::requires_action || payment.status == PaymentStatus::authorized);
}

Result<Transition> apply_charge(Payment after, const GatewayResult& answer, Timestamp now) {
    switch (answer.outcome) {
        case GatewayOutcome::succeeded: {
            const std::int64_t amount_minor = after.amount.minor;
            return captured(std::move(after), amount_minor, 0, now);
        }
        case GatewayOutcome::declined: return declined(std::move(after), answer.failure, now);
        case GatewayOutcome::requires_action: return action_required(std::move(after), answer.failure, now);
        case GatewayOutcome::pending: return undecided(std::move(after), PaymentStatus::pending, now);
        // "Not found" is no answer to a charge: it does not say what happened.
        case GatewayOutcome::not_found:
        case GatewayOutcome::unknown: return undecided(std::move(after), PaymentStatus::unknown, now);
    }
    impossible();
}

Result<Transition> apply_charge_look_up(Payment after, const GatewayResult& answer, Timestamp now) {
    if (answer.outcome == GatewayOutcome::not_found) return never_received(std::move(after), now);
    if (answer.outcome != GatewayOutcome::succeeded) return apply_charge(std::move(after), answer, now);
    if (answer.captured_minor == 0 && after.amount.minor > 0) {
        return undecided(std::move(after), PaymentStatus::unknown, now);
    }
    return captured(std::move(after), answer.captured_minor, answer.refunded_minor, now);
}

Transition refund_made(Payment after, Timestamp now) {
    after.refunded_minor += after.refund_requested_minor;
    after.refund_requested_minor = 0;
    after.refund_key.clear();
    after.failure.reset();
    after.status = status_of_money(after);
    settle(after);
    GatewayCall next = GatewayCall::none;
    if (after.cancel_requested && after.status != PaymentStatus::refunded) next = give_back_rest(after, now);
    return published(std::move(after), now, next);
}

Transition apply_refund(Payment after, const GatewayResult& answer, Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded) return refund_made(std::move(after), now);
    if (answer.outcome == GatewayOutcome::declined) {
        // A refund that was refused has moved nothing, so the next try is a new one with a key of its own.
        const int look_ups = after.look_ups;
        begin_refund(after, after.refund_requested_minor, now);
        after.look_ups = look_ups;
        after.failure = answer.failure;
    }
    schedule_look_up(after, now);
    return unpublished(std::move(after), now);
}

Transition apply_refund_look_up(Payment after, const GatewayResult& answer, Timestamp now) {
    if (answer.refunded_minor >= after.refunded_minor + after.refund_requested_minor) {
        return refund_made(std::move(after), now);
    }
    schedule_look_up(after, now);
    const bool answered = answer.outcome != GatewayOutcome::unknown;
    return unpublished(std::move(after), now, answered ? GatewayCall::refund : GatewayCall::none);
}

Transition apply_release(Payment after, const GatewayResult& answer, Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded || answer.outcome == GatewayOutcome::not_found) {
        after.status = PaymentStatus::canceled;
        settle(after);
        return published(std::move(after), now);
    }
    // It may have been captured in the meantime: only a look-up tells.
    return undecided(std::move(after), PaymentStatus::unknown, now);
}

}  // namespace

bool is_active(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::pending:
        case PaymentStatus::authorized:
        case PaymentStatus::captured:
        case PaymentStatus::unknown:
        case PaymentStatus::partially_refunded: return true;
        // Without a further request of ours nothing can come of a payment that requires an action.
        case PaymentStatus::requires_action:
        case PaymentStatus::failed:
        case PaymentStatus::canceled:
        case PaymentStatus::refunded: return false;
    }
    impossible();
}

Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event, std::string_view provider,
                      Timestamp now) {
    Payment payment{.id = id,
                    .order_id = event.order_id,
                    .user_id = event.user_id,
                    .attempt = event.attempt,
                    .amount = event.amount,
                    .payment_method = event.payment_method,
                    .provider = std::string(provider),
                    .idempotency_key = "pay-" + id.to_string(),
                    .created_at = now,
                    .updated_at = now};
    schedule_resumption(payment, now);
    ensure_invariants(payment);
    return payment;
}

Transition begin_canceled(PaymentId id, const contracts::OrderCanceled& event, std::string_view provider,
                          Timestamp now) {
    Payment payment{.id = id,
                    .order_id = event.order_id,
                    .user_id = event.user_id,
                    .attempt = event.attempt,
                    .status = PaymentStatus::canceled,
                    .amount = event.amount,
                    .provider = std::string(provider),
                    .idempotency_key = "pay-" + id.to_string(),
                    .cancel_requested = true,
                    .created_at = now,
                    .updated_at = now};
    ensure_invariants(payment);
    contracts::PaymentUpdated event_to_publish = updated_event(payment);
    return {std::move(payment), {std::move(event_to_publish)}, GatewayCall::none};
}

Result<Transition> request_cancel(const Payment& payment, Timestamp now) {
    if (payment.cancel_requested) return conflict(payment, "be canceled twice");
    Payment after = payment;
    after.cancel_requested = true;
    switch (payment.status) {
        case PaymentStatus::pending: return unpublished(std::move(after), now);
        case PaymentStatus::unknown:
            after.look_ups = 0;
            after.next_look_up_at = now;
            return unpublished(std::move(after), now);
        case PaymentStatus::authorized:
        case PaymentStatus::requires_action:
            schedule_resumption(after, now);
            return unpublished(std::move(after), now, GatewayCall::cancel);
        case PaymentStatus::captured:
        case PaymentStatus::partially_refunded: {
            // A refund under way is finished first; the rest follows it.
            if (awaits_refund(after)) return unpublished(std::move(after), now);
            const GatewayCall next = give_back_rest(after, now);
            return next == GatewayCall::none ? published(std::move(after), now)
                                             : unpublished(std::move(after), now, next);
        }
        case PaymentStatus::failed:
        case PaymentStatus::canceled:
        case PaymentStatus::refunded: return conflict(payment, "be canceled");
    }
    impossible();
}

Result<Transition> apply_answer(const Payment& payment, const Asked& asked, const GatewayResult& answer,
                                Timestamp now) {
    Payment after = payment;
    if (!answer.provider_reference.empty() && asked.call != GatewayCall::refund) {
        after.provider_reference = answer.provider_reference;
    }
    switch (asked.call) {
        case GatewayCall::authorize:
            if (!awaits_charge(payment)) return conflict(payment, "be charged");
            return apply_charge(std::move(after), answer, now);
        case GatewayCall::look_up:
            if (awaits_charge(payment)) return apply_charge_look_up(std::move(after), answer, now);
            if (awaits_refund(payment)) return apply_refund_look_up(std::move(after), answer, now);
            return conflict(payment, "be changed by a look-up");
        case GatewayCall::refund:
            if (!awaits_refund(payment) || asked.idempotency_key != payment.refund_key) {
                return conflict(payment, "take the answer to a refund that is not under way");
            }
            return apply_refund(std::move(after), answer, now);
        case GatewayCall::cancel:
            if (!awaits_release(payment)) return conflict(payment, "be released");
            return apply_release(std::move(after), answer, now);
        case GatewayCall::none: return conflict(payment, "be changed by an answer that nobody asked for");
    }
    impossible();
}

GatewayCall resume_call(const Payment& payment, Timestamp now) {
    if (awaits_charge(payment)) {
        const bool may_repeat = payment.status == PaymentStatus::pending &&
                                payment.provider_reference.empty() && !payment.cancel_requested &&
                                now - payment.created_at < idempotency_key_valid_for;
        return may_repeat ? GatewayCall::authorize : GatewayCall::look_up;
    }
    if (awaits_refund(payment)) return payment.look_ups > 0 ? GatewayCall::look_up : GatewayCall::refund;
    return awaits_release(payment) ? GatewayCall::cancel : GatewayCall::none;
}

GatewayRequest gateway_request(const Payment& payment, GatewayCall call) {
    GatewayRequest request{.payment_id = payment.id,
                           .order_id = payment.order_id,
                           .amount = payment.amount,
                           .payment_method = payment.payment_method,
                           .provider_reference = payment.provider_reference,
                           .idempotency_key = payment.idempotency_key};
    if (call == GatewayCall::authorize) {
        // The first request knew no reference, and a repetition under the same key must equal it.
        request.provider_reference.clear();
    } else if (call == GatewayCall::refund) {
        request.amount.minor = payment.refund_requested_minor;
        request.idempotency_key = payment.refund_key;
    } else if (call == GatewayCall::cancel) {
        request.idempotency_key = "cancel-" + payment.id.to_string();
    }
    return request;
}

void ensure_invariants(const Payment& payment) {
    ensure(payment.attempt >= 1, "a payment's attempt is at least 1");
    ensure(payment.refunded_minor >= 0 && payment.refunded_minor <= payment.captured_minor,
           "no more is refunded than was captured");
    ensure(payment.captured_minor <= payment.amount.minor, "no more is captured than was asked for");
    ensure(payment.amount.minor <= max_amount_minor, "an amount is within its bounds");
    ensure(payment.refund_requested_minor >= 0 &&
               payment.refund_requested_minor <= payment.captured_minor - payment.refunded_minor,
           "no more is asked back than is there");
    ensure(awaits_refund(payment) == !payment.refund_key.empty(), "a refund under way has a key");
    ensure(!payment.idempotency_key.empty() && payment.idempotency_key.size() <= max_idempotency_key_length,
           "a payment has an idempotency key");
}

}  // namespace quittance::payments
