#include "payments/transition.hpp"

#include <utility>

#include "core/canary.hpp"

namespace quittance::payments {

using contracts::PaymentStatus;

namespace {

bool is_refunded(const Payment& payment) {
    if (payment.refunded_minor < payment.captured_minor) return false;
    // What cost nothing has gone back when it was asked for.
    return payment.refunded_minor > 0 || (payment.captured_minor == 0 && payment.cancel_requested);
}

/// Of a payment that ended without money.
PaymentStatus status_without_money(const Payment& payment) {
    if (payment.status == PaymentStatus::failed || payment.status == PaymentStatus::canceled) {
        return payment.status;
    }
    const bool refused = payment.failure && payment.failure->code != canceled_code;
    if (payment.cancel_requested || !refused) return PaymentStatus::canceled;
    return payment.failure->code == authentication_required_code ? PaymentStatus::requires_action
                                                                 : PaymentStatus::failed;
}

PaymentStatus status_of(const Payment& payment) {
    switch (payment.provider_state) {
        case ProviderState::none:
            if (!payment.charge_sent && is_ended(payment)) return PaymentStatus::canceled;
            return payment.look_ups > 0 ? PaymentStatus::unknown : payment.status;
        case ProviderState::open:
            // Not failed before it is closed; what was called failed stays so.
            return payment.status == PaymentStatus::unknown ? PaymentStatus::pending : payment.status;
        case ProviderState::processing: return PaymentStatus::pending;
        case ProviderState::authorized: return PaymentStatus::authorized;
        case ProviderState::absent:
        case ProviderState::canceled: return status_without_money(payment);
        case ProviderState::captured:
            if (is_refunded(payment)) return PaymentStatus::refunded;
            return payment.refunded_minor > 0 ? PaymentStatus::partially_refunded : PaymentStatus::captured;
    }
    throw std::logic_error("an enumeration holds none of its values");
}

bool looks_the_same(const Payment& before, const Payment& after) {
    return before.status == after.status && before.captured_minor == after.captured_minor &&
           before.refunded_minor == after.refunded_minor && visible_failure(before) == visible_failure(after);
}

/// For a canceled payment: gives back what no refund has reserved. None when nothing is left.
std::optional<Refund> give_back_remainder(Payment& payment, RefundId id, Timestamp now) {
    const std::int64_t remainder = refundable_minor(payment);
    if (!payment.cancel_requested || remainder == 0) return std::nullopt;
    Refund refund{.id = id,
                  .payment_id = payment.id,
                  .amount_minor = remainder,
                  .reason = "the order was canceled",
                  .idempotency_key = refund_key(id),
                  .created_at = now,
                  .updated_at = now};
    schedule_resumption(refund, now);
    reserve(payment, remainder);
    return refund;
}

}  // namespace

const std::optional<contracts::Failure>& visible_failure(const Payment& payment) {
    static const std::optional<contracts::Failure> none;
    const bool is_final =
        payment.status != PaymentStatus::pending && payment.status != PaymentStatus::unknown;
    return is_final ? payment.failure : none;
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
            .failure = visible_failure(payment)};
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

Transition followed(const Payment& before, Payment after, RefundId remainder_id, Timestamp now,
                    GatewayCall next) {
    after.status = status_of(after);
    auto remainder = give_back_remainder(after, remainder_id, now);
    if (remainder && next == GatewayCall::none) next = GatewayCall::refund;
    Transition transition = looks_the_same(before, after) ? unpublished(std::move(after), now, next)
                                                          : published(std::move(after), now, next);
    if (remainder) transition.refunds.push_back(*std::move(remainder));
    return transition;
}

Transition put_off(const Payment& payment, Timestamp now) {
    Payment after = payment;
    schedule_look_up(after, now);
    return unpublished(std::move(after), now);
}

void reserve(Payment& payment, std::int64_t amount_minor) {
    if (planted(Canary::refund_without_reservation)) return;
    payment.refund_reserved_minor += amount_minor;
}

Error conflict(const Payment& payment, std::string_view what) {
    return Error{
        ErrorCode::conflict,
        "A payment in state " + std::string(to_string(payment.status)) + " cannot " + std::string(what) + ".",
        {},
        0};
}

}  // namespace quittance::payments
