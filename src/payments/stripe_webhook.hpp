// What Stripe sends by itself: https://docs.stripe.com/webhooks.
#pragma once

#include "core/clock.hpp"
#include "core/secret.hpp"
#include "http/router.hpp"
#include "payments/provider_notices.hpp"
#include "payments/stripe_event.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// `POST /webhooks/stripe`. What is referred to must outlive the router.
void add_stripe_webhook(http::Router& router, ProviderNotices& notices, Secret secret, const Clock& clock,
                        telemetry::Metrics& metrics);

}  // namespace quittance::payments
