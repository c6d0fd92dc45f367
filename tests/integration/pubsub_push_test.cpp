// What becomes of messages that are posted to us. The emulator says what the subscription is like and takes
// dead letters; the posts are the test's own.
#include "messaging/pubsub_push.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "core/random.hpp"
#include "messaging/pubsub_admin.hpp"
#include "messaging/pubsub_bus.hpp"
#include "messaging/pubsub_dead_letters.hpp"
#include "tests/support/pubsub_emulator.hpp"

namespace quittance::messaging {
namespace {

using namespace std::chrono_literals;
using test_support::PubsubEmulator;
using test_support::quick_topology;

constexpr const char* subscription_name = "payment-service-sub";

class PubsubPushTest : public testing::Test {
protected:
    void SetUp() override {
        REQUIRE_PUBSUB_EMULATOR();
        settings_ = PubsubEmulator::shared().new_project();
        test_support::provision_patiently(quick_topology(settings_));
        open({});
    }

    /// A bus that keeps what it delivers until the test answers it.
    void open(const PubsubPushOptions& push) {
        subscription_.reset();
        PubsubBusOptions options;
        options.settings = settings_;
        options.delivery = PubsubDelivery::push;
        options.push = push;
        bus_ = std::make_unique<PubsubBus>(clock_, random_, options);
        subscription_ = bus_->subscribe(subscription_name, [this](std::vector<Delivery> deliveries) {
            const std::lock_guard lock(mutex_);
            for (Delivery& delivery : deliveries) {
                order_.push_back(delivery.message.id);
                delivered_.insert_or_assign(delivery.message.id, std::move(delivery));
            }
        });
    }

    void post(const std::string& id, const std::string& key = {}, int attempt = 0) {
        PushedMessage pushed;
        pushed.subscription = "projects/" + settings_.project + "/subscriptions/" + subscription_name;
        pushed.message_id = id;
        pushed.message.id = id;
        pushed.message.type = "quittance.order.created.v1";
        pushed.message.ordering_key = key;
        pushed.message.data = "{}";
        pushed.attempt = attempt;
        deliver(std::move(pushed), id);
    }
    void deliver(PushedMessage pushed, const std::string& id) {
        bus_->push()->deliver(std::move(pushed), [this, id](PushOutcome outcome) {
            const std::lock_guard lock(mutex_);
            EXPECT_FALSE(outcomes_.contains(id)) << id << " was answered twice";
            outcomes_.emplace(id, outcome);
        });
    }

    /// The handle of a message, as soon as it was delivered.
    AckHandle handle(const std::string& id) {
        EXPECT_TRUE(eventually([&] { return delivered_.contains(id); })) << id << " was not delivered";
        const std::lock_guard lock(mutex_);
        auto node = delivered_.extract(id);
        return std::move(node.mapped().handle);
    }
    void expect_outcome(const std::string& id, PushOutcome outcome) {
        ASSERT_TRUE(eventually([&] { return outcomes_.contains(id); })) << id << " was not answered";
        EXPECT_EQ(outcomes_.at(id), outcome) << id;
    }
    void forget_outcomes() {
        const std::lock_guard lock(mutex_);
        outcomes_.clear();
    }
    [[nodiscard]] bool is_waiting(const std::string& id) {
        const std::lock_guard lock(mutex_);
        return !outcomes_.contains(id) && std::ranges::find(order_, id) == order_.end();
    }
    bool eventually(const std::function<bool()>& holds) {
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (true) {
            {
                const std::lock_guard lock(mutex_);
                if (holds()) return true;
            }
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(1ms);
        }
    }
    [[nodiscard]] bool is_dead_letter(const std::string& id) {
        PubsubDeadLetters letters(settings_, {{"payment-events", subscription_name}});
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (std::chrono::steady_clock::now() < deadline) {
            if (letters.find(id)) return true;
        }
        return false;
    }

    SystemClock clock_;
    SystemRandom random_;
    PubsubSettings settings_;
    std::mutex mutex_;
    std::vector<std::string> order_;
    std::map<std::string, Delivery> delivered_;
    std::map<std::string, PushOutcome> outcomes_;
    std::unique_ptr<PubsubBus> bus_;
    std::unique_ptr<Subscription> subscription_;
};

TEST_F(PubsubPushTest, a_post_is_answered_when_its_message_is) {
    post("good");
    post("later");
    auto good = handle("good");
    {
        const std::lock_guard lock(mutex_);
        EXPECT_TRUE(outcomes_.empty());
    }
    std::move(good).ack();
    expect_outcome("good", PushOutcome::settled);
    handle("later").nack();
    expect_outcome("later", PushOutcome::again);
    post("dropped");
    { const AckHandle dropped = handle("dropped"); }
    expect_outcome("dropped", PushOutcome::again);
}

TEST_F(PubsubPushTest, what_is_rejected_is_settled_once_it_is_a_dead_letter) {
    post("bad", "key");
    post("behind", "key");
    handle("bad").reject("no repetition can help");
    expect_outcome("bad", PushOutcome::settled);
    EXPECT_TRUE(is_dead_letter("bad"));
    handle("behind").ack();
    expect_outcome("behind", PushOutcome::settled);
}

TEST_F(PubsubPushTest, the_last_delivery_that_fails_makes_a_dead_letter) {
    post("fourth", "", 4);
    handle("fourth").nack();
    expect_outcome("fourth", PushOutcome::again);
    post("fifth", "", 5);
    handle("fifth").nack();
    expect_outcome("fifth", PushOutcome::settled);
    EXPECT_TRUE(is_dead_letter("fifth"));
}

TEST_F(PubsubPushTest, messages_of_a_key_wait_for_each_other) {
    for (const char* id : {"1", "2", "3"})
        post(id, "key");
    post("of another key", "other");
    handle("of another key").ack();
    auto first = handle("1");
    EXPECT_TRUE(is_waiting("2"));
    std::move(first).ack();
    auto second = handle("2");
    EXPECT_TRUE(is_waiting("3"));
    std::move(second).ack();
    handle("3").ack();
    expect_outcome("3", PushOutcome::settled);
}

TEST_F(PubsubPushTest, what_waits_behind_a_failure_is_sent_again_with_it) {
    for (const char* id : {"1", "2", "3"})
        post(id, "key");
    handle("1").nack();
    for (const char* id : {"1", "2", "3"})
        expect_outcome(id, PushOutcome::again);
    forget_outcomes();
    post("1", "key");
    handle("1").ack();
    expect_outcome("1", PushOutcome::settled);
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(order_, (std::vector<std::string>{"1", "1"})) << "nothing may overtake what comes again";
}

TEST_F(PubsubPushTest, a_post_is_answered_within_its_deadline_and_the_key_waits_for_the_work) {
    open({.deadline = 2s});
    post("slow", "key");
    post("behind", "key");
    auto slow = handle("slow");
    expect_outcome("slow", PushOutcome::again);
    expect_outcome("behind", PushOutcome::again);
    forget_outcomes();
    post("slow", "key");
    {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(order_.size(), 1U) << "it must not run twice at once";
    }
    std::move(slow).ack();
    handle("slow").ack();
    expect_outcome("slow", PushOutcome::settled);
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(order_, (std::vector<std::string>{"slow", "slow"}));
}

TEST_F(PubsubPushTest, too_many_at_once_are_refused) {
    open({.max_outstanding = 2});
    post("1");
    post("2", "key");
    post("3", "key");
    expect_outcome("3", PushOutcome::overloaded);
    handle("1").ack();
    expect_outcome("1", PushOutcome::settled);
    forget_outcomes();
    post("3", "key");
    handle("2").ack();
    handle("3").ack();
    expect_outcome("3", PushOutcome::settled);
}

TEST_F(PubsubPushTest, subscriptions_of_others_are_not_ours) {
    PushedMessage pushed;
    pushed.message_id = "1";
    pushed.subscription = "projects/another/subscriptions/" + std::string(subscription_name);
    deliver(pushed, "of another project");
    expect_outcome("of another project", PushOutcome::unknown_subscription);
}

TEST_F(PubsubPushTest, the_end_of_a_subscription_answers_what_is_open) {
    post("1", "key");
    post("2", "key");
    auto first = handle("1");
    subscription_.reset();
    expect_outcome("1", PushOutcome::again);
    expect_outcome("2", PushOutcome::again);
    std::move(first).ack();
    forget_outcomes();
    post("3");
    expect_outcome("3", PushOutcome::again);
}

TEST_F(PubsubPushTest, a_subscription_that_is_not_there_says_what_to_run) {
    try {
        const auto none = bus_->subscribe("no-such-subscription", [](std::vector<Delivery> /*none*/) {});
        FAIL() << "it must not be found";
    } catch (const ConfigurationError& error) {
        EXPECT_NE(std::string(error.what()).find("quittance pubsub provision"), std::string::npos);
    }
}

TEST_F(PubsubPushTest, ten_thousand_posts_on_many_threads_are_each_answered) {
    subscription_.reset();
    subscription_ = bus_->subscribe(subscription_name, [](std::vector<Delivery> deliveries) {
        for (Delivery& delivery : deliveries)
            std::move(delivery.handle).ack();
    });
    constexpr int threads = 4;
    constexpr int each = 2'500;
    {
        std::vector<std::jthread> senders;
        for (int sender = 0; sender < threads; ++sender) {
            senders.emplace_back([this, sender] {
                for (int i = 0; i < each; ++i) {
                    const std::string id = std::to_string(sender) + "-" + std::to_string(i);
                    post(id, "key " + std::to_string(i % 100));
                }
            });
        }
    }
    ASSERT_TRUE(eventually([&] { return outcomes_.size() == threads * each; }));
    const std::lock_guard lock(mutex_);
    const auto settled = std::ranges::count_if(
        outcomes_, [](const auto& entry) { return entry.second == PushOutcome::settled; });
    const auto refused = std::ranges::count_if(
        outcomes_, [](const auto& entry) { return entry.second == PushOutcome::overloaded; });
    EXPECT_EQ(settled + refused, threads * each);
    EXPECT_GT(settled, 0);
}

}  // namespace
}  // namespace quittance::messaging
