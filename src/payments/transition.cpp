#include "payments/transition.hpp"

#include <utility>

#include "core/canary.hpp"

namespace quittance::payments {

using contracts::PaymentStatus;

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

Transition unpublished(Payment after, Timestamp now, GatewayCall next) {
    after.version += 1;
    after.updated_at = now;
    ensure_invariants(after);
    return {std::move(after), {}, {}, next};
}

Transition published(Payment after, Timestamp now, GatewayCall next) {
    Transition transition = unpublished(std::move(after), now, next);
    transition.events.push_back(updated_event(transition.after));
    return transition;
}

Transition put_off(const Payment& payment, Timestamp now) {
    Payment after = payment;
    schedule_look_up(after, now);
    return unpublished(std::move(after), now);
}

PaymentStatus status_of_money(const Payment& payment) {
    if (payment.refunded_minor == payment.captured_minor && payment.refunded_minor > 0) {
        return PaymentStatus::refunded;
    }
    return payment.refunded_minor > 0 ? PaymentStatus::partially_refunded : PaymentStatus::captured;
}

void reserve(Payment& payment, std::int64_t amount_minor) {
    if (planted(Canary::refund_without_reservation)) return;
    payment.refund_reserved_minor += amount_minor;
}

std::optional<Refund> give_back_rest(Payment& payment, RefundId id, Timestamp now) {
    const std::int64_t rest = refundable_minor(payment);
    // A payment without money has nothing to ask of the gateway.
    if (rest == 0 && payment.refund_reserved_minor == 0) payment.status = PaymentStatus::refunded;
    if (rest == 0) return std::nullopt;
    Refund refund{.id = id,
                  .payment_id = payment.id,
                  .amount_minor = rest,
                  .reason = "the order was canceled",
                  .idempotency_key = refund_key(id),
                  .created_at = now,
                  .updated_at = now};
    schedule_resumption(refund, now);
    reserve(payment, rest);
    return refund;
}

Transition settled(Payment after, RefundId spare, Timestamp now) {
    std::optional<Refund> rest;
    if (after.cancel_requested && after.status != PaymentStatus::refunded) {
        rest = give_back_rest(after, spare, now);
    }
    Transition transition = published(std::move(after), now, rest ? GatewayCall::refund : GatewayCall::none);
    if (rest) transition.refunds.push_back(*std::move(rest));
    return transition;
}

Error conflict(const Payment& payment, std::string_view what) {
    return Error{
        ErrorCode::conflict,
        "A payment in state " + std::string(to_string(payment.status)) + " cannot " + std::string(what) + ".",
        {},
        0};
}

}  // namespace quittance::payments
