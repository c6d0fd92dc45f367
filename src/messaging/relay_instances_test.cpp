// Several relays on one database: who publishes what, and who takes over.
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.hpp"
#include "messaging/relay.hpp"
#include "messaging/relay_lease.hpp"
#include "messaging/relay_orphans.hpp"
#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Ids = std::vector<std::string>;

/// What every instance publishes, in order. Messages are confirmed at once unless they are held.
class SharedBus final : public Bus {
public:
    void publish(const std::string&, std::vector<Outgoing> messages) override {
        for (Outgoing& outgoing : messages) {
            published.push_back(outgoing.message.id);
            if (holding) {
                held.push_back(std::move(outgoing));
            } else {
                outgoing.done({});
            }
        }
    }
    std::unique_ptr<Subscription> subscribe(const std::string&, Receiver) override { return nullptr; }

    void confirm_held() {
        holding = false;
        for (Outgoing& outgoing : std::exchange(held, {}))
            outgoing.done({});
    }

    bool holding = false;
    Ids published;
    std::vector<Outgoing> held;
};

/// One program: its relay and its connection. Steps only when it is told to.
class Instance {
public:
    Instance(const TestDatabase& database, Bus& bus, Random& random, const Clock& clock, RelayOptions options)
        : session_(database.connect()),
          outbox_(session_->dialect()),
          scheduler_(clock),
          relay_(scheduler_, outbox_, bus, random, clock, options, {}) {}

    void settle() {
        do {
            relay_.step();
        } while (scheduler_.step(*session_));
    }
    Relay::Announcement commit(const std::vector<OutboxRow>& rows) {
        db::Transaction transaction(*session_);
        auto announcement = relay_.store(*session_, rows);
        transaction.commit();
        return announcement;
    }
    void store(const std::vector<OutboxRow>& rows) { commit(rows).release(); }
    void leave() { relay_.leave(*session_); }
    [[nodiscard]] bool idle() const { return relay_.idle(); }

private:
    std::unique_ptr<db::Session> session_;
    Outbox outbox_;
    db::Scheduler scheduler_;
    Relay relay_;
};

class RelayInstancesTest : public testing::Test {
protected:
    std::unique_ptr<Instance> start(RelayOptions options = {}) {
        auto instance = std::make_unique<Instance>(database_, bus_, random_, clock_, options);
        instance->settle();
        return instance;
    }
    /// Lets time pass as it does: in steps, with those that live at work in each.
    void pass(milliseconds duration, std::initializer_list<Instance*> living) {
        for (milliseconds passed{0}; passed < duration; passed += milliseconds(100)) {
            clock_.advance(milliseconds(100));
            for (Instance* instance : living)
                instance->settle();
        }
    }
    Ids stored() { return stored_ids(*session_); }

    ManualClock clock_;
    SystemRandom random_;
    TestDatabase database_;
    std::unique_ptr<db::Session> session_ = database_.connect();
    SharedBus bus_;
};

TEST_F(RelayInstancesTest, nobody_publishes_what_another_one_has_on_its_way) {
    const auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k"), make_row("b", "k")});
    two->store({make_row("x", "other")});
    pass(milliseconds(20'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "x"));
    bus_.confirm_held();
    pass(milliseconds(2'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "x", "b"));
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, a_row_behind_another_instances_row_follows_it_within_moments) {
    const auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k")});
    two->store({make_row("b", "k"), make_row("x", "other")});
    one->store({make_row("c", "k")});
    pass(milliseconds(1'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "x"));
    bus_.confirm_held();
    one->settle();
    pass(milliseconds(300), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "x", "b", "c"));
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, the_rows_of_one_that_died_are_published_by_another_within_seconds) {
    auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k"), make_row("b", "k"), make_row("x", "other")});
    bus_.published.clear();
    one.reset();
    two->store({make_row("c", "k")});
    pass(milliseconds(4'000), {two.get()});
    EXPECT_THAT(bus_.published, IsEmpty());
    bus_.holding = false;
    pass(milliseconds(3'000), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "x", "b", "c"));
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, only_one_of_several_takes_over) {
    auto one = start();
    const auto two = start();
    const auto three = start();
    bus_.holding = true;
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 50; ++i)
        rows.push_back(make_row(std::to_string(i), std::to_string(i % 10)));
    one->store(rows);
    bus_.published.clear();
    bus_.holding = false;
    one.reset();
    pass(milliseconds(8'000), {two.get(), three.get()});
    EXPECT_EQ(bus_.published.size(), rows.size());
    EXPECT_EQ(std::set(bus_.published.begin(), bus_.published.end()).size(), rows.size());
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, one_that_ends_in_good_order_leaves_its_rows_at_once) {
    const auto one = start();
    const auto two = start();
    { const auto unreleased = one->commit({make_row("a", "k")}); }
    one->leave();
    pass(milliseconds(200), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a"));
}

TEST_F(RelayInstancesTest, one_that_was_silent_publishes_nothing_before_it_knows_whether_it_lost_its_rows) {
    const auto one = start();
    const auto two = start();
    const auto before_the_pause = one->commit({make_row("a", "k")});
    pass(milliseconds(8'000), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a"));

    // It wakes up in the middle of what it was doing.
    auto awake = one->commit({make_row("b", "k")});
    std::move(awake).release();
    EXPECT_THAT(bus_.published, ElementsAre("a"));
    pass(milliseconds(11'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "b"));
    EXPECT_THAT(stored(), IsEmpty());

    one->store({make_row("c", "k")});
    EXPECT_THAT(bus_.published, ElementsAre("a", "b", "c"));
}

TEST_F(RelayInstancesTest, one_that_lost_its_rows_forgets_them_and_their_answers) {
    const auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k"), make_row("b", "k")});
    pass(milliseconds(8'000), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "a"));
    one->settle();
    bus_.confirm_held();
    pass(milliseconds(2'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "a", "b"));
    EXPECT_THAT(stored(), IsEmpty());
    EXPECT_TRUE(one->idle());
    EXPECT_TRUE(two->idle());
}

TEST_F(RelayInstancesTest, a_short_silence_changes_nothing) {
    const auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k")});
    pass(milliseconds(4'500), {two.get()});
    one->store({make_row("b", "other")});
    EXPECT_THAT(bus_.published, ElementsAre("a"));
    pass(milliseconds(1'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "b"));
    pass(milliseconds(20'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "b"));
}

TEST_F(RelayInstancesTest, whoever_was_silent_itself_declares_nobody_dead) {
    const auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k")});
    pass(milliseconds(1'000), {one.get(), two.get()});
    clock_.advance(milliseconds(60'000));
    two->settle();
    one->settle();
    pass(milliseconds(10'000), {one.get(), two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a"));
}

TEST_F(RelayInstancesTest, rows_committed_for_one_that_was_declared_dead_meanwhile_are_found) {
    const auto two = start();
    session_->execute("INSERT INTO relay_instances (id, heartbeat) VALUES ('paused', 7)");
    pass(milliseconds(7'000), {two.get()});
    const Outbox outbox(session_->dialect());
    static_cast<void>(outbox.insert_for(*session_, "paused", std::vector{make_row("late", "k")}));
    pass(milliseconds(10'100), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("late"));
}

TEST_F(RelayInstancesTest, one_that_stands_still_while_it_removes_a_row_keeps_back_only_that) {
    if (database_.options().engine == db::Engine::sqlite) GTEST_SKIP() << "it locks no single rows";
    auto one = start();
    const auto two = start();
    bus_.holding = true;
    one->store({make_row("a", "k"), make_row("x", "other")});
    bus_.published.clear();
    bus_.holding = false;
    const auto frozen = database_.connect();
    {
        db::Transaction transaction(*frozen);
        frozen->execute("DELETE FROM outbox WHERE event_id = 'a'");
        one.reset();
        pass(milliseconds(8'000), {two.get()});
        two->store({make_row("y", "another")});
        two->settle();
        EXPECT_THAT(bus_.published, ElementsAre("x", "y"));
    }
    pass(milliseconds(11'000), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("x", "y", "a"));
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, one_that_stands_still_while_it_claims_holds_nobody_up) {
    if (database_.options().engine == db::Engine::sqlite) GTEST_SKIP() << "it locks no single rows";
    const auto two = start();
    const auto frozen = database_.connect();
    const Outbox outbox(session_->dialect());
    {
        db::Transaction transaction(*frozen);
        static_cast<void>(outbox.claim(*frozen, "frozen", 10));
        outbox.insert(*session_, std::vector{make_row("replayed", "")});
        pass(milliseconds(1'000), {two.get()});
        two->store({make_row("a", "k")});
        EXPECT_THAT(bus_.published, ElementsAre("a"));
    }
    pass(milliseconds(200), {two.get()});
    EXPECT_THAT(bus_.published, ElementsAre("a", "replayed"));
}

TEST_F(RelayInstancesTest, the_rows_of_the_dead_are_freed_in_portions_and_all_of_them) {
    const auto two = start();
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 4'500; ++i)
        rows.push_back(make_row(std::to_string(i), std::to_string(i % 7)));
    const Outbox outbox(session_->dialect());
    static_cast<void>(outbox.insert_for(*session_, "dead", rows));
    pass(milliseconds(12'000), {two.get()});
    EXPECT_EQ(bus_.published, ids_of(rows)) << "in the order in which they were stored";
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(RelayInstancesTest, a_renewal_reads_no_rows_and_frees_none) {
    const Outbox outbox(session_->dialect());
    static_cast<void>(outbox.insert_for(*session_, "dead", std::vector{make_row("a", "k")}));
    RelayLease lease(outbox, random_, clock_, false);
    static_cast<void>(lease.renew(*session_));
    clock_.advance(milliseconds(60'000));
    static_cast<void>(lease.renew(*session_));
    EXPECT_EQ(outbox.oldest_of(*session_, "dead", 10).size(), 1U);
}

TEST_F(RelayInstancesTest, a_search_frees_the_rows_of_those_that_ended_and_of_no_other) {
    const Outbox outbox(session_->dialect());
    RelayLease lease(outbox, random_, clock_, false);
    const std::string living = lease.renew(*session_).id;
    for (const std::string& owner : {std::string("dead"), living, std::string("gone")}) {
        std::vector<OutboxRow> rows;
        for (int i = 0; i < 2'500; ++i)
            rows.push_back(make_row(owner + std::to_string(i), owner));
        static_cast<void>(outbox.insert_for(*session_, owner, rows));
    }
    RelayOrphans orphans(outbox);
    std::vector<std::int64_t> freed;
    for (auto step = orphans.step(*session_); !step.finished; step = orphans.step(*session_))
        if (step.freed > 0) freed.push_back(step.freed);
    EXPECT_THAT(freed, ElementsAre(2'000, 500, 2'000, 500)) << "a transaction each";
    EXPECT_EQ(outbox.oldest_of(*session_, living, 9'999).size(), 2'500U);
    EXPECT_EQ(outbox.oldest_of(*session_, "", 9'999).size(), 5'000U);
    EXPECT_TRUE(orphans.step(*session_).finished);
}

TEST_F(RelayInstancesTest, one_that_is_alone_takes_over_at_once) {
    auto crashed = start({.alone = true});
    bus_.holding = true;
    crashed->store({make_row("a", "k")});
    crashed.reset();
    bus_.holding = false;
    bus_.published.clear();
    const auto restarted = start({.alone = true});
    EXPECT_THAT(bus_.published, ElementsAre("a"));
}

/// Confirms on a thread of its own, and notes for each key what came, from whomever.
class CountingBus final : public Bus {
public:
    void publish(const std::string&, std::vector<Outgoing> messages) override {
        const std::lock_guard lock(mutex_);
        for (Outgoing& outgoing : messages) {
            published[outgoing.message.ordering_key].push_back(outgoing.message.id);
            waiting_.push_back(std::move(outgoing));
        }
    }
    std::unique_ptr<Subscription> subscribe(const std::string&, Receiver) override { return nullptr; }
    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            std::vector<Outgoing> batch;
            {
                const std::lock_guard lock(mutex_);
                batch.swap(waiting_);
            }
            for (Outgoing& outgoing : batch)
                outgoing.done({});
            std::this_thread::sleep_for(milliseconds(1));
        }
    }

    std::map<std::string, Ids> published;  ///< Read it after `run` has returned.

private:
    std::mutex mutex_;
    std::vector<Outgoing> waiting_;
};

/// One program with threads as it has them in the field.
class RunningInstance {
public:
    RunningInstance(const TestDatabase& database, Bus& bus, Random& random, const Clock& clock)
        : outbox_(database.connect()->dialect()),
          scheduler_(clock),
          relay_(scheduler_, outbox_, bus, random, clock,
                 {.max_in_flight = 64, .look_interval = milliseconds(5), .sweep_interval = milliseconds(20)},
                 {}) {
        for (int i = 0; i < 2; ++i) {
            threads_.emplace_back([this, &database](const std::stop_token& stop) {
                const auto session = database.connect();
                scheduler_.run(*session, stop);
            });
        }
        threads_.emplace_back([this](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                relay_.step();
                std::this_thread::sleep_for(milliseconds(1));
            }
        });
    }

    [[nodiscard]] Relay& relay() { return relay_; }

private:
    Outbox outbox_;
    db::Scheduler scheduler_;
    Relay relay_;
    std::vector<std::jthread> threads_;
};

TEST(RelayInstancesStressTest, two_at_work_on_the_same_keys_publish_each_row_once_and_in_order) {
    constexpr int keys = 6;
    constexpr int rows_of_a_key = 60;
    const TestDatabase database;
    const SystemClock clock;
    SystemRandom random;
    CountingBus bus;
    std::jthread confirming([&](const std::stop_token& stop) { bus.run(stop); });
    auto one = std::make_unique<RunningInstance>(database, bus, random, clock);
    auto two = std::make_unique<RunningInstance>(database, bus, random, clock);
    // The lock that an order's row is in the field.
    std::array<std::mutex, keys> locks;
    std::array<std::atomic<int>, keys> stored{};
    const auto produce = [&](Relay& relay, std::uint64_t seed) {
        const auto session = database.connect();
        std::uint64_t state = seed;
        for (int left = keys; left > 0;) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            const auto key = static_cast<std::size_t>(state >> 33) % keys;
            const std::lock_guard lock(locks[key]);
            left = static_cast<int>(
                std::ranges::count_if(stored, [](const auto& n) { return n < rows_of_a_key; }));
            if (stored[key] == rows_of_a_key) continue;
            const std::string name = std::to_string(key);
            db::Transaction transaction(*session);
            auto announcement =
                relay.store(*session, {make_row(name + "-" + std::to_string(stored[key]), name)});
            transaction.commit();
            ++stored[key];
            std::move(announcement).release();
        }
    };
    {
        const std::jthread first([&] { produce(one->relay(), 1); });
        const std::jthread second([&] { produce(two->relay(), 2); });
    }
    const auto session = database.connect();
    const auto deadline = clock.steady_now() + std::chrono::seconds(60);
    while (!stored_ids(*session).empty()) {
        ASSERT_LT(clock.steady_now(), deadline) << stored_ids(*session).size() << " rows left";
        std::this_thread::sleep_for(milliseconds(5));
    }
    one.reset();
    two.reset();
    confirming = {};

    for (int key = 0; key < keys; ++key) {
        Ids expected;
        for (int i = 0; i < rows_of_a_key; ++i)
            expected.push_back(std::to_string(key) + "-" + std::to_string(i));
        EXPECT_EQ(bus.published[std::to_string(key)], expected);
    }
}

}  // namespace
}  // namespace quittance::messaging
