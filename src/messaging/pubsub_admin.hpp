// Makes the topics and subscriptions that the bus needs, and says what is wrong with them.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

struct PubsubProvisioning {
    PubsubSettings settings;
    std::vector<PubsubRoute> routes;
    /// The service's back-off between deliveries, 0 to 600 seconds.
    std::chrono::milliseconds backoff_min{10'000};
    std::chrono::milliseconds backoff_max{600'000};
    int max_delivery_attempts = 10;
};

/// Creates what is missing and changes what differs, one line to `out` for each; may be repeated at any time
/// and loses no message. Throws ConfigurationError when Pub/Sub refuses or cannot be reached, and when
/// something differs that only a new subscription can have.
void provision_pubsub(const PubsubProvisioning& wanted, std::ostream& out);

/// Every difference to what `provision_pubsub` would make, in words; empty when all is well. Changes nothing.
/// Throws ConfigurationError when Pub/Sub cannot be asked.
[[nodiscard]] std::vector<std::string> check_pubsub(const PubsubProvisioning& wanted);

}  // namespace quittance::messaging
