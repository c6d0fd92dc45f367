#include "tests/conformance/bus_conformance.hpp"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

namespace quittance::messaging {

namespace {

constexpr std::chrono::seconds patience{30};
/// Long enough for a delivery that must not happen to show itself on an idle bus.
constexpr std::chrono::milliseconds silence{300};

std::vector<std::string> numbered(const std::string& prefix, int count) {
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i)
        ids.push_back(prefix + "-" + std::to_string(i));
    return ids;
}

}  // namespace

BusConformance::~BusConformance() {
    environment_.reset();
}

Message BusConformance::message(std::string id, std::string key) {
    return {std::move(id),    "quittance.order.created.v1",
            "order-service",  timestamp_from_ms(1'795'377'825'123),
            std::move(key),   {},
            R"({"amount":1})"};
}

void BusConformance::publish(std::vector<Message> messages) {
    std::vector<Outgoing> outgoing;
    for (Message& one : messages) {
        std::string id = one.id;
        outgoing.push_back({std::move(one), [this, id = std::move(id)](PublishResult result) {
                                const std::lock_guard lock(mutex_);
                                results_[id].push_back(std::move(result));
                            }});
    }
    bus().publish(topic_, std::move(outgoing));
}

std::unique_ptr<Subscription> BusConformance::subscribe(Answer answer) {
    return bus().subscribe(environment_->subscription(),
                           [this, answer = std::move(answer)](std::vector<Delivery> deliveries) {
                               for (Delivery& delivery : deliveries) {
                                   {
                                       const std::lock_guard lock(mutex_);
                                       seen_.push_back({delivery.message, delivery.attempt});
                                   }
                                   answer(std::move(delivery));
                               }
                           });
}

std::unique_ptr<Subscription> BusConformance::subscribe() {
    return subscribe([](Delivery delivery) { std::move(delivery.handle).ack(); });
}

bool BusConformance::eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

std::vector<BusConformance::Seen> BusConformance::seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
}

std::vector<BusConformance::Seen> BusConformance::seen(const std::string& id) {
    auto all = seen();
    std::erase_if(all, [&](const Seen& one) { return one.message.id != id; });
    return all;
}

std::vector<PublishResult> BusConformance::results(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return results_[id];
}

std::size_t BusConformance::confirmed() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(results_, [](const auto& entry) {
        return entry.second.size() == 1 && entry.second.front().outcome == PublishOutcome::confirmed;
    }));
}

bool BusConformance::is_dead_letter(const std::string& id) {
    const auto reported = results(id);
    if (!reported.empty() && reported.front().outcome == PublishOutcome::dead_lettered) return true;
    const auto kept = environment_->dead_letters();
    return std::ranges::find(kept, id) != kept.end();
}

std::vector<std::string> BusConformance::first_deliveries(const std::string& key) {
    std::vector<std::string> ids;
    for (const Seen& one : seen()) {
        if (one.message.ordering_key != key) continue;
        if (std::ranges::find(ids, one.message.id) == ids.end()) ids.push_back(one.message.id);
    }
    return ids;
}

using Attempts = std::vector<int>;

TEST_P(BusConformance, a_message_arrives_and_its_sender_is_told_once) {
    const auto subscription = subscribe();
    publish({message("a", "key")});
    ASSERT_TRUE(eventually([&] { return !results("a").empty() && !seen("a").empty(); }));
    EXPECT_EQ(results("a").size(), 1U);
    EXPECT_EQ(results("a").front().outcome, PublishOutcome::confirmed) << results("a").front().reason;
    EXPECT_EQ(seen("a").front().attempt, 1);
}

TEST_P(BusConformance, every_attribute_survives) {
    const auto subscription = subscribe();
    Message sent = message("id with spaces / and + and \u00e9", "key=&\u4e2d\u6587 \U0001F4B6");
    sent.type = "quittance.payment.updated.v1";
    sent.source = "payment-service";
    sent.time = timestamp_from_ms(1'700'000'000'007);
    sent.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    sent.data = "{\"text\":\"gr\u00fc\u00dfe \\\"\\n\\u0000 \U0001F4B6\",\"filler\":\"" +
                std::string(100'000, 'x') + "\"}";
    publish({sent});
    ASSERT_TRUE(eventually([&] { return !seen().empty(); }));
    const Message got = seen().front().message;
    EXPECT_EQ(got.id, sent.id);
    EXPECT_EQ(got.type, sent.type);
    EXPECT_EQ(got.source, sent.source);
    EXPECT_EQ(to_rfc3339(got.time), to_rfc3339(sent.time));
    EXPECT_EQ(got.ordering_key, sent.ordering_key);
    EXPECT_EQ(got.traceparent, sent.traceparent);
    EXPECT_EQ(got.data, sent.data);
}

TEST_P(BusConformance, messages_wait_for_their_first_subscriber) {
    publish({message("a", "k"), message("b", "k"), message("c")});
    std::this_thread::sleep_for(silence);
    EXPECT_TRUE(seen().empty());
    const auto subscription = subscribe();
    EXPECT_TRUE(eventually([&] { return confirmed() == 3 && seen().size() >= 3; }));
    EXPECT_EQ(first_deliveries("k"), (std::vector<std::string>{"a", "b"}));
}

TEST_P(BusConformance, a_big_batch_arrives_whole) {
    const auto subscription = subscribe();
    const auto ids = numbered("big", 5'000);
    std::vector<Message> messages;
    for (const std::string& id : ids)
        messages.push_back(message(id, id));
    publish(std::move(messages));
    ASSERT_TRUE(eventually([&] { return confirmed() == ids.size(); })) << confirmed();
    ASSERT_TRUE(eventually([&] { return seen().size() >= ids.size(); })) << seen().size();
    std::set<std::string> distinct;
    for (const Seen& one : seen())
        distinct.insert(one.message.id);
    EXPECT_EQ(distinct.size(), ids.size());
}

TEST_P(BusConformance, an_empty_batch_is_nothing) {
    const auto subscription = subscribe();
    publish({});
    publish({message("a")});
    EXPECT_TRUE(eventually([&] { return seen().size() == 1 && confirmed() == 1; }));
}

TEST_P(BusConformance, each_key_keeps_its_order_while_others_go_on) {
    constexpr int keys = 20;
    constexpr int each = 20;
    std::mutex mutex;
    std::vector<Delivery> waiting;
    std::map<std::string, int> outstanding;
    std::atomic<bool> overlapped = false;
    std::jthread worker([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            std::vector<Delivery> batch;
            {
                const std::lock_guard lock(mutex);
                batch.swap(waiting);
                for (const Delivery& delivery : batch)
                    --outstanding[delivery.message.ordering_key];
            }
            // The last come first: order must come from the bus, not from us.
            while (!batch.empty()) {
                std::move(batch.back().handle).ack();
                batch.pop_back();
            }
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    });
    const auto subscription = subscribe([&](Delivery delivery) {
        const std::lock_guard lock(mutex);
        if (++outstanding[delivery.message.ordering_key] > 1) overlapped = true;
        waiting.push_back(std::move(delivery));
    });
    std::vector<Message> messages;
    for (int i = 0; i < each; ++i) {
        for (int key = 0; key < keys; ++key) {
            messages.push_back(message(std::to_string(key) + "-" + std::to_string(i), std::to_string(key)));
        }
    }
    publish(std::move(messages));
    ASSERT_TRUE(eventually([&] { return confirmed() == keys * each && seen().size() >= keys * each; }));
    for (int key = 0; key < keys; ++key) {
        EXPECT_EQ(first_deliveries(std::to_string(key)), numbered(std::to_string(key), each));
    }
    EXPECT_FALSE(overlapped) << "a message came before the one before it was answered";
}

TEST_P(BusConformance, a_message_that_was_not_acknowledged_comes_again_before_the_next_of_its_key) {
    const auto subscription = subscribe([](Delivery delivery) {
        if (delivery.message.id == "a" && delivery.attempt < 3) return std::move(delivery.handle).nack();
        std::move(delivery.handle).ack();
    });
    publish({message("a", "k"), message("b", "k"), message("other", "free")});
    ASSERT_TRUE(eventually([&] { return !seen("b").empty() && confirmed() == 3; }));
    Attempts attempts;
    for (const Seen& one : seen("a"))
        attempts.push_back(one.attempt);
    EXPECT_EQ(attempts, (Attempts{1, 2, 3}));
    const auto all = seen();
    const auto last_a =
        std::find_if(all.rbegin(), all.rend(), [](const Seen& s) { return s.message.id == "a"; });
    const auto first_b = std::ranges::find(all, "b", [](const Seen& s) { return s.message.id; });
    EXPECT_LT(last_a.base() - all.begin(), first_b - all.begin() + 1) << "b overtook a";
}

TEST_P(BusConformance, a_handle_that_is_dropped_counts_as_not_acknowledged) {
    const auto subscription = subscribe([](Delivery delivery) {
        if (delivery.attempt == 1) return;
        std::move(delivery.handle).ack();
    });
    publish({message("a", "k")});
    EXPECT_TRUE(eventually([&] { return confirmed() == 1 && seen("a").size() >= 2; }));
}

TEST_P(BusConformance, a_rejected_message_is_a_dead_letter_at_once_and_the_next_of_its_key_goes_on) {
    const auto subscription = subscribe([](Delivery delivery) {
        if (delivery.message.id == "bad") return std::move(delivery.handle).reject("unknown type");
        std::move(delivery.handle).ack();
    });
    publish({message("bad", "k"), message("good", "k")});
    ASSERT_TRUE(eventually([&] { return is_dead_letter("bad"); }));
    ASSERT_TRUE(eventually([&] { return !seen("good").empty(); }));
    EXPECT_EQ(seen("bad").size(), 1U);
    EXPECT_FALSE(is_dead_letter("good"));
    const auto reported = results("bad");
    if (!reported.empty() && reported.front().outcome == PublishOutcome::dead_lettered) {
        EXPECT_EQ(reported.front().reason, "unknown type");
        EXPECT_EQ(reported.front().delivery_attempts, 1);
    }
}

TEST_P(BusConformance, a_message_that_is_never_acknowledged_ends_as_a_dead_letter) {
    const auto subscription = subscribe([](Delivery delivery) {
        if (delivery.message.id == "bad") return std::move(delivery.handle).nack();
        std::move(delivery.handle).ack();
    });
    publish({message("bad", "k"), message("good", "k")});
    ASSERT_TRUE(eventually([&] { return is_dead_letter("bad"); }));
    ASSERT_TRUE(eventually([&] { return !seen("good").empty(); }));
    EXPECT_GE(seen("bad").size(), static_cast<std::size_t>(environment_->max_delivery_attempts()));
    EXPECT_FALSE(is_dead_letter("good"));
}

TEST_P(BusConformance, messages_without_a_key_do_not_wait_for_each_other) {
    std::mutex mutex;
    std::vector<Delivery> kept;
    const auto subscription = subscribe([&](Delivery delivery) {
        if (delivery.message.id == "slow") {
            const std::lock_guard lock(mutex);
            kept.push_back(std::move(delivery));
        } else {
            std::move(delivery.handle).ack();
        }
    });
    publish({message("slow"), message("quick"), message("quicker")});
    EXPECT_TRUE(eventually([&] { return !seen("quick").empty() && !seen("quicker").empty(); }));
    const std::lock_guard lock(mutex);
    for (Delivery& delivery : kept)
        std::move(delivery.handle).ack();
}

TEST_P(BusConformance, what_was_not_answered_goes_to_the_next_subscriber) {
    std::mutex mutex;
    std::vector<Delivery> kept;
    auto first = subscribe([&](Delivery delivery) {
        const std::lock_guard lock(mutex);
        kept.push_back(std::move(delivery));
    });
    publish({message("a", "k"), message("b", "k"), message("c")});
    ASSERT_TRUE(eventually([&] { return !seen("a").empty() && !seen("c").empty(); }));
    first.reset();
    const std::size_t before = seen().size();
    const auto second = subscribe();
    ASSERT_TRUE(eventually([&] { return confirmed() == 3 && seen().size() >= before + 3; }));
    EXPECT_EQ(first_deliveries("k"), (std::vector<std::string>{"a", "b"}));
    // Late answers mean nothing any more.
    const std::lock_guard lock(mutex);
    for (Delivery& delivery : kept)
        std::move(delivery.handle).reject("too late");
    kept.clear();
    EXPECT_FALSE(is_dead_letter("a"));
}

TEST_P(BusConformance, nothing_is_delivered_after_the_subscription_ended) {
    std::atomic<bool> ended = false;
    std::atomic<int> after_end = 0;
    auto subscription = subscribe([&](Delivery delivery) {
        if (ended) ++after_end;
        std::move(delivery.handle).ack();
    });
    std::vector<Message> messages;
    for (const std::string& id : numbered("m", 500))
        messages.push_back(message(id, id));
    publish(std::move(messages));
    ASSERT_TRUE(eventually([&] { return !seen().empty(); }));
    subscription.reset();
    ended = true;
    publish({message("late")});
    std::this_thread::sleep_for(silence);
    EXPECT_EQ(after_end, 0);
}

TEST_P(BusConformance, a_receiver_runs_on_one_thread_at_a_time) {
    std::atomic<int> inside = 0;
    std::atomic<bool> overlapped = false;
    std::atomic<int> received = 0;
    const auto subscription =
        bus().subscribe(environment_->subscription(), [&](std::vector<Delivery> deliveries) {
            if (++inside > 1) overlapped = true;
            std::this_thread::sleep_for(std::chrono::microseconds(300));
            for (Delivery& delivery : deliveries)
                std::move(delivery.handle).ack();
            received += static_cast<int>(deliveries.size());
            --inside;
        });
    for (const std::string& id : numbered("m", 200))
        publish({message(id, id)});
    EXPECT_TRUE(eventually([&] { return received >= 200 && confirmed() == 200; }));
    EXPECT_FALSE(overlapped);
}

TEST_P(BusConformance, many_threads_may_publish_and_answer) {
    constexpr int threads = 4;
    constexpr int each = 250;
    std::mutex mutex;
    std::vector<Delivery> waiting;
    const auto subscription = subscribe([&](Delivery delivery) {
        const std::lock_guard lock(mutex);
        waiting.push_back(std::move(delivery));
    });
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 2; ++i) {
        consumers.emplace_back([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                std::unique_lock lock(mutex);
                if (waiting.empty()) {
                    lock.unlock();
                    std::this_thread::sleep_for(std::chrono::microseconds(100));
                    continue;
                }
                Delivery delivery = std::move(waiting.back());
                waiting.pop_back();
                lock.unlock();
                // One in ten fails once.
                const bool fails = delivery.attempt == 1 && delivery.message.id.ends_with("7");
                fails ? std::move(delivery.handle).nack() : std::move(delivery.handle).ack();
            }
        });
    }
    std::vector<std::jthread> senders;
    for (int sender = 0; sender < threads; ++sender) {
        senders.emplace_back([&, sender] {
            const std::string key = "sender-" + std::to_string(sender);
            for (const std::string& id : numbered(key, each))
                publish({message(id, id)});
        });
    }
    senders.clear();
    EXPECT_TRUE(eventually([&] { return confirmed() == threads * each; })) << confirmed();
    EXPECT_TRUE(eventually([&] { return seen().size() >= threads * each; }));
    consumers.clear();
    waiting.clear();
}

}  // namespace quittance::messaging
