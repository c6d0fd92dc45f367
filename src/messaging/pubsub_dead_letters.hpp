// Looking at the dead letters that Pub/Sub keeps, and sending them again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "messaging/outbox.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

/// What stands in the subscription `<topic>-dead-letter-sub` of each route. While one is looked at, the
/// others who look do not see it, for a minute at most; nothing is removed but by `replay`.
/// All throw ConfigurationError when Pub/Sub refuses or cannot be reached.
class PubsubDeadLetters {
public:
    PubsubDeadLetters(PubsubSettings settings, std::vector<PubsubRoute> routes);

    /// At most `limit` of each topic, oldest first. `row.topic` is where it was published first;
    /// `dead_at` is when it became a dead letter.
    [[nodiscard]] std::vector<DeadLetter> list(std::int64_t limit);
    [[nodiscard]] std::optional<DeadLetter> find(const std::string& event_id);
    /// Publishes it to its first topic, with the same event id, and only then removes it from the dead
    /// letters; the topic, or nothing when there is no such letter.
    [[nodiscard]] std::optional<std::string> replay(const std::string& event_id);

private:
    PubsubSettings settings_;
    std::vector<PubsubRoute> routes_;
};

}  // namespace quittance::messaging
