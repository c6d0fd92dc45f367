#include "messaging/embedded_bus.hpp"

#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using Ids = std::vector<std::string>;

/// Always the same number.
class FixedRandom final : public Random {
public:
    void fill(std::span<std::byte> bytes) override { std::memcpy(bytes.data(), &value, bytes.size()); }
    /// A multiple of every range that the back-offs below draw from, so that nothing is taken off them.
    std::uint64_t value = std::uint64_t{51} * 101 * 201 * 251;
};

/// A bus on one thread, with time and randomness at the test's command.
class EmbeddedBusTest : public testing::Test {
protected:
    EmbeddedBusTest() { make({}); }

    void make(EmbeddedBusOptions options) {
        subscription_.reset();
        options.routes = {{"payment-events", "payment-service-sub"}, {"order-updates", "order-service-sub"}};
        bus_ = std::make_unique<EmbeddedBus>(clock_, random_, std::move(options));
    }

    void publish(const Ids& ids, const std::string& key = {}, const std::string& topic = "payment-events") {
        std::vector<Outgoing> messages;
        for (const std::string& id : ids) {
            messages.push_back({make_row(id, key).message, [this, id](PublishResult result) {
                                    EXPECT_TRUE(results_.emplace(id, std::move(result)).second) << id;
                                }});
        }
        bus_->publish(topic, std::move(messages));
    }

    /// Notes batches; keeps the deliveries for the test to answer.
    void subscribe() {
        subscription_ = bus_->subscribe("payment-service-sub", [this](std::vector<Delivery> deliveries) {
            auto& batch = batches_.emplace_back();
            for (Delivery& delivery : deliveries) {
                batch.push_back(delivery.message.id);
                kept_.push_back(std::move(delivery));
            }
        });
    }

    Delivery take() {
        Delivery delivery = std::move(kept_.front());
        kept_.erase(kept_.begin());
        return delivery;
    }

    ManualClock clock_;
    FixedRandom random_;
    std::map<std::string, PublishResult> results_;
    std::vector<Ids> batches_;
    std::vector<Delivery> kept_;
    std::unique_ptr<EmbeddedBus> bus_;
    std::unique_ptr<Subscription> subscription_;
};

TEST_F(EmbeddedBusTest, the_sender_is_told_only_when_the_consumer_has_answered) {
    subscribe();
    publish({"a"});
    EXPECT_TRUE(bus_->step());
    EXPECT_TRUE(results_.empty());
    EXPECT_EQ(bus_->queued(), 1U);
    std::move(take().handle).ack();
    EXPECT_EQ(results_.at("a").outcome, PublishOutcome::confirmed);
    EXPECT_EQ(bus_->queued(), 0U);
    EXPECT_FALSE(bus_->step());
}

TEST_F(EmbeddedBusTest, all_that_is_due_comes_in_one_batch_within_the_limit) {
    make({.max_outstanding = 3});
    subscribe();
    publish({"a", "b", "c", "d", "e"});
    EXPECT_TRUE(bus_->step());
    EXPECT_FALSE(bus_->step());
    std::move(take().handle).ack();
    EXPECT_TRUE(bus_->step());
    EXPECT_EQ(batches_, (std::vector<Ids>{{"a", "b", "c"}, {"d"}}));
}

TEST_F(EmbeddedBusTest, the_pause_before_a_redelivery_doubles_up_to_its_limit) {
    make({.max_delivery_attempts = 6, .backoff_min = milliseconds(100), .backoff_max = milliseconds(500)});
    subscribe();
    publish({"a"});
    bus_->step();
    for (const int pause_ms : {100, 200, 400, 500, 500}) {
        std::move(take().handle).nack();
        clock_.advance(milliseconds(pause_ms - 1));
        EXPECT_FALSE(bus_->step()) << pause_ms;
        clock_.advance(milliseconds(1));
        EXPECT_TRUE(bus_->step()) << pause_ms;
    }
    EXPECT_EQ(kept_.front().attempt, 6);
    std::move(take().handle).nack();
    EXPECT_EQ(results_.at("a").outcome, PublishOutcome::dead_lettered);
    EXPECT_EQ(results_.at("a").delivery_attempts, 6);
    EXPECT_EQ(results_.at("a").reason, "not acknowledged in 6 deliveries");
}

TEST_F(EmbeddedBusTest, jitter_takes_off_at_most_half_of_the_pause) {
    random_.value += 50;  // The most that can be taken off 100 ms.
    subscribe();
    publish({"a"});
    bus_->step();
    std::move(take().handle).nack();
    clock_.advance(milliseconds(49));
    EXPECT_FALSE(bus_->step());
    clock_.advance(milliseconds(1));
    EXPECT_TRUE(bus_->step());
}

TEST_F(EmbeddedBusTest, a_full_topic_fails_what_is_published_and_others_go_on) {
    make({.max_queued = 2});
    publish({"a", "b", "c"});
    ASSERT_EQ(results_.size(), 1U);
    EXPECT_EQ(results_.at("c").outcome, PublishOutcome::failed);
    publish({"d"}, "", "order-updates");
    EXPECT_EQ(results_.size(), 1U);
    subscribe();
    bus_->step();
    std::move(take().handle).ack();
    publish({"e"});
    EXPECT_FALSE(results_.contains("e"));
}

TEST_F(EmbeddedBusTest, an_unknown_topic_fails) {
    publish({"a"}, "", "no-such-topic");
    EXPECT_EQ(results_.at("a").outcome, PublishOutcome::failed);
    EXPECT_EQ(results_.at("a").reason, "there is no topic no-such-topic");
}

TEST_F(EmbeddedBusTest, its_end_fails_what_was_not_answered_and_late_answers_are_ignored) {
    subscribe();
    publish({"a", "b"}, "k");
    bus_->step();
    subscription_.reset();
    bus_.reset();
    EXPECT_EQ(results_.at("a").outcome, PublishOutcome::failed);
    EXPECT_EQ(results_.at("b").outcome, PublishOutcome::failed);
    std::move(take().handle).ack();
    EXPECT_EQ(results_.size(), 2U);
}

TEST_F(EmbeddedBusTest, returned_messages_come_again_in_their_order_and_before_newer_ones) {
    make({.max_outstanding = 3});
    subscribe();
    publish({"a", "b", "c", "d"});
    bus_->step();
    subscription_.reset();
    subscribe();
    bus_->step();
    EXPECT_EQ(batches_, (std::vector<Ids>{{"a", "b", "c"}, {"a", "b", "c"}}));
    EXPECT_EQ(kept_.back().attempt, 1);
}

TEST_F(EmbeddedBusTest, the_sender_may_publish_again_when_it_is_told) {
    subscribe();
    std::vector<Outgoing> messages;
    messages.push_back({make_row("a", "k").message, [this](const PublishResult&) { publish({"b"}, "k"); }});
    bus_->publish("payment-events", std::move(messages));
    bus_->step();
    std::move(take().handle).ack();
    EXPECT_TRUE(bus_->step());
    EXPECT_EQ(batches_, (std::vector<Ids>{{"a"}, {"b"}}));
}

TEST_F(EmbeddedBusTest, wiring_faults_are_configuration_errors) {
    EXPECT_THROW(static_cast<void>(bus_->subscribe("nobody-sub", [](auto) {})), ConfigurationError);
    subscribe();
    EXPECT_THROW(static_cast<void>(bus_->subscribe("payment-service-sub", [](auto) {})), ConfigurationError);
    EXPECT_THROW(EmbeddedBus(clock_, random_, {.routes = {{"t", "a"}, {"t", "b"}}}), ConfigurationError);
    EXPECT_THROW(EmbeddedBus(clock_, random_, {.routes = {{"t", "a"}, {"u", "a"}}}), ConfigurationError);
}

}  // namespace
}  // namespace quittance::messaging
