// What Stripe sends by itself: https://docs.stripe.com/webhooks.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/secret.hpp"
#include "http/router.hpp"
#include "payments/provider_notices.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// A signature that is older, or further ahead, may be a repetition by somebody else.
inline constexpr std::chrono::seconds webhook_tolerance{300};

/// `header` is the value of `Stripe-Signature`, `body` the bytes as they came. `malformed` when no signature
/// of the header fits, in constant time for each.
[[nodiscard]] Result<Done> verify_stripe_signature(std::string_view header, std::string_view body,
                                                   const Secret& secret, Timestamp now);

/// The part of an event that we use. What it says of a payment's state is not believed but looked up.
struct StripeEvent {
    std::string id;
    std::string type;
    std::optional<PaymentId> payment_id;  ///< Of the object's metadata, which we wrote.
};
/// `malformed` for anything but an event.
[[nodiscard]] Result<StripeEvent> read_stripe_event(std::string_view body);

/// `POST /webhooks/stripe`. What is referred to must outlive the router.
void add_stripe_webhook(http::Router& router, ProviderNotices& notices, Secret secret, const Clock& clock,
                        telemetry::Metrics& metrics);

}  // namespace quittance::payments
