// Messages that Pub/Sub posts to us, for services that are not there all the time. No HTTP here: whoever
// answers the post brings its body and turns the outcome into a status.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

class PubsubConnection;
class PubsubPublisher;

/// What one post holds.
struct PushedMessage {
    std::string subscription;  ///< The full name, projects/…/subscriptions/….
    std::string message_id;    ///< Pub/Sub's: the same over redeliveries.
    Message message;
    int attempt = 0;  ///< 0: Pub/Sub did not say, because the subscription has no dead-letter policy.
};

/// Reads the body of a wrapped push, in which members may be spelled in camelCase, in snake_case, or in both.
/// `malformed` when it is none.
[[nodiscard]] Result<PushedMessage> parse_push(std::string_view body);

/// What to answer to a post.
enum class PushOutcome {
    settled,               ///< Acknowledged, or rejected and kept as a dead letter: do not send it again.
    again,                 ///< Send it again later.
    overloaded,            ///< Send it again later, and less at a time.
    unknown_subscription,  ///< Nobody here reads that subscription.
};

using PushDone = absl::AnyInvocable<void(PushOutcome)>;

/// Brings posts to the receivers of their subscriptions, with what `Bus` promises as far as Pub/Sub keeps
/// order: of a key one message is delivered at a time, and when one is to come again, those of its key that
/// wait behind it are, too. Thread safe; destroy it after its subscriptions.
class PubsubPush {
public:
    /// `publisher` is for what is rejected. All that is passed by reference has to live longer.
    PubsubPush(std::shared_ptr<PubsubConnection> connection, PubsubPublisher& publisher, const Clock& clock,
               Random& random, PubsubPushOptions options);
    ~PubsubPush();
    PubsubPush(const PubsubPush&) = delete;
    PubsubPush& operator=(const PubsubPush&) = delete;

    /// As Bus::subscribe, but opens no connection to pull by. Throws ConfigurationError when the service says
    /// that there is no such subscription.
    [[nodiscard]] std::unique_ptr<Subscription> subscribe(const std::string& subscription, Receiver receiver);

    /// Returns at once; `done` is called exactly once, on any thread, within the deadline of the options.
    void deliver(PushedMessage pushed, PushDone done);

private:
    class Reader;
    struct Desk;

    const std::shared_ptr<PubsubConnection> connection_;
    PubsubPublisher& publisher_;
    const Clock& clock_;
    Random& random_;
    const PubsubPushOptions options_;

    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<Desk>> desks_;  ///< By the subscription's full name.
};

}  // namespace quittance::messaging
