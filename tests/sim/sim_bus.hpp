// The broker between the processes, which survives their crashes and is honest in the end, but not before;
// and what each process sees of a bus, crashes included.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "messaging/bus.hpp"
#include "tests/sim/prng.hpp"
#include "tests/sim/stage.hpp"

namespace quittance::sim {

/// Keeps every message that was published until a subscriber has acknowledged it. Of one key one message is
/// delivered at a time, in the order of publishing, unless a fault is planned.
class Broker {
public:
    Broker(Stage& stage, std::uint64_t seed) : stage_(stage), dice_(seed, Prng::Stream::bus) {}
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    /// `alive` becomes false when the publisher's process goes, and with it whoever waits for `done`.
    void publish(const std::string& topic, messaging::Outgoing outgoing, std::shared_ptr<const bool> alive);
    /// Returns the subscriber's name, for `detach`.
    [[nodiscard]] std::uint64_t attach(const std::string& subscription, messaging::Receiver receiver);
    void detach(const std::string& subscription, std::uint64_t subscriber);

    [[nodiscard]] std::size_t queued() const;

private:
    struct Stored {
        messaging::Message message;
        std::uint64_t number = 0;
        Timestamp due;
        int attempt = 1;
        std::uint64_t lease = 0;  ///< 0: nobody has it.
        std::uint64_t holder = 0;
    };
    struct Channel {
        std::map<std::string, std::deque<Stored>> keys;
        std::map<std::uint64_t, messaging::Receiver> subscribers;
    };

    Channel& channel_of(const std::string& subscription) { return channels_[subscription]; }
    void store(const std::string& subscription, const messaging::Message& message, milliseconds delay);
    void plan_pump(const std::string& subscription, milliseconds delay);
    void pump(const std::string& subscription);
    /// Hands the message over, or loses it on the way; repeats it after the deadline in that case.
    void lease(const std::string& subscription, Stored& stored, std::uint64_t holder,
               std::vector<messaging::Delivery>& batch);
    void deliver_again(const std::string& subscription, const messaging::Message& message);
    void answer(const std::string& subscription, const std::string& key, std::uint64_t lease,
                bool ack_is_lost, messaging::AckHandle::Answer answer, const std::string& reason);
    void give_back(const std::string& subscription, const std::string& key, std::uint64_t lease,
                   milliseconds pause);
    [[nodiscard]] Stored* find(const std::string& subscription, const std::string& key, std::uint64_t lease);

    Stage& stage_;
    Prng dice_;
    std::map<std::string, Channel> channels_;  ///< By subscription.
    std::uint64_t next_number_ = 1;
};

/// The port to the bus for one life of one process: crashes at its borders, and checks what it says.
class ProcessBus final : public messaging::Bus {
public:
    /// Told of every message on its way out, and of every message that is being acknowledged.
    struct Watch {
        std::function<void(const messaging::Message&)> published;
        std::function<void(const messaging::Message&)> acknowledged;
    };

    /// Over the broker.
    ProcessBus(Stage& stage, Broker& broker, int process, std::shared_ptr<const bool> alive,
               const Watch& watch);
    /// Over a bus of the process's own.
    ProcessBus(Stage& stage, messaging::Bus& own, int process, std::shared_ptr<const bool> alive,
               const Watch& watch);

    void publish(const std::string& topic, std::vector<messaging::Outgoing> messages) override;
    [[nodiscard]] std::unique_ptr<messaging::Subscription> subscribe(const std::string& subscription,
                                                                     messaging::Receiver receiver) override;

private:
    void pass_on(const std::string& topic, messaging::Outgoing outgoing);
    [[nodiscard]] messaging::Delivery watched(messaging::Delivery delivery) const;

    Stage& stage_;
    Broker* broker_ = nullptr;
    messaging::Bus* own_ = nullptr;
    int process_;
    std::shared_ptr<const bool> alive_;
    const Watch& watch_;
};

}  // namespace quittance::sim
