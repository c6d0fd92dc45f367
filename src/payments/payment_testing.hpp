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

/// Where a payment in this status stands at the provider.
inline ProviderState state_behind(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::pending:
        case PaymentStatus::unknown: return ProviderState::none;
        case PaymentStatus::authorized: return ProviderState::authorized;
        case PaymentStatus::captured:
        case PaymentStatus::partially_refunded:
        case PaymentStatus::refunded: return ProviderState::captured;
        case PaymentStatus::failed:
        case PaymentStatus::requires_action:
        case PaymentStatus::canceled: return ProviderState::canceled;
    }
    return ProviderState::none;
}

/// A payment as it would be stored in this status.
inline Payment payment_in(PaymentStatus status, bool cancel_requested = false) {
    const auto mode = status == PaymentStatus::authorized ? CaptureMode::manual : CaptureMode::automatic;
    Payment payment = begin_payment(payment_id, request(), "simulator", mode, start);
    payment.status = status;
    payment.provider_state = state_behind(status);
    payment.cancel_requested = cancel_requested;
    if (cancel_requested) payment.cancel_requested_at = start;
    if (status == PaymentStatus::unknown) payment.look_ups = 1;
    if (status == PaymentStatus::failed) payment.failure = {"card_declined", "The card was declined."};
    if (status == PaymentStatus::requires_action) payment.failure = {"authentication_required", "Ask."};
    const bool has_money = payment.provider_state == ProviderState::captured;
    if (has_money) payment.captured_minor = total;
    if (status == PaymentStatus::partially_refunded) payment.refunded_minor = 300;
    if (status == PaymentStatus::refunded) payment.refunded_minor = total;
    if (cancel_requested && has_money) {
        payment.refund_reserved_minor = payment.captured_minor - payment.refunded_minor;
    }
    ensure_invariants(payment);
    return payment;
}

/// A payment of which a capture by hand is under way.
inline Payment capturing(std::int64_t amount_minor = total) {
    return request_capture(payment_in(PaymentStatus::authorized), amount_minor, start)->after;
}

inline contracts::RefundRequested refund_request(std::int64_t amount_minor, RefundId id = refund_id) {
    return {id, order_id, user_id, {amount_minor, eur}, 1, "broken"};
}

/// A captured payment with a refund under way.
inline Transition refunding(std::int64_t amount_minor) {
    return request_refund(payment_in(PaymentStatus::captured), refund_request(amount_minor), start);
}

/// What the provider says of a payment; one that succeeded is captured.
inline GatewayResult answer(GatewayOutcome outcome) {
    GatewayResult result{.outcome = outcome, .provider_reference = "ref-1"};
    if (outcome == GatewayOutcome::succeeded) result.captured_minor = total;
    if (outcome == GatewayOutcome::declined) result.failure = {"card_declined", "The card was declined."};
    if (outcome == GatewayOutcome::requires_action) result.failure = {"authentication_required", "Ask."};
    if (outcome == GatewayOutcome::canceled) result.failure = {"canceled", "The payment was canceled."};
    if (outcome == GatewayOutcome::refused) result.failure = {"no_such_method", "There is none."};
    return result;
}

inline GatewayResult found(std::int64_t captured_minor, std::int64_t refunded_minor = 0) {
    return {.outcome = GatewayOutcome::succeeded,
            .provider_reference = "ref-1",
            .captured_minor = captured_minor,
            .refunded_minor = refunded_minor};
}

inline const GatewayResult not_found{.outcome = GatewayOutcome::not_found};
inline const GatewayResult no_answer{};

/// As asked by the payment as it is.
inline Asked asked_by(const Payment& payment, GatewayCall call, bool is_first_try = false) {
    return {call, gateway_request(payment, call).idempotency_key, is_first_try, payment.version};
}

inline Transition apply(const Payment& payment, GatewayCall call, const GatewayResult& result,
                        Timestamp now = start + seconds(1)) {
    return apply_answer(payment, asked_by(payment, call), result, spare_id, now);
}

/// Answers to the first try.
inline Transition apply_first(const Payment& payment, GatewayCall call, const GatewayResult& result,
                              Timestamp now = start + seconds(1)) {
    return apply_answer(payment, asked_by(payment, call, true), result, spare_id, now);
}

inline Transition apply(const Transition& before, GatewayCall call, const GatewayResult& result,
                        Timestamp now = start + seconds(1), bool is_first_try = false) {
    const Refund& refund = before.refunds.back();
    const std::string key = gateway_request(before.after, refund, call).idempotency_key;
    return apply_refund_answer(before.after, refund, {call, key, is_first_try, refund.look_ups}, result,
                               spare_id, now);
}

}  // namespace quittance::payments
