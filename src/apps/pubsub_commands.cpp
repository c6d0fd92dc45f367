#include "apps/pubsub_commands.hpp"

#include <ostream>

#include "messaging/pubsub_admin.hpp"

namespace quittance::apps {

namespace {

messaging::PubsubProvisioning provisioning(const PubsubOptions& options) {
    messaging::PubsubProvisioning wanted;
    wanted.settings = options.bus.pubsub_settings();
    wanted.routes = pubsub_routes();
    wanted.backoff_min = std::chrono::milliseconds(static_cast<std::int64_t>(options.min_backoff_s * 1000));
    return wanted;
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
                             : "run 'quittance pubsub provision' to mend this")
        << std::endl;
    return problems.empty();
}

}  // namespace quittance::apps
