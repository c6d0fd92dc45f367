// The bus of the all-in-one: senders and consumers are in one process, and the sender's outbox is the store.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"

namespace quittance::messaging {

struct EmbeddedBusOptions {
    /// One topic and the one subscription that gets what is published to it.
    struct Route {
        std::string topic;
        std::string subscription;
    };
    std::vector<Route> routes;
    /// Messages delivered to one subscription and not yet answered.
    std::size_t max_outstanding = 2048;
    /// Messages of one topic in the bus; beyond that `publish` fails and the sender keeps them.
    std::size_t max_queued = 65'536;
    /// With the back-off below, about ten minutes of trying: an outage that a restart mends makes no dead
    /// letters.
    int max_delivery_attempts = 20;
    /// The pause before the second delivery; doubles with each one after it. A random part of up to a half
    /// is taken off, so that messages that failed together do not return together.
    std::chrono::milliseconds backoff_min{100};
    std::chrono::milliseconds backoff_max{60'000};
};

/// Nothing is stored here: `Outgoing::done` is called only after the subscriber has answered, and until then
/// the sender's outbox holds the message. Acknowledged: confirmed. Rejected, or not acknowledged after
/// `max_delivery_attempts`: dead_lettered. The topic full or unknown, or the bus destroyed: failed.
///
/// `done` runs on the thread that answers (or on the one that publishes, when it fails at once), never under
/// a lock of the bus, so it may publish again.
///
/// Thread safe. Destroy it after its subscriptions and after `run` has returned; answers to handles that
/// outlive it are ignored.
class EmbeddedBus final : public Bus {
public:
    /// Throws ConfigurationError when a topic or a subscription stands in two routes.
    EmbeddedBus(const Clock& clock, Random& random, EmbeddedBusOptions options);
    ~EmbeddedBus() override;
    EmbeddedBus(const EmbeddedBus&) = delete;
    EmbeddedBus& operator=(const EmbeddedBus&) = delete;

    void publish(const std::string& topic, std::vector<Outgoing> messages) override;

    /// Throws ConfigurationError when no route has that name, or when it has a subscriber already.
    [[nodiscard]] std::unique_ptr<Subscription> subscribe(const std::string& subscription,
                                                          Receiver receiver) override;

    /// Delivers what is due to every subscriber, on the calling thread; false when nothing was.
    bool step();

    /// Delivers until `stop` is requested.
    void run(const std::stop_token& stop);

    /// Messages published and not yet answered for good, over all topics.
    [[nodiscard]] std::size_t queued() const;

private:
    struct State;
    class Attached;
    std::shared_ptr<State> state_;
};

}  // namespace quittance::messaging
