#include "messaging/embedded_bus.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/backoff.hpp"
#include "core/error.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

struct Channel;
struct Lease;

struct Entry {
    Outgoing outgoing;
    std::uint64_t sequence = 0;  ///< In the order of publishing, over the whole bus.
    int attempt = 1;
};

/// The messages of one ordering key, oldest first. Only the oldest can be on its way, so the queue as a whole
/// is in exactly one place: ready, delayed, or leased to the subscriber.
struct KeyQueue {
    Channel* channel = nullptr;
    const std::string* key = nullptr;
    std::list<Entry> entries;
    std::shared_ptr<Lease> lease;
};

/// What binds a handle to its message; `queue` is null once the answer is given or no longer wanted.
struct Lease {
    KeyQueue* queue = nullptr;
};

struct Channel {
    std::string topic;
    std::string subscription;
    Receiver receiver;
    bool attached = false;
    bool delivering = false;
    std::unordered_map<std::string, KeyQueue> queues;
    std::deque<KeyQueue*> ready;
    std::multimap<TimePoint, KeyQueue*> delayed;
    std::size_t queued = 0;
    std::size_t outstanding = 0;
};

struct Finished {
    Outgoing outgoing;
    PublishResult result;
};

void report(std::vector<Finished>& finished) {
    for (Finished& one : finished)
        one.outgoing.done(std::move(one.result));
}

}  // namespace

struct EmbeddedBus::State : std::enable_shared_from_this<State> {
    State(const Clock& bus_clock, Random& bus_random, EmbeddedBusOptions bus_options);

    void publish(const std::string& topic, std::vector<Outgoing> messages);
    Channel& attach(const std::string& subscription, Receiver receiver);
    void detach(Channel& channel);
    bool deliver(Channel& channel);
    void answer(Lease& lease, AckHandle::Answer answer, std::string reason);
    void sleep(const std::stop_token& stop);
    void close();
    [[nodiscard]] std::size_t queued() const;

    // Under the mutex.
    Channel* find_topic(const std::string& topic);
    void enqueue(Channel& channel, Outgoing outgoing);
    void make_due_ready(Channel& channel);
    std::vector<KeyQueue*> lease_ready(Channel& channel);
    void return_leased(Channel& channel);
    Outgoing take_front(KeyQueue& queue);
    [[nodiscard]] bool accepts(const Channel& channel) const;
    [[nodiscard]] std::optional<TimePoint> next_due() const;
    void wake(const Channel& channel);

    const Clock& clock;
    Random& random;
    const EmbeddedBusOptions options;
    std::vector<std::unique_ptr<Channel>> channels;  ///< Fixed from the start.

    mutable std::mutex mutex;
    std::condition_variable_any work_arrived;
    std::condition_variable receiver_returned;
    bool sleeping = false;
    std::uint64_t next_sequence = 0;
};

EmbeddedBus::State::State(const Clock& bus_clock, Random& bus_random, EmbeddedBusOptions bus_options)
    : clock(bus_clock), random(bus_random), options(std::move(bus_options)) {
    for (const auto& route : options.routes) {
        for (const auto& channel : channels) {
            if (channel->topic == route.topic || channel->subscription == route.subscription) {
                throw ConfigurationError("the embedded bus has two routes for topic " + route.topic +
                                         " or subscription " + route.subscription);
            }
        }
        auto& channel = channels.emplace_back(std::make_unique<Channel>());
        channel->topic = route.topic;
        channel->subscription = route.subscription;
    }
}

void EmbeddedBus::State::publish(const std::string& topic, std::vector<Outgoing> messages) {
    std::vector<Finished> refused;
    {
        const std::lock_guard lock(mutex);
        Channel* channel = find_topic(topic);
        for (Outgoing& outgoing : messages) {
            if (channel == nullptr) {
                refused.push_back(
                    {std::move(outgoing), {PublishOutcome::failed, "there is no topic " + topic, 0}});
            } else if (channel->queued >= options.max_queued) {
                refused.push_back({std::move(outgoing),
                                   {PublishOutcome::failed, "the queue of topic " + topic + " is full", 0}});
            } else {
                enqueue(*channel, std::move(outgoing));
            }
        }
        if (channel != nullptr) wake(*channel);
    }
    report(refused);
}

Channel* EmbeddedBus::State::find_topic(const std::string& topic) {
    const auto found = std::ranges::find(channels, topic, [](const auto& channel) { return channel->topic; });
    return found == channels.end() ? nullptr : found->get();
}

void EmbeddedBus::State::enqueue(Channel& channel, Outgoing outgoing) {
    const Message& message = outgoing.message;
    // A message without a key waits for no other: its own id serves as a key of one.
    const auto [at, is_new] =
        channel.queues.try_emplace(message.ordering_key.empty() ? message.id : message.ordering_key);
    KeyQueue& queue = at->second;
    queue.entries.push_back({std::move(outgoing), next_sequence++, 1});
    ++channel.queued;
    if (is_new) {
        queue.channel = &channel;
        queue.key = &at->first;
        channel.ready.push_back(&queue);
    }
}

Channel& EmbeddedBus::State::attach(const std::string& subscription, Receiver receiver) {
    const std::lock_guard lock(mutex);
    const auto found =
        std::ranges::find(channels, subscription, [](const auto& channel) { return channel->subscription; });
    if (found == channels.end()) throw ConfigurationError("there is no subscription " + subscription);
    Channel& channel = **found;
    if (channel.attached)
        throw ConfigurationError("subscription " + subscription + " has a subscriber already");
    channel.receiver = std::move(receiver);
    channel.attached = true;
    wake(channel);
    return channel;
}

void EmbeddedBus::State::detach(Channel& channel) {
    Receiver released;  // Destroyed without the lock: what it holds may call us.
    std::unique_lock lock(mutex);
    channel.attached = false;
    receiver_returned.wait(lock, [&] { return !channel.delivering; });
    released = std::move(channel.receiver);
    return_leased(channel);
}

void EmbeddedBus::State::return_leased(Channel& channel) {
    std::vector<KeyQueue*> returned;
    for (auto& [key, queue] : channel.queues) {
        if (!queue.lease) continue;
        queue.lease->queue = nullptr;
        queue.lease.reset();
        returned.push_back(&queue);
    }
    std::ranges::sort(returned, {}, [](const KeyQueue* queue) { return queue->entries.front().sequence; });
    channel.ready.insert(channel.ready.begin(), returned.begin(), returned.end());
    channel.outstanding = 0;
}

bool EmbeddedBus::State::accepts(const Channel& channel) const {
    return channel.attached && !channel.delivering && channel.outstanding < options.max_outstanding;
}

void EmbeddedBus::State::make_due_ready(Channel& channel) {
    const auto end = channel.delayed.upper_bound(clock.steady_now());
    for (auto at = channel.delayed.begin(); at != end; ++at)
        channel.ready.push_back(at->second);
    channel.delayed.erase(channel.delayed.begin(), end);
}

std::vector<KeyQueue*> EmbeddedBus::State::lease_ready(Channel& channel) {
    const auto count = std::min(channel.ready.size(), options.max_outstanding - channel.outstanding);
    const auto end = channel.ready.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<KeyQueue*> leased(channel.ready.begin(), end);
    channel.ready.erase(channel.ready.begin(), end);
    for (KeyQueue* queue : leased)
        queue->lease = std::make_shared<Lease>(Lease{queue});
    channel.outstanding += count;
    return leased;
}

bool EmbeddedBus::State::deliver(Channel& channel) {
    std::unique_lock lock(mutex);
    if (!accepts(channel)) return false;
    make_due_ready(channel);
    if (channel.ready.empty()) return false;
    const std::vector<KeyQueue*> leased = lease_ready(channel);
    channel.delivering = true;
    lock.unlock();

    // Copying needs no lock: nobody can answer for, move or remove these messages before they are handed
    // over, and `detach` waits for `delivering`.
    std::vector<Delivery> deliveries;
    deliveries.reserve(leased.size());
    for (KeyQueue* queue : leased) {
        const Entry& entry = queue->entries.front();
        deliveries.push_back({entry.outgoing.message, entry.attempt,
                              AckHandle([state = shared_from_this(), lease = queue->lease](
                                            AckHandle::Answer answer, std::string reason) {
                                  state->answer(*lease, answer, std::move(reason));
                              })});
    }
    channel.receiver(std::move(deliveries));

    lock.lock();
    channel.delivering = false;
    receiver_returned.notify_all();
    wake(channel);
    return true;
}

void EmbeddedBus::State::answer(Lease& lease, AckHandle::Answer answer, std::string reason) {
    Finished finished;
    {
        const std::lock_guard lock(mutex);
        KeyQueue* queue = std::exchange(lease.queue, nullptr);
        if (queue == nullptr) return;
        Channel& channel = *queue->channel;
        queue->lease.reset();
        --channel.outstanding;
        Entry& entry = queue->entries.front();
        finished.result.delivery_attempts = entry.attempt;
        if (answer == AckHandle::Answer::nack) {
            if (entry.attempt < options.max_delivery_attempts) {
                const auto pause = backoff({options.backoff_min, options.backoff_max}, entry.attempt, random);
                channel.delayed.emplace(clock.steady_now() + pause, queue);
                ++entry.attempt;
                wake(channel);
                return;
            }
            reason = "not acknowledged in " + std::to_string(entry.attempt) + " deliveries";
        }
        if (answer != AckHandle::Answer::ack) {
            finished.result.outcome = PublishOutcome::dead_lettered;
            finished.result.reason = std::move(reason);
        }
        finished.outgoing = take_front(*queue);
        wake(channel);
    }
    finished.outgoing.done(std::move(finished.result));
}

Outgoing EmbeddedBus::State::take_front(KeyQueue& queue) {
    Channel& channel = *queue.channel;
    Outgoing outgoing = std::move(queue.entries.front().outgoing);
    queue.entries.pop_front();
    --channel.queued;
    if (queue.entries.empty()) {
        channel.queues.erase(channel.queues.find(*queue.key));
    } else {
        channel.ready.push_back(&queue);
    }
    return outgoing;
}

void EmbeddedBus::State::wake(const Channel& channel) {
    if (!sleeping || !accepts(channel) || (channel.ready.empty() && channel.delayed.empty())) return;
    sleeping = false;
    work_arrived.notify_one();
}

std::optional<TimePoint> EmbeddedBus::State::next_due() const {
    std::optional<TimePoint> next;
    for (const auto& channel : channels) {
        if (!accepts(*channel)) continue;
        if (!channel->ready.empty()) return TimePoint::min();
        if (channel->delayed.empty()) continue;
        const TimePoint due = channel->delayed.begin()->first;
        next = next ? std::min(*next, due) : due;
    }
    return next;
}

void EmbeddedBus::State::sleep(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    const auto due = next_due();
    if (due == TimePoint::min()) return;
    sleeping = true;
    const auto woken = [this] { return !sleeping; };
    if (due) {
        work_arrived.wait_for(lock, stop, *due - clock.steady_now(), woken);
    } else {
        work_arrived.wait(lock, stop, woken);
    }
    sleeping = false;
}

void EmbeddedBus::State::close() {
    std::vector<Finished> finished;
    {
        const std::lock_guard lock(mutex);
        for (auto& channel : channels) {
            return_leased(*channel);
            for (auto& [key, queue] : channel->queues) {
                for (Entry& entry : queue.entries) {
                    finished.push_back(
                        {std::move(entry.outgoing), {PublishOutcome::failed, "the bus is shutting down", 0}});
                }
            }
            channel->ready.clear();
            channel->delayed.clear();
            channel->queues.clear();
            channel->queued = 0;
        }
    }
    report(finished);
}

std::size_t EmbeddedBus::State::queued() const {
    const std::lock_guard lock(mutex);
    std::size_t count = 0;
    for (const auto& channel : channels)
        count += channel->queued;
    return count;
}

class EmbeddedBus::Attached final : public Subscription {
public:
    Attached(std::shared_ptr<State> state, Channel& channel) : state_(std::move(state)), channel_(channel) {}
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    ~Attached() override { state_->detach(channel_); }

private:
    std::shared_ptr<State> state_;
    Channel& channel_;
};

EmbeddedBus::EmbeddedBus(const Clock& clock, Random& random, EmbeddedBusOptions options)
    : state_(std::make_shared<State>(clock, random, std::move(options))) {}

EmbeddedBus::~EmbeddedBus() {
    state_->close();
}

void EmbeddedBus::publish(const std::string& topic, std::vector<Outgoing> messages) {
    state_->publish(topic, std::move(messages));
}

std::unique_ptr<Subscription> EmbeddedBus::subscribe(const std::string& subscription, Receiver receiver) {
    return std::make_unique<Attached>(state_, state_->attach(subscription, std::move(receiver)));
}

bool EmbeddedBus::step() {
    bool delivered = false;
    for (const auto& channel : state_->channels)
        delivered |= state_->deliver(*channel);
    return delivered;
}

void EmbeddedBus::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        if (!step()) state_->sleep(stop);
    }
}

std::size_t EmbeddedBus::queued() const {
    return state_->queued();
}

}  // namespace quittance::messaging
