#include "messaging/relay.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <stdexcept>

#include <gmock/gmock.h>

#include "core/random.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using Ids = std::vector<std::string>;

/// Keeps what is published until the test answers, unless it answers at once.
class ScriptedBus final : public Bus {
public:
    void publish(const std::string&, std::vector<Outgoing> messages) override {
        if (throws) throw std::runtime_error("out of order");
        for (Outgoing& outgoing : messages) {
            published.push_back(outgoing.message.id);
            if (at_once) {
                outgoing.done(*at_once);
            } else {
                waiting.push_back(std::move(outgoing));
            }
        }
    }
    std::unique_ptr<Subscription> subscribe(const std::string&, Receiver) override { return nullptr; }

    /// Answers the oldest message that waits.
    void answer(PublishResult result = {}) {
        Outgoing outgoing = std::move(waiting.front());
        waiting.pop_front();
        outgoing.done(std::move(result));
    }

    bool throws = false;
    std::optional<PublishResult> at_once;
    std::deque<Outgoing> waiting;
    Ids published;
};

const PublishResult failed{PublishOutcome::failed, "no network", 0};

/// A relay that is driven step by step, on one thread, with time at the test's command.
class RelayTest : public testing::Test {
protected:
    RelayTest() { start({.alone = true}); }

    void start(RelayOptions options) {
        relay_.reset();
        scheduler_ = std::make_unique<db::Scheduler>(clock_);
        relay_ = std::make_unique<Relay>(
            *scheduler_, outbox_, bus_, random_, clock_, options,
            [this](db::Session& session, std::span<const OutboxRow> rows) { on_published(session, rows); });
    }

    void on_published(db::Session& session, std::span<const OutboxRow> rows) {
        for (const OutboxRow& row : rows) {
            if (hook_failure_) hook_failure_(row.message.id);
            session.execute("INSERT INTO published (event_id) VALUES (:id)", {row.message.id});
        }
    }

    /// Stores the rows in one transaction, as a service does.
    void store(const std::vector<OutboxRow>& rows) { commit(rows).release(); }

    Relay::Announcement commit(const std::vector<OutboxRow>& rows) {
        db::Transaction transaction(*session_);
        Relay::Announcement announcement = relay_->store(*session_, rows);
        transaction.commit();
        return announcement;
    }

    void settle() {
        do {
            relay_->step();
        } while (scheduler_->step(*session_));
    }

    void settle_after(milliseconds pause) {
        clock_.advance(pause);
        settle();
    }

    Ids stored() { return stored_ids(*session_); }
    Ids noted() {
        Ids ids;
        for (auto& [id] : session_->select<std::string>("SELECT event_id FROM published ORDER BY event_id")) {
            ids.push_back(std::move(id));
        }
        return ids;
    }

    ManualClock clock_;
    SystemRandom random_;
    TestDatabase database_;
    std::unique_ptr<db::Session> session_ = database_.connect();
    Outbox outbox_{session_->dialect()};
    ScriptedBus bus_;
    std::function<void(const std::string&)> hook_failure_;
    std::unique_ptr<db::Scheduler> scheduler_;
    std::unique_ptr<Relay> relay_;
};

TEST_F(RelayTest, a_released_row_is_published_at_once_and_removed_when_it_is_confirmed) {
    settle();
    store({make_row("a", "1"), make_row("b", "2")});
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
    EXPECT_EQ(relay_->in_flight(), 2U);
    EXPECT_EQ(stored(), (Ids{"a", "b"}));
    EXPECT_FALSE(relay_->idle());

    bus_.answer();
    bus_.answer();
    EXPECT_EQ(relay_->in_flight(), 0U);
    EXPECT_FALSE(relay_->idle());
    settle();
    EXPECT_EQ(stored(), Ids{});
    EXPECT_EQ(noted(), (Ids{"a", "b"}));
    EXPECT_EQ(relay_->published(), 2U);
    EXPECT_TRUE(relay_->idle());
}

TEST_F(RelayTest, nothing_is_published_before_its_release) {
    settle();
    auto announcement = commit({make_row("a", "1")});
    settle_after(milliseconds(5'000));
    EXPECT_EQ(bus_.published, Ids{});
    EXPECT_FALSE(relay_->idle());
    std::move(announcement).release();
    EXPECT_EQ(bus_.published, (Ids{"a"}));
}

TEST_F(RelayTest, rows_that_a_crash_left_are_published_in_their_order_at_the_start) {
    outbox_.insert(*session_, std::vector{make_row("a", "k"), make_row("x", "other"), make_row("b", "k")});
    settle();
    EXPECT_EQ(bus_.published, (Ids{"a", "x"}));
    bus_.answer();
    EXPECT_EQ(bus_.published, (Ids{"a", "x", "b"}));
    bus_.answer();
    bus_.answer();
    settle();
    EXPECT_EQ(stored(), Ids{});
}

TEST_F(RelayTest, rows_released_before_the_first_sweep_do_not_overtake_what_a_crash_left) {
    outbox_.insert(*session_, std::vector{make_row("old", "k")});
    store({make_row("new", "k")});
    EXPECT_EQ(bus_.published, Ids{});
    bus_.at_once = PublishResult{};
    settle();
    EXPECT_EQ(bus_.published, (Ids{"old", "new"}));
}

TEST_F(RelayTest, a_commit_without_release_is_found_by_a_sweep) {
    settle();
    { const auto unreleased = commit({make_row("a", "k")}); }
    EXPECT_EQ(bus_.published, Ids{});
    settle();
    EXPECT_EQ(bus_.published, (Ids{"a"}));
}

TEST_F(RelayTest, a_newer_row_does_not_overtake_one_whose_release_was_lost) {
    settle();
    bus_.at_once = PublishResult{};
    { const auto unreleased = commit({make_row("a", "k")}); }
    store({make_row("b", "k")});
    settle();
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
}

TEST_F(RelayTest, a_thread_that_comes_late_with_its_release_is_not_overtaken) {
    settle();
    auto older = commit({make_row("a", "k"), make_row("x", "other")});
    auto newer = commit({make_row("b", "k"), make_row("y", "third")});
    std::move(newer).release();
    EXPECT_EQ(bus_.published, (Ids{"y"}));
    std::move(older).release();
    bus_.at_once = PublishResult{};
    while (!bus_.waiting.empty())
        bus_.answer();
    settle();
    EXPECT_EQ(bus_.published, (Ids{"y", "a", "x", "b"}));
    EXPECT_EQ(stored(), Ids{});
    EXPECT_TRUE(relay_->idle());
}

TEST_F(RelayTest, rows_behind_a_release_that_was_lost_wait_for_the_sweep_that_finds_it) {
    settle();
    {
        auto lost = commit({make_row("a", "k")});
        store({make_row("b", "k")});
        EXPECT_TRUE(bus_.published.empty());
    }
    bus_.at_once = PublishResult{};
    settle_after(milliseconds(1'000));
    settle_after(milliseconds(1'000));
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
    EXPECT_TRUE(relay_->idle());
}

TEST_F(RelayTest, rows_that_were_rolled_back_are_never_published) {
    settle();
    {
        const db::Transaction transaction(*session_);
        const auto announcement = relay_->store(*session_, {make_row("a", "k")});
    }
    settle_after(milliseconds(5'000));
    EXPECT_EQ(bus_.published, Ids{});
    EXPECT_TRUE(relay_->idle());
    store({make_row("b", "k")});
    settle();
    EXPECT_EQ(bus_.published, (Ids{"b"}));
}

TEST_F(RelayTest, rows_that_another_program_stored_are_found_at_the_next_look) {
    settle();
    outbox_.insert(*session_, std::vector{make_row("a", "k")});
    settle_after(milliseconds(99));
    EXPECT_EQ(bus_.published, Ids{});
    settle_after(milliseconds(1));
    EXPECT_EQ(bus_.published, (Ids{"a"}));
}

TEST_F(RelayTest, a_sweep_leaves_alone_what_is_on_its_way) {
    settle();
    store({make_row("a", "k"), make_row("b", "k"), make_row("c", "other")});
    for (int i = 0; i < 5; ++i)
        settle_after(milliseconds(1'000));
    EXPECT_EQ(bus_.published, (Ids{"a", "c"}));
}

TEST_F(RelayTest, the_next_message_of_a_key_waits_for_the_confirmation_of_the_one_before) {
    settle();
    store({make_row("a", "k"), make_row("b", "k")});
    store({make_row("c", "k")});
    EXPECT_EQ(bus_.published, (Ids{"a"}));
    bus_.answer();
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
    bus_.answer();
    EXPECT_EQ(bus_.published, (Ids{"a", "b", "c"}));
}

TEST_F(RelayTest, messages_without_a_key_do_not_wait) {
    settle();
    store({make_row("a", ""), make_row("b", "")});
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
}

TEST_F(RelayTest, what_could_not_be_published_is_tried_again_after_the_pause_and_keeps_its_order) {
    settle();
    store({make_row("a", "k"), make_row("b", "k"), make_row("x", "other")});
    bus_.answer(failed);
    bus_.answer();
    settle_after(milliseconds(99));
    EXPECT_EQ(bus_.published, (Ids{"a", "x"}));
    settle_after(milliseconds(101));
    EXPECT_EQ(bus_.published, (Ids{"a", "x", "a"}));
    bus_.answer();
    bus_.answer();
    settle();
    EXPECT_EQ(bus_.published, (Ids{"a", "x", "a", "b"}));
    EXPECT_EQ(stored(), Ids{});
}

TEST_F(RelayTest, a_topic_that_fails_for_good_costs_one_message_for_each_pause) {
    settle();
    bus_.at_once = failed;
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 500; ++i)
        rows.push_back(make_row(std::to_string(i), std::to_string(i)));
    store(rows);
    EXPECT_EQ(bus_.published.size(), rows.size());
    for (int i = 0; i < 600; ++i)
        settle_after(milliseconds(100));
    EXPECT_LE(bus_.published.size(), rows.size() + 15) << "in a minute";
    bus_.at_once = PublishResult{};
    for (int i = 0; i < 600; ++i)
        settle_after(milliseconds(100));
    EXPECT_EQ(stored(), Ids{});
    EXPECT_TRUE(relay_->idle());
}

TEST_F(RelayTest, a_bus_that_throws_breaks_neither_the_release_nor_the_relay) {
    settle();
    bus_.throws = true;
    store({make_row("a", "k"), make_row("b", "k"), make_row("x", "other")});
    EXPECT_EQ(bus_.published, Ids{});
    EXPECT_EQ(relay_->in_flight(), 0U);
    bus_.throws = false;
    bus_.at_once = PublishResult{};
    settle_after(milliseconds(200));
    settle_after(milliseconds(200));
    store({make_row("y", "other")});
    settle();
    EXPECT_THAT(bus_.published, testing::UnorderedElementsAre("a", "b", "x", "y"));
    EXPECT_EQ(stored(), Ids{});
}

TEST_F(RelayTest, a_message_that_the_bus_drops_without_an_answer_is_published_again) {
    settle();
    store({make_row("a", "k")});
    bus_.waiting.clear();
    EXPECT_EQ(relay_->in_flight(), 0U);
    settle_after(milliseconds(200));
    EXPECT_EQ(bus_.published, (Ids{"a", "a"}));
}

/// A clock that fails where it is told to: what runs out of memory fails anywhere.
class FailingClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return time.now(); }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
        if (reads_left > 0 && --reads_left == 0) throw std::bad_alloc();
        return time.steady_now();
    }
    ManualClock time;
    mutable int reads_left = 0;  ///< The last of them fails; 0: none does.
};

class RelayWithoutMemoryTest : public testing::TestWithParam<bool> {
protected:
    void settle_after(milliseconds pause) {
        clock_.time.advance(pause);
        do {
            relay_.step();
        } while (scheduler_.step(*session_));
    }
    void store(const std::vector<OutboxRow>& rows, int reads_left = 0) {
        db::Transaction transaction(*session_);
        auto announcement = relay_.store(*session_, rows);
        transaction.commit();
        clock_.reads_left = reads_left;
        std::move(announcement).release();
        clock_.reads_left = 0;
    }

    FailingClock clock_;
    SystemRandom random_;
    TestDatabase database_;
    std::unique_ptr<db::Session> session_ = database_.connect();
    Outbox outbox_{session_->dialect()};
    ScriptedBus bus_;
    db::Scheduler scheduler_{clock_};
    Relay relay_{scheduler_, outbox_, bus_, random_, clock_, {.alone = GetParam()}, {}};
};

TEST_P(RelayWithoutMemoryTest, what_fails_after_the_commit_stays_inside_and_every_row_is_published_in_order) {
    bus_.at_once = PublishResult{};
    Ids expected;
    for (int failing_read = 1; failing_read <= 12; ++failing_read) {
        settle_after(milliseconds(1'000));
        const std::string id = std::to_string(failing_read);
        expected.push_back(id + " first");
        expected.push_back(id + " second");
        store({make_row(id + " first", "k")}, failing_read);
        store({make_row(id + " second", "k")});
        for (int i = 0; i < 200; ++i)
            settle_after(milliseconds(100));
        EXPECT_EQ(stored_ids(*session_), Ids{}) << "after read " << failing_read << " failed";
    }
    Ids distinct;
    for (const std::string& id : bus_.published) {
        if (std::ranges::find(distinct, id) == distinct.end()) distinct.push_back(id);
    }
    EXPECT_EQ(distinct, expected);
    EXPECT_TRUE(relay_.idle());
}

TEST_P(RelayWithoutMemoryTest, answers_and_steps_that_fail_do_not_end_it) {
    for (int failing_read = 1; failing_read <= 12; ++failing_read) {
        const std::string id = std::to_string(failing_read);
        settle_after(milliseconds(1'000));
        store({make_row(id, id)});
        clock_.reads_left = failing_read;
        if (!bus_.waiting.empty()) bus_.answer();
        relay_.step();
        clock_.reads_left = 0;
        for (int i = 0; i < 200; ++i) {
            settle_after(milliseconds(100));
            while (!bus_.waiting.empty())
                bus_.answer();
        }
        EXPECT_EQ(stored_ids(*session_), Ids{}) << "after read " << failing_read << " failed";
    }
}

INSTANTIATE_TEST_SUITE_P(AloneOrNot, RelayWithoutMemoryTest, testing::Bool());

TEST_F(RelayTest, a_dead_letter_moves_to_its_table_and_the_next_of_its_key_goes_on) {
    settle();
    store({make_row("bad", "k"), make_row("good", "k")});
    bus_.answer({PublishOutcome::dead_lettered, "unknown type", 3});
    EXPECT_EQ(bus_.published, (Ids{"bad", "good"}));
    bus_.answer();
    settle();
    EXPECT_EQ(stored(), Ids{});
    EXPECT_EQ(noted(), (Ids{"good"}));
    const auto letters = outbox_.dead_letters(*session_, 10);
    ASSERT_EQ(letters.size(), 1U);
    EXPECT_EQ(letters[0].row.message.id, "bad");
    EXPECT_EQ(letters[0].reason, "unknown type");
    EXPECT_EQ(letters[0].delivery_attempts, 3);
    EXPECT_EQ(letters[0].dead_at, clock_.now());
    EXPECT_EQ(relay_->dead_lettered(), 1U);

    ASSERT_TRUE(outbox_.replay(*session_, "bad"));
    settle_after(milliseconds(1'000));
    EXPECT_EQ(bus_.published, (Ids{"bad", "good", "bad"}));
}

TEST_F(RelayTest, a_removal_waits_for_its_store_and_nothing_is_published_twice) {
    settle();
    int outages = 3;
    hook_failure_ = [&](const std::string&) {
        if (outages-- > 0) throw StorageUnavailable("gone");
    };
    bus_.at_once = PublishResult{};
    store({make_row("a", "k"), make_row("b", "k")});
    for (int i = 0; i < 20; ++i)
        settle_after(milliseconds(200));
    EXPECT_EQ(bus_.published, (Ids{"a", "b"}));
    EXPECT_EQ(noted(), (Ids{"a", "b"}));
    EXPECT_EQ(stored(), Ids{});
}

TEST_F(RelayTest, a_removal_that_is_refused_fails_alone_and_is_tried_again) {
    settle();
    bool refuse = true;
    hook_failure_ = [&](const std::string& id) {
        if (refuse && id == "b") throw StorageRejected("no such order");
    };
    bus_.at_once = PublishResult{};
    store({make_row("a", "1"), make_row("b", "2"), make_row("c", "3")});
    settle();
    EXPECT_EQ(noted(), (Ids{"a", "c"}));
    EXPECT_EQ(stored(), (Ids{"b"}));
    refuse = false;
    settle_after(milliseconds(200));
    EXPECT_EQ(noted(), (Ids{"a", "b", "c"}));
    EXPECT_EQ(bus_.published, (Ids{"a", "b", "c"}));
}

TEST_F(RelayTest, a_row_whose_removal_was_lost_is_published_again_after_a_restart) {
    settle();
    bus_.at_once = PublishResult{};
    store({make_row("a", "k")});
    start({.alone = true});
    settle();
    EXPECT_EQ(bus_.published, (Ids{"a", "a"}));
    EXPECT_EQ(noted(), (Ids{"a"}));
}

TEST_F(RelayTest, answers_that_come_after_its_end_are_ignored) {
    settle();
    store({make_row("a", "k"), make_row("b", "k")});
    relay_.reset();
    bus_.answer();
    EXPECT_EQ(bus_.published, (Ids{"a"}));
    EXPECT_EQ(stored(), (Ids{"a", "b"}));
}

TEST_F(RelayTest, what_does_not_fit_in_memory_stays_in_the_table_and_keeps_its_order) {
    start({.alone = true, .max_in_flight = 8});
    settle();
    std::map<std::string, Ids> expected;
    std::size_t stored_count = 0;
    for (int batch = 0; batch < 10; ++batch) {
        std::vector<OutboxRow> rows;
        for (int i = 0; i < 5; ++i) {
            const std::string key = std::to_string(i);
            const std::string id = key + "-" + std::to_string(batch);
            rows.push_back(make_row(id, key));
            expected[key].push_back(id);
            ++stored_count;
        }
        store(rows);
    }
    while (bus_.published.size() < stored_count || !bus_.waiting.empty()) {
        ASSERT_LE(relay_->in_flight(), 8U);
        ASSERT_FALSE(bus_.waiting.empty()) << "published " << bus_.published.size();
        bus_.answer();
        settle();
    }
    EXPECT_EQ(bus_.published.size(), stored_count);
    for (const auto& [key, ids] : expected) {
        Ids of_key;
        std::ranges::copy_if(bus_.published, std::back_inserter(of_key),
                             [&](const std::string& id) { return id.starts_with(key + "-"); });
        EXPECT_EQ(of_key, ids);
    }
    EXPECT_EQ(stored(), Ids{});
    // The table is drained: rows go straight through memory again.
    store({make_row("last", "k")});
    EXPECT_EQ(bus_.published.back(), "last");
}

TEST_F(RelayTest, a_bus_that_answers_at_once_does_not_recurse) {
    start({.alone = true, .max_in_flight = 20'000});
    settle();
    bus_.at_once = PublishResult{};
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 10'000; ++i)
        rows.push_back(make_row(std::to_string(i), "one key"));
    store(rows);
    EXPECT_EQ(bus_.published, ids_of(rows));
    settle();
    EXPECT_TRUE(relay_->idle());
}

TEST_F(RelayTest, a_backlog_far_beyond_memory_is_worked_off) {
    start({.alone = true, .max_in_flight = 100});
    bus_.at_once = PublishResult{};
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 5'000; ++i)
        rows.push_back(make_row(std::to_string(i), std::to_string(i % 10)));
    outbox_.insert(*session_, rows);
    settle();
    EXPECT_EQ(bus_.published.size(), rows.size());
    EXPECT_EQ(stored(), Ids{});
}

TEST_F(RelayTest, it_works_with_the_embedded_bus_from_store_to_dead_letter) {
    SystemRandom random;
    EmbeddedBus bus(clock_, random, {.routes = {{"payment-events", "payment-service-sub"}}});
    db::Scheduler scheduler(clock_);
    Relay relay(scheduler, outbox_, bus, random, clock_, {.alone = true}, {});
    Ids received;
    const auto subscription = bus.subscribe("payment-service-sub", [&](std::vector<Delivery> deliveries) {
        for (Delivery& delivery : deliveries) {
            received.push_back(delivery.message.id);
            if (delivery.message.id == "bad") {
                std::move(delivery.handle).reject("unknown type");
            } else {
                std::move(delivery.handle).ack();
            }
        }
    });
    outbox_.insert(*session_, std::vector{make_row("bad", "k"), make_row("good", "k")});
    do {
        relay.step();
    } while (scheduler.step(*session_) || bus.step());
    EXPECT_EQ(received, (Ids{"bad", "good"}));
    EXPECT_EQ(stored(), Ids{});
    EXPECT_EQ(outbox_.dead_letters(*session_, 10).size(), 1U);
}

}  // namespace
}  // namespace quittance::messaging
