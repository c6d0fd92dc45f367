#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "messaging/relay.hpp"
#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using Ids = std::vector<std::string>;

/// Answers in disorder, on a thread of its own, and now and then with a failure.
class UnrulyBus final : public Bus {
public:
    void publish(const std::string&, std::vector<Outgoing> messages) override {
        const std::lock_guard lock(mutex_);
        for (Outgoing& outgoing : messages)
            waiting_.push_back(std::move(outgoing));
    }
    std::unique_ptr<Subscription> subscribe(const std::string&, Receiver) override { return nullptr; }

    void run(const std::stop_token& stop) {
        std::mt19937 random(7);
        while (!stop.stop_requested()) {
            std::vector<Outgoing> batch;
            {
                const std::lock_guard lock(mutex_);
                batch.swap(waiting_);
            }
            std::ranges::shuffle(batch, random);
            for (Outgoing& outgoing : batch) {
                const bool fails = random() % 20 == 0;
                if (!fails) confirmed[outgoing.message.ordering_key].push_back(outgoing.message.id);
                outgoing.done({fails ? PublishOutcome::failed : PublishOutcome::confirmed, "unruly", 0});
            }
            std::this_thread::sleep_for(milliseconds(1));
        }
    }

    std::map<std::string, Ids> confirmed;  ///< By key, in order; read it after `run` has returned.

private:
    std::mutex mutex_;
    std::vector<Outgoing> waiting_;
};

/// Commits rows of its own keys and notes them; loses some releases and rolls some transactions back.
class Producer {
public:
    Producer(const TestDatabase& database, const Outbox& outbox, Relay& relay, int number)
        : session_(database.connect()), outbox_(outbox), relay_(relay), name_(std::to_string(number)) {}

    void run(int transactions) {
        std::mt19937 random(static_cast<unsigned>(name_.front()));
        for (int i = 0; i < transactions; ++i) {
            std::vector<OutboxRow> rows;
            for (auto count = 1 + random() % 4; count > 0; --count) {
                rows.push_back(make_row(name_ + "-" + std::to_string(next_id_++),
                                        name_ + "-" + std::to_string(random() % 5)));
            }
            const auto fate = random() % 20;
            db::Transaction transaction(*session_);
            auto announcement = relay_.store(*session_, rows);
            if (fate == 0) continue;
            transaction.commit();
            for (const OutboxRow& row : rows)
                committed[row.message.ordering_key].push_back(row.message.id);
            if (fate > 2) std::move(announcement).release();
        }
    }

    std::map<std::string, Ids> committed;

private:
    std::unique_ptr<db::Session> session_;
    const Outbox& outbox_;
    Relay& relay_;
    const std::string name_;
    int next_id_ = 0;
};

TEST(RelayStressTest, whatever_happens_every_row_is_confirmed_once_and_in_the_order_of_its_key) {
    const TestDatabase database;
    const SystemClock clock;
    const Outbox outbox(database.connect()->dialect());
    UnrulyBus bus;
    db::Scheduler scheduler(clock);
    std::atomic<std::size_t> noted = 0;
    SystemRandom random;
    Relay relay(scheduler, outbox, bus, random, clock,
                {.alone = true,
                 .max_in_flight = 24,
                 .sweep_interval = milliseconds(20),
                 .retry = {milliseconds(5), milliseconds(5)}},
                [&](db::Session&, std::span<const OutboxRow> rows) { noted += rows.size(); });
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&](const std::stop_token& stop) {
            auto session = database.connect();
            scheduler.run(*session, stop);
        });
    }
    threads.emplace_back([&](const std::stop_token& stop) { bus.run(stop); });
    threads.emplace_back([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            relay.step();
            std::this_thread::sleep_for(milliseconds(1));
        }
    });

    std::vector<Producer> producers;
    for (int i = 0; i < 3; ++i)
        producers.emplace_back(database, outbox, relay, i);
    {
        std::vector<std::jthread> running;
        for (Producer& producer : producers)
            running.emplace_back([&] { producer.run(120); });
    }
    auto session = database.connect();
    const auto deadline = clock.steady_now() + std::chrono::seconds(60);
    while (outbox.backlog(*session).rows > 0 || !relay.idle()) {
        ASSERT_LT(clock.steady_now(), deadline) << outbox.backlog(*session).rows << " rows left";
        std::this_thread::sleep_for(milliseconds(5));
    }
    threads.clear();

    std::size_t total = 0;
    for (const Producer& producer : producers) {
        for (const auto& [key, ids] : producer.committed) {
            EXPECT_EQ(bus.confirmed[key], ids) << "key " << key;
            total += ids.size();
        }
    }
    EXPECT_EQ(relay.published(), total);
    EXPECT_GE(noted, total);
}

}  // namespace
}  // namespace quittance::messaging
