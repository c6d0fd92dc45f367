// The messages that a subscriber holds: in order per key, one of a key at a time.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "messaging/bus.hpp"

namespace quittance::messaging {

/// How what was not acknowledged is repeated; from the subscription.
struct PubsubRedelivery {
    int max_delivery_attempts = 0;  ///< 0: there is no dead-letter policy.
    std::chrono::milliseconds backoff_min{0};
    std::chrono::milliseconds backoff_max{0};
};

/// One message on lease. `ack_id` and `lease_until` change when the service delivers it again meanwhile.
struct PubsubLease {
    using TimePoint = std::chrono::steady_clock::time_point;

    Message message;
    std::string message_id;  ///< Pub/Sub's: the same over redeliveries.
    std::string ack_id;
    Timestamp published;
    int attempt = 1;
    TimePoint arrived{};
    TimePoint lease_until{};
    TimePoint given_up_at{};  ///< The lease is not extended beyond this.
    bool held = true;         ///< False once answered or released.
};

/// What waits for what: messages with the same key for each other; those without a key for no other.
[[nodiscard]] std::string queue_of(const Message& message, const std::string& message_id);

/// Decides what is delivered when. The service sends the messages of a key in order, but it neither waits for
/// an answer before it sends the next nor, once a message was handed back, keeps those behind it from coming
/// first. So here the next of a key waits, and what was not acknowledged stays on lease and is delivered
/// again from here, after the subscription's own back-off. Not thread safe.
class PubsubLeases {
public:
    using TimePoint = PubsubLease::TimePoint;
    using Pointer = std::shared_ptr<PubsubLease>;

    /// `max_delayed`: messages that wait here for their next delivery; beyond it they go back to the service.
    PubsubLeases(Random& random, std::size_t max_delayed) : random_(random), max_delayed_(max_delayed) {}

    void set_redelivery(const PubsubRedelivery& redelivery) { redelivery_ = redelivery; }

    /// Takes a message that arrived. One that is held already keeps its place, with the new ack id.
    void add(Pointer lease);
    /// The next messages to deliver, at most `limit`.
    [[nodiscard]] std::vector<Pointer> take_ready(std::size_t limit);
    [[nodiscard]] bool any_ready() const { return !ready_.empty(); }

    /// Acknowledged or dead-lettered for good: the next of its key may go.
    void settle(PubsubLease& lease);
    /// Whether this was its last delivery.
    [[nodiscard]] bool is_exhausted(const PubsubLease& lease) const;
    /// Not acknowledged: delivers it again after the back-off. When too many wait for that already, forgets
    /// it and what waits behind it; their ack ids, to hand them back.
    [[nodiscard]] std::vector<std::string> repeat(PubsubLease& lease, TimePoint now);
    /// Makes ready what has waited long enough.
    void make_due_ready(TimePoint now);

    /// Leases that end before `soon`.
    [[nodiscard]] std::vector<Pointer> expiring(TimePoint soon) const;
    /// Forgets what was held for too long; the service delivers it again by itself.
    void drop_overdue(TimePoint now);
    /// Forgets all; their ack ids, the oldest of each key first.
    [[nodiscard]] std::vector<std::string> release_all();

    [[nodiscard]] std::size_t size() const { return by_message_id_.size(); }

private:
    struct KeyQueue {
        std::deque<Pointer> leases;  ///< Oldest first.
        bool busy = false;           ///< The front is ready, delivered or delayed.
    };
    using Queues = std::unordered_map<std::string, KeyQueue>;

    void advance(Queues::iterator queue);
    void remove(PubsubLease& lease, Queues::iterator queue);

    Random& random_;
    const std::size_t max_delayed_;
    PubsubRedelivery redelivery_;
    Queues queues_;
    std::unordered_map<std::string, Pointer> by_message_id_;
    std::deque<Pointer> ready_;
    std::multimap<TimePoint, Pointer> delayed_;
};

}  // namespace quittance::messaging
