#include "payments/payment.hpp"

#include <stdexcept>
#include <utility>

#include "payments/transition.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;
using contracts::PaymentStatus;

constexpr std::size_t max_idempotency_key_length = 255;

[[noreturn]] void impossible() {
    throw std::logic_error("an enumeration holds none of its values");
}

Result<Transition> captured(Payment after, std::int64_t captured_minor, std::int64_t refunded_minor,
                            RefundId spare, Timestamp now) {
    if (captured_minor < 0 || captured_minor > after.amount.minor || refunded_minor < 0 ||
        refunded_minor > captured_minor) {
        return Error{
            ErrorCode::internal, "The provider reports amounts that this payment cannot have.", {}, 0};
    }
    after.captured_minor = captured_minor;
    after.refunded_minor = refunded_minor;
    after.status = status_of_money(after);
    after.failure.reset();
    after.capture_requested_minor = 0;
    after.capture_key.clear();
    settle(after);
    return settled(std::move(after), spare, now);
}

void note_cancellation(Payment& payment, Timestamp now) {
    payment.cancel_requested = true;
    payment.cancel_requested_at = now;
}

/// The amount is reserved, and waits to be captured.
Transition authorized(Payment after, Timestamp now) {
    after.status = PaymentStatus::authorized;
    after.failure.reset();
    settle(after);
    if (!after.cancel_requested) return published(std::move(after), now);
    schedule_resumption(after, now);
    return published(std::move(after), now, GatewayCall::cancel);
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
    if (after.cancel_requested && now - after.cancel_requested_at.value() < not_found_is_final_after) {
        schedule_look_up(after, now);
        return unpublished(std::move(after), now);
    }
    if (after.cancel_requested) {
        after.status = PaymentStatus::canceled;
        settle(after);
        return published(std::move(after), now);
    }
    if (now - after.created_at < idempotency_key_valid_for) {
        // The very same request again cannot charge twice, wherever the first one is.
        schedule_look_up(after, now);
        return unpublished(std::move(after), now, GatewayCall::authorize);
    }
    if (now - after.created_at < idempotency_key_valid_for + not_found_is_final_after) {
        // The last one may still be on its way.
        schedule_look_up(after, now);
        return unpublished(std::move(after), now);
    }
    return declined(std::move(after),
                    {"provider_never_received", "The payment provider never received this payment."}, now);
}

bool awaits_charge(const Payment& payment) {
    return payment.status == PaymentStatus::pending || payment.status == PaymentStatus::unknown;
}

/// Canceled because the provider did not know of it. Should it have been made after all, it goes back.
bool given_up(const Payment& payment) {
    return payment.status == PaymentStatus::canceled && payment.cancel_requested &&
           payment.provider_reference.empty();
}

/// The provider has the charge, and money may be, or come to be, with it.
bool was_made(GatewayOutcome outcome) {
    return outcome == GatewayOutcome::succeeded || outcome == GatewayOutcome::pending ||
           outcome == GatewayOutcome::requires_action;
}

bool awaits_capture(const Payment& payment) {
    return payment.capture_requested_minor > 0;
}

/// Authorized, and nobody has asked for more: the provider may have news all the same, for authorizations
/// expire, and people use its dashboard.
bool is_held(const Payment& payment) {
    return payment.status == PaymentStatus::authorized && !payment.cancel_requested &&
           !awaits_capture(payment);
}

bool awaits_release(const Payment& payment) {
    return payment.cancel_requested && !awaits_capture(payment) &&
           (payment.status == PaymentStatus::requires_action || payment.status == PaymentStatus::authorized);
}

Result<Transition> apply_charge(Payment after, const GatewayResult& answer, RefundId spare, Timestamp now) {
    switch (answer.outcome) {
        case GatewayOutcome::succeeded: {
            if (!after.capture_at_once) return authorized(std::move(after), now);
            const std::int64_t amount_minor = after.amount.minor;
            return captured(std::move(after), amount_minor, 0, spare, now);
        }
        case GatewayOutcome::declined:
        case GatewayOutcome::canceled:
        case GatewayOutcome::refused: return declined(std::move(after), answer.failure, now);
        case GatewayOutcome::requires_action: return action_required(std::move(after), answer.failure, now);
        case GatewayOutcome::pending: return undecided(std::move(after), PaymentStatus::pending, now);
        // "Not found" is no answer to a charge: it does not say what happened.
        case GatewayOutcome::not_found:
        case GatewayOutcome::unknown: return undecided(std::move(after), PaymentStatus::unknown, now);
    }
    impossible();
}

Result<Transition> apply_charge_look_up(Payment after, const GatewayResult& answer, RefundId spare,
                                        Timestamp now) {
    if (answer.outcome == GatewayOutcome::not_found) return never_received(std::move(after), now);
    if (answer.outcome != GatewayOutcome::succeeded) {
        return apply_charge(std::move(after), answer, spare, now);
    }
    if (answer.captured_minor == 0 && after.amount.minor > 0) {
        if (!after.capture_at_once) return authorized(std::move(after), now);
        return undecided(std::move(after), PaymentStatus::unknown, now);
    }
    return captured(std::move(after), answer.captured_minor, answer.refunded_minor, spare, now);
}

/// Somebody has told of a payment that was given up.
Result<Transition> apply_late_look_up(Payment after, const GatewayResult& answer, RefundId spare,
                                      Timestamp now) {
    if (was_made(answer.outcome)) return apply_charge_look_up(std::move(after), answer, spare, now);
    if (answer.outcome == GatewayOutcome::unknown) {
        // What says nothing does not say either that the provider has the payment.
        after.provider_reference.clear();
        schedule_look_up(after, now);
    } else {
        settle(after);
    }
    return unpublished(std::move(after), now);
}

/// The provider let go of what it held.
Transition authorization_gone(Payment after, Failure failure, Timestamp now) {
    after.capture_requested_minor = 0;
    after.capture_key.clear();
    note_cancellation(after, now);
    return declined(std::move(after), std::move(failure), now);
}

Result<Transition> apply_held_look_up(Payment after, const GatewayResult& answer, RefundId spare,
                                      Timestamp now) {
    if (answer.outcome == GatewayOutcome::declined) {
        return authorization_gone(std::move(after), answer.failure, now);
    }
    if (answer.outcome != GatewayOutcome::succeeded) {
        schedule_look_up(after, now);
        return unpublished(std::move(after), now);
    }
    if (answer.captured_minor > 0) {
        return captured(std::move(after), answer.captured_minor, answer.refunded_minor, spare, now);
    }
    settle(after);
    return unpublished(std::move(after), now);
}

/// The capture is over and took nothing.
Transition not_captured(Payment after, Timestamp now) {
    after.capture_requested_minor = 0;
    after.capture_key.clear();
    settle(after);
    if (!after.cancel_requested) return published(std::move(after), now);
    schedule_resumption(after, now);
    return published(std::move(after), now, GatewayCall::cancel);
}

Result<Transition> apply_capture(Payment after, const GatewayResult& answer, RefundId spare, Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded) {
        const std::int64_t amount_minor = after.capture_requested_minor;
        return captured(std::move(after), amount_minor, 0, spare, now);
    }
    if (answer.outcome != GatewayOutcome::declined) {
        schedule_look_up(after, now);
        return unpublished(std::move(after), now);
    }
    // Refused because it was captured before, or because the authorization is gone: a look-up tells.
    after.failure = answer.failure;
    if (after.failure->code.empty()) after.failure->code = "capture_declined";
    schedule_look_up(after, now);
    return unpublished(std::move(after), now, GatewayCall::look_up);
}

Result<Transition> apply_capture_look_up(Payment after, const GatewayResult& answer, RefundId spare,
                                         Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded && answer.captured_minor > 0) {
        return captured(std::move(after), answer.captured_minor, answer.refunded_minor, spare, now);
    }
    if (answer.outcome == GatewayOutcome::succeeded) {
        if (after.failure) return not_captured(std::move(after), now);
        schedule_look_up(after, now);
        return unpublished(std::move(after), now, GatewayCall::capture);
    }
    if (answer.outcome == GatewayOutcome::declined) {
        return authorization_gone(std::move(after), answer.failure, now);
    }
    schedule_look_up(after, now);
    return unpublished(std::move(after), now);
}

Transition apply_release(Payment after, const GatewayResult& answer, Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded || answer.outcome == GatewayOutcome::not_found) {
        after.status = PaymentStatus::canceled;
        settle(after);
        return published(std::move(after), now);
    }
    // It may have been captured in the meantime: only a look-up tells. What is held until then is held as
    // before.
    schedule_look_up(after, now);
    return unpublished(std::move(after), now);
}

Result<Transition> apply_release_look_up(Payment after, const GatewayResult& answer, RefundId spare,
                                         Timestamp now) {
    switch (answer.outcome) {
        case GatewayOutcome::succeeded:
            if (answer.captured_minor > 0) {
                return captured(std::move(after), answer.captured_minor, answer.refunded_minor, spare, now);
            }
            [[fallthrough]];
        case GatewayOutcome::requires_action:
            schedule_look_up(after, now);
            return unpublished(std::move(after), now, GatewayCall::cancel);
        case GatewayOutcome::declined:
        case GatewayOutcome::canceled: return declined(std::move(after), answer.failure, now);
        case GatewayOutcome::refused:
        case GatewayOutcome::not_found:
        case GatewayOutcome::pending:
        case GatewayOutcome::unknown: return apply_release(std::move(after), answer, now);
    }
    impossible();
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

std::int64_t refundable_minor(const Payment& payment) {
    return payment.captured_minor - payment.refunded_minor - payment.refund_reserved_minor;
}

Payment begin_payment(PaymentId id, const contracts::PaymentRequested& event, std::string_view provider,
                      CaptureMode mode, Timestamp now) {
    Payment payment{.id = id,
                    .order_id = event.order_id,
                    .user_id = event.user_id,
                    .attempt = event.attempt,
                    .amount = event.amount,
                    // What costs nothing has nothing to wait for.
                    .capture_at_once = mode == CaptureMode::automatic || event.amount.minor == 0,
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
                    .cancel_requested_at = now,
                    .created_at = now,
                    .updated_at = now};
    ensure_invariants(payment);
    contracts::PaymentUpdated event_to_publish = updated_event(payment);
    return {std::move(payment), {}, {std::move(event_to_publish)}, GatewayCall::none};
}

Result<Transition> request_cancel(const Payment& payment, RefundId spare, Timestamp now) {
    if (payment.cancel_requested) return conflict(payment, "be canceled twice");
    Payment after = payment;
    note_cancellation(after, now);
    switch (payment.status) {
        case PaymentStatus::pending: return unpublished(std::move(after), now);
        case PaymentStatus::unknown:
            settle(after);
            after.next_look_up_at = now;
            return unpublished(std::move(after), now);
        case PaymentStatus::authorized:
            // What the capture takes goes back; what it does not take is released after it.
            if (awaits_capture(after)) return unpublished(std::move(after), now);
            [[fallthrough]];
        case PaymentStatus::requires_action:
            schedule_resumption(after, now);
            return unpublished(std::move(after), now, GatewayCall::cancel);
        case PaymentStatus::captured:
        case PaymentStatus::partially_refunded: {
            // Refunds under way go on; the rest goes with one of its own.
            auto rest = give_back_rest(after, spare, now);
            if (after.status == PaymentStatus::refunded) return published(std::move(after), now);
            Transition transition =
                unpublished(std::move(after), now, rest ? GatewayCall::refund : GatewayCall::none);
            if (rest) transition.refunds.push_back(*std::move(rest));
            return transition;
        }
        case PaymentStatus::failed:
        case PaymentStatus::canceled:
        case PaymentStatus::refunded: return conflict(payment, "be canceled");
    }
    impossible();
}

Result<Transition> request_capture(const Payment& payment, std::int64_t amount_minor, Timestamp now) {
    if (payment.status != PaymentStatus::authorized || payment.cancel_requested) {
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
    schedule_resumption(after, now);
    return unpublished(std::move(after), now, GatewayCall::capture);
}

Result<Transition> request_void(const Payment& payment, Timestamp now) {
    const bool waits =
        payment.status == PaymentStatus::authorized || payment.status == PaymentStatus::requires_action;
    if (!waits || payment.cancel_requested || awaits_capture(payment)) return conflict(payment, "be voided");
    Payment after = payment;
    note_cancellation(after, now);
    schedule_resumption(after, now);
    return unpublished(std::move(after), now, GatewayCall::cancel);
}

Result<Transition> apply_answer(const Payment& payment, const Asked& asked, const GatewayResult& answer,
                                RefundId spare, Timestamp now) {
    Payment after = payment;
    if (!answer.provider_reference.empty()) after.provider_reference = answer.provider_reference;
    switch (asked.call) {
        case GatewayCall::authorize:
            // An answer may come after the payment was given up.
            if (!awaits_charge(payment) && !(given_up(payment) && was_made(answer.outcome))) {
                return conflict(payment, "be charged");
            }
            return apply_charge(std::move(after), answer, spare, now);
        case GatewayCall::look_up:
            if (awaits_charge(payment)) return apply_charge_look_up(std::move(after), answer, spare, now);
            if (awaits_capture(payment)) return apply_capture_look_up(std::move(after), answer, spare, now);
            if (awaits_release(payment)) return apply_release_look_up(std::move(after), answer, spare, now);
            if (is_held(payment)) return apply_held_look_up(std::move(after), answer, spare, now);
            if (given_up(payment)) return apply_late_look_up(std::move(after), answer, spare, now);
            return conflict(payment, "be changed by a look-up");
        case GatewayCall::capture:
            if (!awaits_capture(payment) || asked.idempotency_key != payment.capture_key) {
                return conflict(payment, "take the answer to a capture that is not under way");
            }
            return apply_capture(std::move(after), answer, spare, now);
        case GatewayCall::refund: return conflict(payment, "be refunded without a refund");
        case GatewayCall::cancel:
            if (!awaits_release(payment)) return conflict(payment, "be released");
            return apply_release(std::move(after), answer, now);
        case GatewayCall::none: return conflict(payment, "be changed by an answer that nobody asked for");
    }
    impossible();
}

bool heeds_news(const Payment& payment) {
    return awaits_charge(payment) || awaits_release(payment) || given_up(payment) ||
           payment.status == PaymentStatus::authorized;
}

GatewayCall resume_call(const Payment& payment, Timestamp now) {
    if (awaits_charge(payment)) {
        const bool may_repeat = payment.status == PaymentStatus::pending &&
                                payment.provider_reference.empty() && !payment.cancel_requested &&
                                now - payment.created_at < idempotency_key_valid_for;
        return may_repeat ? GatewayCall::authorize : GatewayCall::look_up;
    }
    if (awaits_capture(payment)) return payment.look_ups > 0 ? GatewayCall::look_up : GatewayCall::capture;
    if (awaits_release(payment)) return payment.look_ups > 0 ? GatewayCall::look_up : GatewayCall::cancel;
    const bool may_have_news = is_held(payment) || given_up(payment);
    return may_have_news && payment.next_look_up_at ? GatewayCall::look_up : GatewayCall::none;
}

GatewayRequest gateway_request(const Payment& payment, GatewayCall call) {
    GatewayRequest request{.payment_id = payment.id,
                           .order_id = payment.order_id,
                           .amount = payment.amount,
                           .payment_method = payment.payment_method,
                           .provider_reference = payment.provider_reference,
                           .idempotency_key = payment.idempotency_key,
                           .may_be_sent_until = payment.cancel_requested_at.value_or(
                               payment.created_at + idempotency_key_valid_for)};
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
    settle(payment);
    payment.next_look_up_at = now;
    // Not from the beginning: what was asked before may have been done.
    payment.look_ups = 1;
    return true;
}

void ensure_invariants(const Payment& payment) {
    ensure(payment.attempt >= 1, "a payment's attempt is at least 1");
    ensure(payment.refunded_minor >= 0 && payment.refund_reserved_minor >= 0 &&
               payment.refunded_minor + payment.refund_reserved_minor <= payment.captured_minor,
           "no more goes back than was captured");
    ensure(payment.captured_minor <= payment.amount.minor, "no more is captured than was asked for");
    ensure(payment.amount.minor <= max_amount_minor, "an amount is within its bounds");
    ensure(payment.capture_requested_minor >= 0 &&
               payment.capture_requested_minor <= payment.amount.minor - payment.captured_minor,
           "no more is asked for than is authorized");
    ensure(payment.cancel_requested == payment.cancel_requested_at.has_value(),
           "it is known since when a payment is to be canceled");
    ensure(awaits_capture(payment) == !payment.capture_key.empty(), "a capture under way has a key");
    ensure(!awaits_capture(payment) || payment.status == PaymentStatus::authorized,
           "what is captured by hand was authorized");
    ensure(!payment.idempotency_key.empty() && payment.idempotency_key.size() <= max_idempotency_key_length,
           "a payment has an idempotency key");
}

}  // namespace quittance::payments
