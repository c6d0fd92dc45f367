// The suite that every adapter of messaging/bus.hpp passes. It expects what the port promises and no more: at
// least once, and no particular speed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "messaging/bus.hpp"

namespace quittance::messaging {

/// One broker with one empty topic and its subscription, and whatever threads its adapter needs.
class BusEnvironment {
public:
    virtual ~BusEnvironment() = default;
    [[nodiscard]] virtual Bus& bus() = 0;
    [[nodiscard]] virtual std::string topic() const = 0;
    [[nodiscard]] virtual std::string subscription() const = 0;
    /// Deliveries before a message that is never acknowledged becomes a dead letter. The back-off between
    /// them should be short.
    [[nodiscard]] virtual int max_delivery_attempts() const = 0;
    /// Ids of the dead letters that the broker keeps by itself; those that it reports to the sender
    /// (PublishOutcome::dead_lettered) are counted by the suite.
    [[nodiscard]] virtual std::vector<std::string> dead_letters() = 0;
};

using MakeBusEnvironment = std::function<std::unique_ptr<BusEnvironment>()>;

/// Usage: INSTANTIATE_TEST_SUITE_P(Name, BusConformance, testing::Values(MakeBusEnvironment(make)));
class BusConformance : public testing::TestWithParam<MakeBusEnvironment> {
protected:
    /// What a subscriber saw of one delivery.
    struct Seen {
        Message message;
        int attempt = 0;
    };
    /// Decides what happens to a delivery. Runs on the bus's thread, under no lock.
    using Answer = std::function<void(Delivery)>;

    ~BusConformance() override;

    [[nodiscard]] Bus& bus() { return environment_->bus(); }

    /// A message whose id is unique within the test.
    [[nodiscard]] static Message message(std::string id, std::string key = {});
    void publish(std::vector<Message> messages);

    [[nodiscard]] std::unique_ptr<Subscription> subscribe(Answer answer);
    /// A subscriber that acknowledges everything.
    [[nodiscard]] std::unique_ptr<Subscription> subscribe();

    /// Waits, generously, until the condition holds; it may call the accessors below.
    [[nodiscard]] static bool eventually(const std::function<bool()>& holds);
    [[nodiscard]] std::vector<Seen> seen();
    [[nodiscard]] std::vector<Seen> seen(const std::string& id);
    [[nodiscard]] std::vector<PublishResult> results(const std::string& id);
    [[nodiscard]] std::size_t confirmed();
    [[nodiscard]] bool is_dead_letter(const std::string& id);
    /// Ids with this key in the order of their first delivery.
    [[nodiscard]] std::vector<std::string> first_deliveries(const std::string& key);

    std::unique_ptr<BusEnvironment> environment_ = GetParam()();
    const std::string topic_ = environment_->topic();

private:
    std::mutex mutex_;
    std::vector<Seen> seen_;
    std::map<std::string, std::vector<PublishResult>> results_;
};

}  // namespace quittance::messaging
