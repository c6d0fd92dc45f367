// Makes the topics and subscriptions that the bus needs, and says what is wrong with them.
#pragma once

#include <chrono>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

/// As whom Pub/Sub posts messages.
struct PubsubPushIdentity {
    std::string service_account;  ///< Its e-mail address. Empty: posts carry no token.
    std::string audience;         ///< Of the token. Empty: the endpoint's address.
};

struct PubsubProvisioning {
    PubsubSettings settings;
    std::vector<PubsubRoute> routes;
    /// The service's back-off between deliveries, 0 to 600 seconds.
    std::chrono::milliseconds backoff_min{10'000};
    std::chrono::milliseconds backoff_max{600'000};
    int max_delivery_attempts = 10;
    /// Whether the services pull or are pushed to; a check compares, and provisioning leaves it as it is.
    PubsubDelivery delivery = PubsubDelivery::pull;
    /// For push; what is empty is not compared.
    PubsubPushIdentity push_identity;
};

/// Creates what is missing and changes what differs, one line to `out` for each; may be repeated at any time
/// and loses no message. Throws ConfigurationError when Pub/Sub refuses or cannot be reached, and when
/// something differs that only a new subscription can have.
void provision_pubsub(const PubsubProvisioning& wanted, std::ostream& out);

/// Every difference to what `provision_pubsub` would make, in words; empty when all is well. Changes nothing.
/// Throws ConfigurationError when Pub/Sub cannot be asked.
[[nodiscard]] std::vector<std::string> check_pubsub(const PubsubProvisioning& wanted);

/// From now on Pub/Sub posts the messages of these subscriptions, by name, to their endpoints. A line to
/// `out` for each. Both throw as `provision_pubsub`.
void push_subscriptions(const PubsubSettings& settings, const std::map<std::string, std::string>& endpoints,
                        const PubsubPushIdentity& identity, std::ostream& out);
/// From now on they are pulled.
void pull_subscriptions(const PubsubSettings& settings, const std::vector<std::string>& subscriptions,
                        std::ostream& out);

}  // namespace quittance::messaging
