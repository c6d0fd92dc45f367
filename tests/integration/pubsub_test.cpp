// Our Pub/Sub client and administration against Google's emulator.
#include <atomic>
#include <iostream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/random.hpp"
#include "messaging/pubsub_admin.hpp"
#include "messaging/pubsub_bus.hpp"
#include "tests/support/pubsub_emulator.hpp"

namespace quittance::messaging {
namespace {

using namespace std::chrono_literals;
using test_support::provision_patiently;
using test_support::PubsubEmulator;
using test_support::quick_topology;

class PubsubTest : public testing::Test {
protected:
    void SetUp() override { REQUIRE_PUBSUB_EMULATOR(); }

    [[nodiscard]] static bool eventually(const std::function<bool()>& holds) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (!holds()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(2ms);
        }
        return true;
    }

    [[nodiscard]] std::unique_ptr<PubsubBus> make_bus(const PubsubSettings& settings, int streams = 4) {
        PubsubBusOptions options;
        options.settings = settings;
        options.publisher.retry_for = 2s;
        options.subscriber.streams = streams;
        return std::make_unique<PubsubBus>(clock_, random_, options);
    }

    /// Collects ids, and acknowledges.
    [[nodiscard]] Receiver collector() {
        return [this](std::vector<Delivery> deliveries) {
            for (Delivery& delivery : deliveries) {
                {
                    const std::lock_guard lock(mutex_);
                    received_.insert(delivery.message.id);
                }
                std::move(delivery.handle).ack();
            }
        };
    }
    [[nodiscard]] std::size_t received() {
        const std::lock_guard lock(mutex_);
        return received_.size();
    }

    /// Messages of a key each, as orders are.
    void publish(Bus& bus, const std::string& prefix, int count) {
        std::vector<Outgoing> outgoing;
        for (int i = 0; i < count; ++i) {
            Message message;
            message.id = prefix + "-" + std::to_string(i);
            message.type = "quittance.order.created.v1";
            message.ordering_key = message.id;
            message.data = "{}";
            outgoing.push_back({std::move(message), [this](PublishResult result) {
                                    ++(result.outcome == PublishOutcome::confirmed ? confirmed_ : failed_);
                                }});
        }
        bus.publish("payment-events", std::move(outgoing));
    }

    SystemClock clock_;
    SystemRandom random_;
    std::mutex mutex_;
    std::set<std::string> received_;
    std::atomic<int> confirmed_ = 0;
    std::atomic<int> failed_ = 0;
};

TEST_F(PubsubTest, provisioning_twice_changes_nothing_and_a_check_is_content) {
    const auto wanted = quick_topology(PubsubEmulator::shared().new_project());
    provision_patiently(wanted);
    std::ostringstream second;
    provision_pubsub(wanted, second);
    EXPECT_EQ(second.str().find("created"), std::string::npos) << second.str();
    EXPECT_EQ(second.str().find("changed"), std::string::npos) << second.str();
    EXPECT_EQ(check_pubsub(wanted), std::vector<std::string>());
}

TEST_F(PubsubTest, provisioning_changes_what_differs) {
    auto wanted = quick_topology(PubsubEmulator::shared().new_project());
    provision_patiently(wanted);
    wanted.max_delivery_attempts = 7;
    wanted.backoff_max = 5s;
    const auto problems = check_pubsub(wanted);
    ASSERT_EQ(problems.size(), 4U);
    EXPECT_NE(problems.front().find("after 5 deliveries"), std::string::npos) << problems.front();
    std::ostringstream out;
    provision_pubsub(wanted, out);
    EXPECT_EQ(check_pubsub(wanted), std::vector<std::string>()) << out.str();
}

TEST_F(PubsubTest, an_unknown_subscription_or_topic_says_what_to_run) {
    const auto settings = PubsubEmulator::shared().new_project();
    provision_patiently(quick_topology(PubsubEmulator::shared().new_project()));
    const auto bus = make_bus(settings);
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { bus->require_topic("payment-events"); },
             [&] { static_cast<void>(bus->subscribe("payment-service-sub", collector())); }}) {
        try {
            call();
            FAIL() << "it must not be found";
        } catch (const ConfigurationError& error) {
            EXPECT_NE(std::string(error.what()).find(settings.project), std::string::npos) << error.what();
            EXPECT_NE(std::string(error.what()).find("quittance pubsub provision"), std::string::npos);
        }
    }
}

TEST_F(PubsubTest, pubsub_may_come_later_than_the_subscriber) {
    PubsubEmulator emulator;
    const auto wanted = quick_topology(emulator.new_project());
    emulator.kill();
    const auto bus = make_bus(wanted.settings);
    const auto subscription = bus->subscribe("payment-service-sub", collector());
    emulator.start();
    provision_patiently(wanted);
    publish(*bus, "late", 10);
    EXPECT_TRUE(eventually([&] { return received() == 10; })) << received();
}

TEST_F(PubsubTest, five_thousand_messages_with_a_key_each) {
    const auto wanted = quick_topology(PubsubEmulator::shared().new_project());
    provision_patiently(wanted);
    const auto bus = make_bus(wanted.settings, 16);
    constexpr int count = 5'000;
    const auto begin = std::chrono::steady_clock::now();
    publish(*bus, "many", count);
    ASSERT_TRUE(eventually([&] { return confirmed_ == count; })) << confirmed_;
    const auto published = std::chrono::steady_clock::now();
    const auto subscription = bus->subscribe("payment-service-sub", collector());
    ASSERT_TRUE(eventually([&] { return received() == count; })) << received();
    const auto end = std::chrono::steady_clock::now();
    const auto rate = [](auto from, auto to) {
        return static_cast<int>(count / std::chrono::duration<double>(to - from).count());
    };
    std::cout << "published " << rate(begin, published) << "/s, a request each; received "
              << rate(published, end) << "/s on 16 streams" << std::endl;
}

}  // namespace
}  // namespace quittance::messaging
