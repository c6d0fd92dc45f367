// What every change of a payment or a refund is made of.
#pragma once

#include <algorithm>
#include <optional>

#include "payments/payment.hpp"

namespace quittance::payments {

/// The update that tells the order service of this payment, and of the refund that it settles.
[[nodiscard]] contracts::PaymentUpdated updated_event(const Payment& payment);

/// A change that only this service needs to know.
[[nodiscard]] Transition unpublished(Payment after, Timestamp now, GatewayCall next = GatewayCall::none);
[[nodiscard]] Transition published(Payment after, Timestamp now, GatewayCall next = GatewayCall::none);

/// Captured, partially refunded or refunded: what the amounts say.
[[nodiscard]] contracts::PaymentStatus status_of_money(const Payment& payment);

/// Holds this much of the captured money for a refund that begins, or with a negative amount lets go of it.
void reserve(Payment& payment, std::int64_t amount_minor);

/// For a canceled payment: gives back what no refund has reserved. None when nothing is left.
[[nodiscard]] std::optional<Refund> give_back_rest(Payment& payment, RefundId id, Timestamp now);

/// After a change of money: a canceled payment gives back what is left of it.
[[nodiscard]] Transition settled(Payment after, RefundId spare, Timestamp now);

[[nodiscard]] Error conflict(const Payment& payment, std::string_view what);

/// The next look-up, later each time; after the last one the payment, or the refund, stands in the list for a
/// human.
template <class Waiting>
void schedule_look_up(Waiting& waiting, Timestamp now) {
    if (waiting.look_ups >= most_look_ups) {
        waiting.next_look_up_at.reset();
        if (!waiting.stuck_since) waiting.stuck_since = now;
        return;
    }
    // 2^12 s is longer than the longest pause; shifting further could overflow.
    constexpr int most_doublings = 12;
    const std::chrono::seconds pause =
        first_look_up_pause * (1 << std::min(waiting.look_ups, most_doublings));
    waiting.next_look_up_at = now + std::min(pause, longest_look_up_pause);
    waiting.look_ups += 1;
}

/// Until the answer comes; see `stale_after`.
template <class Waiting>
void schedule_resumption(Waiting& waiting, Timestamp now) {
    waiting.next_look_up_at = now + stale_after;
    waiting.stuck_since.reset();
}

/// Nothing is waited for.
template <class Waiting>
void settle(Waiting& waiting) {
    waiting.look_ups = 0;
    waiting.next_look_up_at.reset();
    waiting.stuck_since.reset();
}

}  // namespace quittance::payments
