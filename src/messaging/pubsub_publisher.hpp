// The sending half of the Pub/Sub client: batches, retries, and order per key.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <google/pubsub/v1/pubsub.pb.h>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

class PubsubConnection;

/// A request carries messages of one ordering key only, as google.pubsub.v1 demands, and of each key one
/// request is under way at a time, so what arrives meanwhile makes the next batch. Many keys are many small
/// requests at once. Thread safe.
class PubsubPublisher {
public:
    struct Item {
        google::pubsub::v1::PubsubMessage message;
        /// As Outgoing::done: called exactly once, on any thread.
        absl::AnyInvocable<void(PublishResult)> done;
    };

    PubsubPublisher(std::shared_ptr<PubsubConnection> connection, const Clock& clock, Random& random,
                    PubsubPublisherOptions options);
    ~PubsubPublisher();
    PubsubPublisher(const PubsubPublisher&) = delete;
    PubsubPublisher& operator=(const PubsubPublisher&) = delete;

    /// `topic_path` is the full name. See Bus::publish.
    void publish(const std::string& topic_path, std::vector<Item> items);

    /// Gives calls that are under way a moment to end, then gives up; what was not confirmed counts as
    /// failed, although the broker may have it. When this returns no `done` runs any more, and what is
    /// published later fails at once. May be called again.
    void close();

private:
    struct State;
    std::shared_ptr<State> state_;
    std::jthread retries_;
};

}  // namespace quittance::messaging
