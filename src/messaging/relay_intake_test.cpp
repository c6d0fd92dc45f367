#include "messaging/relay_intake.hpp"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using Kind = TableRead::Kind;

OutboxRow row(std::string id, std::string key) {
    return {"topic", {.id = std::move(id), .ordering_key = std::move(key)}};
}

/// An intake that has read the empty table once, so that rows pass through memory.
class RelayIntakeTest : public testing::Test {
protected:
    void pass(milliseconds time) { now += time; }
    /// What is read next, when it is answered with `found` after `time`.
    std::optional<Kind> read(std::vector<OutboxRow> found = {}, milliseconds time = milliseconds(0)) {
        const auto wanted = intake.next_read(now);
        if (!wanted) return std::nullopt;
        pass(time);
        intake.read_done(*wanted, TableRows{false, std::move(found)}, now);
        return wanted->kind;
    }
    void sweep(std::vector<OutboxRow> found) {
        while (true) {
            pass(milliseconds(50));
            const auto wanted = intake.next_read(now);
            const bool sweeps = wanted && wanted->kind == Kind::sweep;
            if (wanted) intake.read_done(*wanted, TableRows{false, sweeps ? found : decltype(found){}}, now);
            if (sweeps) return;
        }
    }
    std::vector<std::string> ready() {
        std::vector<std::string> ids;
        for (const auto& one : intake.take_ready())
            ids.push_back(one->message.id);
        return ids;
    }

    RelayIntake::TimePoint now{std::chrono::hours(1)};
    RelayIntake intake{RelayOptions{}};
};

TEST_F(RelayIntakeTest, slow_looks_leave_sweeps_their_turn) {
    const std::vector rows{row("a", "k")};
    intake.announce(rows);
    intake.withdraw(rows, now);
    EXPECT_EQ(read({}, milliseconds(150)), Kind::look);
    EXPECT_EQ(read({}, milliseconds(150)), Kind::sweep);
}

TEST_F(RelayIntakeTest, a_table_that_cannot_be_read_is_read_again_after_pauses_that_grow) {
    const auto fail = [this] {
        const auto wanted = intake.next_read(now);
        ASSERT_TRUE(wanted.has_value());
        intake.read_done(*wanted, Error{ErrorCode::unavailable, "gone", {}, 0}, now);
    };
    fail();
    for (const int pause : {200, 400, 800, 1'600, 3'200, 5'000, 5'000}) {
        pass(milliseconds(pause - 1));
        EXPECT_FALSE(intake.next_read(now).has_value()) << pause;
        pass(milliseconds(1));
        fail();
    }
}

TEST_F(RelayIntakeTest, a_row_whose_commit_comes_late_is_not_overtaken_by_the_next_of_its_key) {
    const std::vector first{row("a", "k")};
    intake.announce(first);
    intake.withdraw(first, now);
    sweep({});  // The server has not committed it yet.

    const std::vector second{row("b", "k")};
    intake.announce(second);
    intake.release(second);
    EXPECT_TRUE(ready().empty()) << "the first is in the table by now";
    sweep({row("a", "k"), row("b", "k")});
    EXPECT_EQ(ready(), std::vector<std::string>{"a"});
}

TEST_F(RelayIntakeTest, a_key_is_doubtful_for_a_minute_and_others_are_not) {
    const std::vector first{row("a", "k")};
    intake.announce(first);
    intake.withdraw(first, now);
    sweep({});
    const std::vector other{row("x", "other")};
    intake.announce(other);
    intake.release(other);
    EXPECT_EQ(ready(), std::vector<std::string>{"x"});

    pass(std::chrono::minutes(2));
    sweep({});
    const std::vector second{row("b", "k")};
    intake.announce(second);
    intake.release(second);
    EXPECT_EQ(ready(), std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace quittance::messaging
