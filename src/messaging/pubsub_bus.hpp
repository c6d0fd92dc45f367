// The bus between separate programs: Google Cloud Pub/Sub, or its emulator.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

class PubsubConnection;
class PubsubPublisher;
class PubsubPush;

struct PubsubBusOptions {
    PubsubSettings settings;
    PubsubPublisherOptions publisher;
    PubsubDelivery delivery = PubsubDelivery::pull;
    PubsubSubscriberOptions subscriber;  ///< For pull.
    PubsubPushOptions push;
};

/// Topics and subscriptions have to be there: see pubsub_admin. Thread safe. Destroy it after its
/// subscriptions.
class PubsubBus final : public Bus {
public:
    /// Throws ConfigurationError without a project or without credentials.
    PubsubBus(const Clock& clock, Random& random, PubsubBusOptions options);
    ~PubsubBus() override;
    PubsubBus(const PubsubBus&) = delete;
    PubsubBus& operator=(const PubsubBus&) = delete;

    /// Throws ConfigurationError when the service says that there is no such topic. When it cannot be asked,
    /// or does not let us look, the topic gets the benefit of the doubt, with a warning.
    void require_topic(const std::string& topic);

    void publish(const std::string& topic, std::vector<Outgoing> messages) override;

    /// Throws what PubsubSubscriber throws, or PubsubPush.
    [[nodiscard]] std::unique_ptr<Subscription> subscribe(const std::string& subscription,
                                                          Receiver receiver) override;

    /// Where to bring what Pub/Sub posts; nullptr when messages are pulled.
    [[nodiscard]] PubsubPush* push() { return push_.get(); }

    /// Ends publishing: afterwards no `done` of what was published before runs any more, and what is
    /// published later fails at once. The destructor does it, too.
    void close();

private:
    const Clock& clock_;
    Random& random_;
    const PubsubSubscriberOptions subscriber_options_;
    std::shared_ptr<PubsubConnection> connection_;
    std::unique_ptr<PubsubPublisher> publisher_;
    std::unique_ptr<PubsubPush> push_;
};

}  // namespace quittance::messaging
