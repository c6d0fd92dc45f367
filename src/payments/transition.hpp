// What every change of a payment or a refund is made of.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>

#include "payments/payment.hpp"

namespace quittance::payments {

/// Failure codes with a meaning of their own; all others are the provider's.
inline constexpr std::string_view authentication_required_code = "authentication_required";
inline constexpr std::string_view canceled_code = "canceled";
/// A refusal with this code was followed by a look that has settled what became of earlier tries.
inline constexpr std::string_view looked_for_code = "provider_error";
inline constexpr std::string_view already_given_back_code = "already_given_back";

/// The update that tells the order service of this payment, and of the refund that it settles.
[[nodiscard]] contracts::PaymentUpdated updated_event(const Payment& payment);

/// A change that only this service needs to know.
[[nodiscard]] Transition unpublished(Payment after, Timestamp now, GatewayCall next = GatewayCall::none);
[[nodiscard]] Transition published(Payment after, Timestamp now, GatewayCall next = GatewayCall::none);

/// Completes a change of what is wanted or was seen by what follows: the status, told where it or the money
/// is news, and for a canceled payment a refund of what is left of it.
[[nodiscard]] Transition followed(const Payment& before, Payment after, RefundId remainder_id, Timestamp now,
                                  GatewayCall next = GatewayCall::none);

/// Holds this much of the captured money for a refund that begins, or with a negative amount lets go of it.
void reserve(Payment& payment, std::int64_t amount_minor);

[[nodiscard]] Error conflict(const Payment& payment, std::string_view what);

/// The next look-up, later each time; after the last one the payment, or the refund, waits for
/// manual review.
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

/// Until what the provider decides later is looked at again: as long as it is old, within bounds.
[[nodiscard]] inline std::chrono::milliseconds watch_pause(Timestamp created_at, Timestamp now) {
    return std::clamp<std::chrono::milliseconds>(now - created_at, shortest_watch_pause, longest_watch_pause);
}

/// Until the answer comes; see `stale_after`.
template <class Waiting>
void schedule_resumption(Waiting& waiting, Timestamp now) {
    waiting.next_look_up_at = now + stale_after;
    waiting.stuck_since.reset();
}

/// No call to the provider is pending.
template <class Waiting>
void settle(Waiting& waiting) {
    waiting.look_ups = 0;
    waiting.next_look_up_at.reset();
    waiting.stuck_since.reset();
}

}  // namespace quittance::payments
