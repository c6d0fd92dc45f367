#include "apps/gateway_choice.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "apps/secrets.hpp"
#include "core/setting_error.hpp"
#include "payments/simulator_gateway.hpp"
#include "payments/stripe_gateway.hpp"

namespace quittance::apps {

namespace {

Secret required_secret(const char* variable, std::string_view where_it_is) {
    auto value = secret_from_environment(variable);
    if (!value || value->empty()) {
        throw ConfigurationError(std::string(variable) + " is missing: PAYMENT_GATEWAY=stripe needs " +
                                 std::string(where_it_is));
    }
    return *std::move(value);
}

/// The key goes over the wire, so the wire has to be encrypted, or not to leave this machine.
bool is_safe_base(std::string_view url) {
    if (std::ranges::any_of(url, [](char c) { return c <= ' ' && c >= 0; })) return false;
    if (url.starts_with("https://")) return true;
    for (const std::string_view loopback : {"http://127.0.0.1", "http://localhost", "http://[::1]"}) {
        if (!url.starts_with(loopback)) continue;
        const std::string_view rest = url.substr(loopback.size());
        if (rest.empty() || rest.front() == ':') return true;
    }
    return false;
}

payments::StripeClientOptions stripe_options(double rate) {
    payments::StripeClientOptions options;
    options.api_key =
        required_secret("STRIPE_API_KEY", "the secret key of the dashboard's page \"API keys\"");
    options.requests_per_second = rate;
    if (const char* base = std::getenv("STRIPE_API_BASE"); base != nullptr && *base != '\0') {
        options.base_url = base;
        if (!is_safe_base(options.base_url)) {
            throw wrong_setting(
                "STRIPE_API_BASE", options.base_url,
                "an address with https://, or with http:// on this machine, without white space",
                "https://api.stripe.com");
        }
        while (options.base_url.ends_with('/'))
            options.base_url.pop_back();
    }
    return options;
}

}  // namespace

std::unique_ptr<payments::Gateway> GatewayChoice::make(Environment& environment, double rate) const {
    if (gateway != "stripe") return std::make_unique<payments::SimulatorGateway>();
    return std::make_unique<payments::StripeGateway>(stripe_options(rate), environment.clock,
                                                     environment.random, environment.metrics);
}

std::unique_ptr<payments::Gateway> GatewayChoice::make(Environment& environment) const {
    return make(environment, stripe_rate * (1 - reconcile_share));
}

std::unique_ptr<payments::Gateway> GatewayChoice::make_for_reconcile(Environment& environment) const {
    return make(environment, stripe_rate * reconcile_share);
}

std::optional<Secret> GatewayChoice::stripe_webhook_secret() const {
    if (gateway != "stripe") return std::nullopt;
    return required_secret("STRIPE_WEBHOOK_SECRET",
                           "the signing secret of the webhook's endpoint (whsec_...)");
}

void add_gateway_options(CLI::App& command, GatewayChoice& choice) {
    command
        .add_option("--payment-gateway", choice.gateway,
                    "simulator (no money moves) or stripe; its keys come from STRIPE_API_KEY and "
                    "STRIPE_WEBHOOK_SECRET")
        ->envname("PAYMENT_GATEWAY")
        ->check(CLI::IsMember({"simulator", "stripe"}))
        ->capture_default_str();
    command
        .add_option(
            "--stripe-rate", choice.stripe_rate,
            "Requests a second to each of Stripe's endpoints, by the service and by reconcile together")
        ->envname("STRIPE_RATE")
        ->check(CLI::Range(0.1, 10'000.0))
        ->capture_default_str();
    command
        .add_option("--stripe-reconcile-share", choice.reconcile_share,
                    "The part of --stripe-rate that is left to reconcile; the service takes the rest")
        ->envname("STRIPE_RECONCILE_SHARE")
        ->check(CLI::Range(0.01, 0.9))
        ->capture_default_str();
}

}  // namespace quittance::apps
