// What pulling and pushing have in common: what a subscription says of itself, and how a message becomes a
// dead letter.
#pragma once

#include <string>

#include <absl/functional/any_invocable.h>

#include "core/error.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_leases.hpp"

namespace quittance::messaging {

class PubsubConnection;
class PubsubPublisher;

struct PubsubDescription {
    PubsubRedelivery redelivery;
    std::string dead_letter_topic_path;
    std::string push_endpoint;  ///< Empty: it is pulled.
};

/// Asks the service. `unavailable` with the reason when it cannot be asked now; throws ConfigurationError
/// when there is no such subscription, or we may not look at it.
[[nodiscard]] Result<PubsubDescription> describe_subscription(PubsubConnection& connection,
                                                              const std::string& path);

/// Publishes the message with an attribute `reason`, and logs it. `done` is told whether the service has it;
/// a message may only be acknowledged then.
void publish_dead_letter(PubsubPublisher& publisher, const std::string& topic_path, const Message& message,
                         int delivery_attempts, std::string reason, absl::AnyInvocable<void(bool)> done);

}  // namespace quittance::messaging
