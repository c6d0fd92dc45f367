#include "apps/pubsub_commands.hpp"

#include <map>
#include <ostream>
#include <vector>

#include "contracts/events.hpp"
#include "core/error.hpp"
#include "messaging/pubsub_admin.hpp"

namespace quittance::apps {

namespace {

messaging::PubsubProvisioning provisioning(const PubsubOptions& options) {
    messaging::PubsubProvisioning wanted;
    wanted.settings = options.bus.pubsub_settings();
    wanted.routes = pubsub_routes();
    wanted.backoff_min = std::chrono::milliseconds(static_cast<std::int64_t>(options.min_backoff_s * 1000));
    if (options.bus.delivery == "push") wanted.delivery = messaging::PubsubDelivery::push;
    wanted.push_identity = {options.bus.push_service_account, options.bus.push_audience};
    return wanted;
}

/// Where a service that listens at this address takes pushes.
std::string push_endpoint(std::string url, const messaging::PubsubSettings& settings) {
    while (url.ends_with('/'))
        url.pop_back();
    const bool local = !settings.emulator_host.empty() && url.starts_with("http://");
    if (!local && !url.starts_with("https://"))
        throw ConfigurationError("Pub/Sub posts to addresses with https:// only, not to " + url);
    return url + "/pubsub/push";
}

}  // namespace

void provision(const PubsubOptions& options, std::ostream& out) {
    messaging::provision_pubsub(provisioning(options), out);
}

bool check(const PubsubOptions& options, std::ostream& out) {
    const auto problems = messaging::check_pubsub(provisioning(options));
    for (const std::string& problem : problems)
        out << problem << "\n";
    out << (problems.empty() ? "all topics and subscriptions are as they should be"
                             : "run 'quittance pubsub provision' to mend what names no other command")
        << std::endl;
    return problems.empty();
}

void push_on(const PubsubOptions& options, std::ostream& out) {
    const auto settings = options.bus.pubsub_settings();
    const messaging::PubsubPushIdentity identity{options.bus.push_service_account, options.bus.push_audience};
    if (identity.service_account.empty() && settings.emulator_host.empty()) {
        throw ConfigurationError(
            "PUBSUB_PUSH_SERVICE_ACCOUNT is missing: without the account that Pub/Sub posts as, nobody could "
            "tell its posts from anybody's");
    }
    const std::map<std::string, std::string> endpoints{
        {std::string(contracts::order_service_subscription),
         push_endpoint(options.order_service_url, settings)},
        {std::string(contracts::payment_service_subscription),
         push_endpoint(options.payment_service_url, settings)}};
    messaging::push_subscriptions(settings, endpoints, identity, out);
}

void push_off(const PubsubOptions& options, std::ostream& out) {
    std::vector<std::string> subscriptions;
    for (const messaging::PubsubRoute& route : pubsub_routes())
        subscriptions.push_back(route.subscription);
    messaging::pull_subscriptions(options.bus.pubsub_settings(), subscriptions, out);
}

}  // namespace quittance::apps
