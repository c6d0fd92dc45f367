// What of a webhook of Stripe's can be believed: its signature, and whom it concerns. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/secret.hpp"
#include "payments/stripe_answers.hpp"

namespace quittance::payments {

/// A longer id is not the provider's; the column holds no more.
inline constexpr std::size_t max_notice_id_bytes = 200;

/// A signature that is older, or further ahead, may be a repetition by somebody else.
inline constexpr std::chrono::seconds webhook_tolerance{300};

/// `header` is the value of `Stripe-Signature`, `body` the bytes as they came. `malformed` when no signature
/// of the header fits, in constant time for each.
[[nodiscard]] Result<Done> verify_stripe_signature(std::string_view header, std::string_view body,
                                                   const Secret& secret, Timestamp now);

/// The part of an event that we use. What it says of a payment's state is not believed but looked up, and its
/// type is not read at all.
struct StripeEvent {
    std::string id;                       ///< Can be stored wherever there is a payment.
    std::optional<PaymentId> payment_id;  ///< Of the object's metadata, which we wrote.
    /// The refund of ours that has come to nothing, by what the event says. It may have succeeded before.
    std::optional<RefundId> failed_refund;
    /// What the object says was captured and given back: where nothing of it is new, nothing is looked up.
    std::optional<ToldMoney> money;
};
/// `malformed` for what is not JSON. Any other body names no payment where it is no event of a kind that we
/// know (such as "v2.core.event"), or about something else: Stripe turns an endpoint off that keeps refusing
/// events.
[[nodiscard]] Result<StripeEvent> read_stripe_event(std::string_view body);

}  // namespace quittance::payments
