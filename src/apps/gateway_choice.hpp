// Which payment provider a program uses, and what it needs to know for that.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/environment.hpp"
#include "core/secret.hpp"
#include "payments/gateway.hpp"

namespace CLI {
class App;
}

namespace quittance::apps {

struct GatewayChoice {
    std::string gateway = "simulator";  ///< PAYMENT_GATEWAY: simulator or stripe.
    /// STRIPE_RATE: requests a second to each endpoint, by the service and `reconcile` together.
    double stripe_rate = 25;
    /// STRIPE_RECONCILE_SHARE: the part of it that is left to `reconcile`, whether it runs or not.
    double reconcile_share = 0.2;

    // The rest comes from the environment only: STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET and, to talk to a
    // server that stands in for Stripe, STRIPE_API_BASE. The options of a program can be seen by others.

    /// Throws ConfigurationError with what is missing or wrong.
    [[nodiscard]] std::unique_ptr<payments::Gateway> make(Environment& environment) const;
    /// The same for `reconcile`, which has the other part of the rate.
    [[nodiscard]] std::unique_ptr<payments::Gateway> make_for_reconcile(Environment& environment) const;
    /// What Stripe signs its webhooks with; none for the simulator. Throws as `make` does.
    [[nodiscard]] std::optional<Secret> stripe_webhook_secret() const;

private:
    [[nodiscard]] std::unique_ptr<payments::Gateway> make(Environment& environment, double rate) const;
};

void add_gateway_options(CLI::App& command, GatewayChoice& choice);

}  // namespace quittance::apps
