#include "tests/sim/sim_bus.hpp"

#include <algorithm>
#include <utility>

#include "contracts/events.hpp"
#include "messaging/embedded_bus.hpp"

namespace quittance::sim {

using messaging::AckHandle;
using messaging::Delivery;
using messaging::Message;
using messaging::Outgoing;
using messaging::PublishOutcome;
using messaging::PublishResult;

namespace {

/// After so long without an answer a delivery counts as lost.
constexpr milliseconds ack_deadline{10'000};
constexpr milliseconds longest_backoff{10'000};

std::string name_of(const Message& message) {
    const std::string_view type = message.type;
    return std::string(type.substr(10)) + " " + tail(message.id) + " of order " + tail(message.ordering_key);
}

std::string_view subscription_of(std::string_view topic) {
    return topic == contracts::payment_events_topic ? contracts::payment_service_subscription
                                                    : contracts::order_service_subscription;
}

}  // namespace

void Broker::publish(const std::string& topic, Outgoing outgoing, std::shared_ptr<const bool> alive) {
    const std::string subscription(subscription_of(topic));
    const auto fault = stage_.faults.pass(Border::broker, 0);
    PublishResult result;
    milliseconds delay{0};
    if (fault)
        stage_.history.note("broker: " + std::string(to_string(*fault)) + ": " + name_of(outgoing.message));
    if (fault == FaultKind::failed_publish || fault == FaultKind::unknown_publish) {
        result = {PublishOutcome::failed, "simulated", 0};
    }
    if (fault == FaultKind::late_message) delay = dice_.milliseconds(1'000, 60'000);
    if (fault != FaultKind::failed_publish) store(subscription, outgoing.message, delay);
    if (fault == FaultKind::repeated_message) store(subscription, outgoing.message, delay);
    stage_.queue.after(dice_.milliseconds(1, 20), [alive = std::move(alive), done = std::move(outgoing.done),
                                                   result = std::move(result)]() mutable {
        if (*alive) done(std::move(result));
    });
}

void Broker::store(const std::string& subscription, const Message& message, milliseconds delay) {
    Stored stored{.message = message, .number = next_number_++, .due = stage_.clock.now() + delay};
    channel_of(subscription).keys[message.ordering_key].push_back(std::move(stored));
    plan_pump(subscription, delay + dice_.milliseconds(1, 15));
}

std::uint64_t Broker::attach(const std::string& subscription, messaging::Receiver receiver) {
    const std::uint64_t subscriber = next_number_++;
    channel_of(subscription).subscribers.emplace(subscriber, std::move(receiver));
    plan_pump(subscription, dice_.milliseconds(1, 15));
    return subscriber;
}

/// What it has not answered goes to others soon: the broker sees that the connection is gone.
void Broker::detach(const std::string& subscription, std::uint64_t subscriber) {
    Channel& channel = channel_of(subscription);
    channel.subscribers.erase(subscriber);
    for (auto& [key, queue] : channel.keys) {
        for (Stored& stored : queue) {
            if (stored.lease != 0 && stored.holder == subscriber)
                give_back(subscription, key, stored.lease, dice_.milliseconds(1, 3'000));
        }
    }
}

void Broker::plan_pump(const std::string& subscription, milliseconds delay) {
    stage_.queue.after(delay, [this, subscription] { pump(subscription); });
}

void Broker::pump(const std::string& subscription) {
    Channel& channel = channel_of(subscription);
    if (channel.subscribers.empty()) return;
    auto chosen = channel.subscribers.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(dice_.below(channel.subscribers.size())));
    std::vector<Delivery> batch;
    for (auto& [key, queue] : channel.keys) {
        if (queue.empty() || queue.front().lease != 0 || queue.front().due > stage_.clock.now()) continue;
        lease(subscription, queue.front(), chosen->first, batch);
    }
    if (batch.empty()) return;
    // Between keys there is no order.
    for (std::size_t i = batch.size() - 1; i > 0; --i)
        std::swap(batch[i], batch[dice_.below(i + 1)]);
    chosen->second(std::move(batch));
}

void Broker::lease(const std::string& subscription, Stored& stored, std::uint64_t holder,
                   std::vector<Delivery>& batch) {
    const std::string key = stored.message.ordering_key;
    const auto fault = stage_.faults.pass(Border::delivery, 0);
    if (fault)
        stage_.history.note("broker: " + std::string(to_string(*fault)) + ": " + name_of(stored.message));
    auto& queue = channel_of(subscription).keys.at(key);
    if (fault == FaultKind::overtaking_delivery && queue.size() > 1) std::swap(queue[0], queue[1]);
    Stored& front = queue.front();
    front.lease = next_number_++;
    front.holder = holder;
    stage_.queue.after(ack_deadline, [this, subscription, key, lease = front.lease] {
        give_back(subscription, key, lease, milliseconds(0));
    });
    if (fault == FaultKind::lost_delivery) return;
    if (fault == FaultKind::repeated_delivery) deliver_again(subscription, front.message);
    stage_.history.note("broker: delivers " + name_of(front.message) + ", attempt " +
                        std::to_string(front.attempt));
    const bool ack_is_lost = fault == FaultKind::lost_ack;
    batch.push_back({front.message, front.attempt,
                     AckHandle([this, subscription, key, ack_is_lost, lease = front.lease](
                                   AckHandle::Answer given, const std::string& reason) {
                         answer(subscription, key, lease, ack_is_lost, given, reason);
                     })});
}

/// Out of order and long after, as a broker does that forgot an acknowledgement.
void Broker::deliver_again(const std::string& subscription, const Message& message) {
    stage_.queue.after(dice_.milliseconds(10, 120'000), [this, subscription, message] {
        Channel& channel = channel_of(subscription);
        if (channel.subscribers.empty()) return;
        stage_.history.note("broker: delivers again " + name_of(message));
        std::vector<Delivery> batch;
        batch.push_back({message, 2, AckHandle([](AckHandle::Answer, const std::string&) {})});
        channel.subscribers.begin()->second(std::move(batch));
    });
}

Broker::Stored* Broker::find(const std::string& subscription, const std::string& key, std::uint64_t lease) {
    auto& queue = channel_of(subscription).keys[key];
    const auto found = std::ranges::find(queue, lease, &Stored::lease);
    return found == queue.end() ? nullptr : &*found;
}

void Broker::give_back(const std::string& subscription, const std::string& key, std::uint64_t lease,
                       milliseconds pause) {
    Stored* stored = find(subscription, key, lease);
    if (stored == nullptr) return;
    stored->lease = 0;
    stored->attempt += 1;
    stored->due = stage_.clock.now() + pause;
    plan_pump(subscription, pause + dice_.milliseconds(0, 15));
}

void Broker::answer(const std::string& subscription, const std::string& key, std::uint64_t lease,
                    bool ack_is_lost, AckHandle::Answer answer, const std::string& reason) {
    Stored* stored = find(subscription, key, lease);
    if (stored == nullptr) return;
    if (answer == AckHandle::Answer::reject) {
        throw Violation{"no event is rejected", name_of(stored->message) + " was rejected: " + reason};
    }
    if (answer == AckHandle::Answer::nack) {
        if (stored->attempt >= messaging::EmbeddedBusOptions{}.max_delivery_attempts) {
            throw Violation{"no event is given up", name_of(stored->message) + " was delivered too often"};
        }
        const auto pause = milliseconds(100) * (1 << std::min(stored->attempt, 10));
        return give_back(subscription, key, lease, std::min(pause, longest_backoff));
    }
    if (ack_is_lost) return;
    auto& queue = channel_of(subscription).keys.at(key);
    std::erase_if(queue, [&](const Stored& one) { return one.lease == lease; });
    if (queue.empty()) {
        channel_of(subscription).keys.erase(key);
    } else {
        plan_pump(subscription, dice_.milliseconds(0, 15));
    }
}

std::size_t Broker::queued() const {
    std::size_t count = 0;
    for (const auto& [subscription, channel] : channels_) {
        for (const auto& [key, queue] : channel.keys)
            count += queue.size();
    }
    return count;
}

namespace {

class Attached final : public messaging::Subscription {
public:
    Attached(Broker& broker, std::string subscription, std::uint64_t subscriber)
        : broker_(broker), subscription_(std::move(subscription)), subscriber_(subscriber) {}
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    ~Attached() override { broker_.detach(subscription_, subscriber_); }

private:
    Broker& broker_;
    std::string subscription_;
    std::uint64_t subscriber_;
};

}  // namespace

ProcessBus::ProcessBus(Stage& stage, Broker& broker, int process, std::shared_ptr<const bool> alive,
                       const Watch& watch)
    : stage_(stage), broker_(&broker), process_(process), alive_(std::move(alive)), watch_(watch) {}

ProcessBus::ProcessBus(Stage& stage, messaging::Bus& own, int process, std::shared_ptr<const bool> alive,
                       const Watch& watch)
    : stage_(stage), own_(&own), process_(process), alive_(std::move(alive)), watch_(watch) {}

void ProcessBus::publish(const std::string& topic, std::vector<Outgoing> messages) {
    for (Outgoing& outgoing : messages) {
        const auto fault = stage_.faults.pass(Border::publish, process_);
        stage_.history.note("process " + std::to_string(process_) + " publishes " +
                            name_of(outgoing.message) + (fault ? ": " + std::string(to_string(*fault)) : ""));
        if (fault == FaultKind::crash_before_publish) throw Crash{process_};
        watch_.published(outgoing.message);
        pass_on(topic, std::move(outgoing));
        if (fault == FaultKind::crash_after_publish) throw Crash{process_};
    }
}

void ProcessBus::pass_on(const std::string& topic, Outgoing outgoing) {
    if (broker_ != nullptr) return broker_->publish(topic, std::move(outgoing), alive_);
    std::vector<Outgoing> one;
    one.push_back(
        {std::move(outgoing.message),
         [alive = alive_, done = std::move(outgoing.done)](PublishResult result) mutable {
             if (!*alive) return;
             if (result.outcome == PublishOutcome::dead_lettered) {
                 throw Violation{"no event is rejected", "a message became a dead letter: " + result.reason};
             }
             done(std::move(result));
         }});
    own_->publish(topic, std::move(one));
}

std::unique_ptr<messaging::Subscription> ProcessBus::subscribe(const std::string& subscription,
                                                               messaging::Receiver receiver) {
    auto shared = std::make_shared<messaging::Receiver>(std::move(receiver));
    auto watching = [this, shared](std::vector<Delivery> deliveries) {
        std::vector<Delivery> batch;
        for (Delivery& delivery : deliveries)
            batch.push_back(watched(std::move(delivery)));
        (*shared)(std::move(batch));
    };
    if (broker_ != nullptr) {
        const std::uint64_t subscriber = broker_->attach(subscription, std::move(watching));
        return std::make_unique<Attached>(*broker_, subscription, subscriber);
    }
    // Not while the embedded bus delivers: it would wait for ever for a delivery that ended in a crash.
    return own_->subscribe(subscription, [&stage = stage_, alive = alive_,
                                          watching](std::vector<Delivery> deliveries) {
        stage.queue.after(milliseconds(0), [alive, watching, deliveries = std::move(deliveries)]() mutable {
            if (*alive) watching(std::move(deliveries));
        });
    });
}

Delivery ProcessBus::watched(Delivery delivery) const {
    auto answered = [this, alive = alive_, message = delivery.message, handle = std::move(delivery.handle)](
                        AckHandle::Answer answer, std::string reason) mutable {
        // A handle that dies with its process says nothing any more.
        if (!*alive) return;
        if (answer == AckHandle::Answer::nack) return std::move(handle).nack();
        if (answer == AckHandle::Answer::reject) return std::move(handle).reject(std::move(reason));
        const auto fault = stage_.faults.pass(Border::ack, process_);
        stage_.history.note("process " + std::to_string(process_) + " acknowledges " + name_of(message) +
                            (fault ? ": " + std::string(to_string(*fault)) : ""));
        if (fault == FaultKind::crash_before_ack) throw Crash{process_};
        watch_.acknowledged(message);
        std::move(handle).ack();
        if (fault == FaultKind::crash_after_ack) throw Crash{process_};
    };
    return {std::move(delivery.message), delivery.attempt, AckHandle(std::move(answered))};
}

}  // namespace quittance::sim
