#include "messaging/relay_retries.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Row = RelayRetries::Row;

Row row(std::string id, std::string topic = "topic") {
    return std::make_shared<const OutboxRow>(OutboxRow{std::move(topic), {.id = std::move(id)}});
}

class RelayRetriesTest : public testing::Test {
protected:
    std::vector<std::string> take(std::vector<Row> ready = {}) {
        std::vector<std::string> ids;
        for (const Row& taken : retries_.take(std::move(ready), now_))
            ids.push_back(taken->message.id);
        return ids;
    }
    std::vector<std::string> take_after(milliseconds pause, std::vector<Row> ready = {}) {
        now_ += pause;
        return take(std::move(ready));
    }
    void fail(const std::string& id) { retries_.failed(row(id), now_); }

    SystemRandom random_;
    RelayRetries::TimePoint now_{std::chrono::hours(1)};
    RelayRetries retries_{{milliseconds(200), milliseconds(60'000)}, random_};
};

TEST_F(RelayRetriesTest, without_failures_all_rows_pass) {
    EXPECT_THAT(take({row("a"), row("b", "other")}), ElementsAre("a", "b"));
    EXPECT_EQ(retries_.waiting(), 0U);
}

TEST_F(RelayRetriesTest, a_message_that_fails_alone_waits_longer_each_time_and_holds_up_no_other) {
    for (const int pause : {200, 400, 800, 1'600, 3'200, 6'400, 12'800, 25'600, 51'200, 60'000, 60'000}) {
        fail("bad");
        EXPECT_THAT(take({row("good")}), ElementsAre("good"));
        // A random part of up to a half is taken off.
        EXPECT_THAT(take_after(milliseconds(pause / 2 - 1)), IsEmpty());
        EXPECT_TRUE(retries_.waiting() == 1 && !retries_.any_due(now_));
        EXPECT_THAT(take_after(milliseconds(pause / 2 + 1)), ElementsAre("bad"));
    }
}

TEST_F(RelayRetriesTest, a_topic_on_which_all_fails_is_tried_with_one_message_for_each_pause) {
    for (int i = 0; i < 4'096; ++i)
        fail(std::to_string(i));
    int given = 0;
    for (int second = 0; second < 600; ++second) {
        const auto tried = take_after(milliseconds(1'000), {row("new " + std::to_string(second))});
        given += static_cast<int>(tried.size());
        for (const std::string& id : tried)
            fail(id);
    }
    EXPECT_LE(given, 30) << "in ten minutes";
    EXPECT_GE(given, 10);
    EXPECT_EQ(retries_.waiting(), 4'096U + 600U);
}

TEST_F(RelayRetriesTest, one_that_succeeds_lets_all_others_of_its_topic_go) {
    for (int i = 0; i < 100; ++i)
        fail(std::to_string(i));
    const auto tried = take_after(milliseconds(200));
    ASSERT_EQ(tried.size(), 1U);
    EXPECT_THAT(take({row("new")}), IsEmpty());
    retries_.succeeded(*row(tried[0]));
    EXPECT_EQ(take().size(), 100U);
    EXPECT_EQ(retries_.waiting(), 0U);
    EXPECT_THAT(take({row("newer")}), ElementsAre("newer"));
}

TEST_F(RelayRetriesTest, another_topic_goes_on) {
    fail("a");
    fail("b");
    EXPECT_THAT(take({row("c"), row("x", "other")}), ElementsAre("x"));
}

TEST_F(RelayRetriesTest, after_a_success_the_first_pause_is_the_shortest_again) {
    fail("a");
    EXPECT_THAT(take_after(milliseconds(200)), ElementsAre("a"));
    retries_.succeeded(*row("a"));
    fail("a");
    EXPECT_THAT(take_after(milliseconds(200)), ElementsAre("a"));
}

}  // namespace
}  // namespace quittance::messaging
