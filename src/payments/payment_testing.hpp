// For tests of the pure parts: payments and refunds in every state, and answers to what they ask.
#pragma once

#include <string>
#include <utility>

#include "payments/payment.hpp"
#include "payments/refund.hpp"

namespace quittance::payments {

using contracts::PaymentStatus;
using std::chrono::hours;
using std::chrono::seconds;

inline constexpr Timestamp start{std::chrono::milliseconds(1'800'000'000'000)};
inline constexpr std::int64_t total = 1000;

inline const PaymentId payment_id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
inline const OrderId order_id = *OrderId::parse("019ab000-0000-7000-8000-000000000002");
inline const RefundId refund_id = *RefundId::parse("019ab000-0000-7000-8000-000000000004");
inline const RefundId spare_id = *RefundId::parse("019ab000-0000-7000-8000-000000000005");
inline const UserId user_id = *UserId::parse("019ab000-0000-7000-8000-000000000003");
inline const Currency eur = *Currency::parse("EUR");

inline contracts::PaymentRequested request(int attempt = 1) {
    return {order_id, user_id, {total, eur}, "pm_card_visa", attempt};
}

/// A payment as it would be stored in this status.
inline Payment payment_in(PaymentStatus status, bool cancel_requested = false) {
    Payment payment = begin_payment(payment_id, request(), "simulator", CaptureMode::automatic, start);
    payment.status = status;
    payment.cancel_requested = cancel_requested;
    if (cancel_requested) payment.cancel_requested_at = start;
    const bool has_money = status == PaymentStatus::captured || status == PaymentStatus::partially_refunded ||
                           status == PaymentStatus::refunded;
    if (has_money) payment.captured_minor = total;
    if (status == PaymentStatus::partially_refunded) payment.refunded_minor = 300;
    if (status == PaymentStatus::refunded) payment.refunded_minor = total;
    if (cancel_requested && has_money) {
        payment.refund_reserved_minor = payment.captured_minor - payment.refunded_minor;
    }
    ensure_invariants(payment);
    return payment;
}

/// A payment that somebody asked to capture by hand.
inline Payment capturing(std::int64_t amount_minor = total) {
    Payment payment = begin_payment(payment_id, request(), "simulator", CaptureMode::manual, start);
    payment.status = PaymentStatus::authorized;
    return request_capture(payment, amount_minor, start)->after;
}

inline contracts::RefundRequested refund_request(std::int64_t amount_minor, RefundId id = refund_id) {
    return {id, order_id, user_id, {amount_minor, eur}, 1, "broken"};
}

/// A captured payment with a refund under way.
inline Transition refunding(std::int64_t amount_minor) {
    return request_refund(payment_in(PaymentStatus::captured), refund_request(amount_minor), start);
}

inline GatewayResult answer(GatewayOutcome outcome) {
    GatewayResult result{.outcome = outcome, .provider_reference = "ref-1"};
    if (outcome == GatewayOutcome::declined) result.failure = {"card_declined", "The card was declined."};
    if (outcome == GatewayOutcome::requires_action) result.failure = {"authentication_required", "Ask."};
    return result;
}

inline GatewayResult found(std::int64_t captured_minor, std::int64_t refunded_minor = 0) {
    return {.outcome = GatewayOutcome::succeeded,
            .provider_reference = "ref-1",
            .captured_minor = captured_minor,
            .refunded_minor = refunded_minor};
}

inline Result<Transition> apply(const Payment& payment, GatewayCall call, const GatewayResult& result,
                                Timestamp now = start + seconds(1)) {
    return apply_answer(payment, {call, gateway_request(payment, call).idempotency_key}, result, spare_id,
                        now);
}

inline Result<Transition> apply(const Transition& before, GatewayCall call, const GatewayResult& result,
                                Timestamp now = start + seconds(1)) {
    const Refund& refund = before.refunds.back();
    const std::string key = gateway_request(before.after, refund, call).idempotency_key;
    return apply_refund_answer(before.after, refund, {call, key}, result, spare_id, now);
}

}  // namespace quittance::payments
