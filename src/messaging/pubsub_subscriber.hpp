// The receiving half of the Pub/Sub client: streams, leases, acknowledgements.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

class PubsubConnection;
class PubsubPublisher;

/// Deliveries of one subscription, as Bus::subscribe describes. What is rejected is published to the
/// dead-letter topic with an attribute `reason`, and then acknowledged. Connections that break are made anew
/// for ever, with a warning now and then.
class PubsubSubscriber final : public Subscription {
public:
    /// Throws ConfigurationError when the service says that there is no such subscription, or that we may not
    /// use it. A service that cannot be reached is tried again in the background. `publisher` is for what is
    /// rejected and has to live longer.
    PubsubSubscriber(std::shared_ptr<PubsubConnection> connection, PubsubPublisher& publisher,
                     const Clock& clock, Random& random, PubsubSubscriberOptions options,
                     const std::string& subscription, Receiver receiver);
    ~PubsubSubscriber() override;
    PubsubSubscriber(const PubsubSubscriber&) = delete;
    PubsubSubscriber& operator=(const PubsubSubscriber&) = delete;

private:
    struct State;
    std::shared_ptr<State> state_;
    std::jthread delivery_;
    std::jthread keeper_;
};

}  // namespace quittance::messaging
