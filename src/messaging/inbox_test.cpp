#include "messaging/inbox.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using Ids = std::vector<std::string>;
using Answers = std::vector<bool>;

class InboxTest : public testing::Test {
protected:
    TestDatabase database_;
    SystemRandom random_;
    std::unique_ptr<db::Session> session_ = database_.connect();
    Inbox inbox_{session_->dialect(), random_};
    const Timestamp now_ = timestamp_from_ms(1'000);
};

TEST_F(InboxTest, an_event_is_new_once) {
    EXPECT_EQ(inbox_.record(*session_, Ids{"a", "b"}, now_), (Answers{true, true}));
    EXPECT_EQ(inbox_.record(*session_, Ids{"b", "c", "a"}, now_), (Answers{false, true, false}));
    EXPECT_EQ(inbox_.record(*session_, Ids{"a", "b", "c"}, now_), (Answers{false, false, false}));
}

TEST_F(InboxTest, an_event_that_stands_twice_in_a_batch_is_new_once) {
    EXPECT_EQ(inbox_.record(*session_, Ids{"a", "a"}, now_), (Answers{true, false}));
    EXPECT_EQ(inbox_.record(*session_, Ids{"b", "a", "b"}, now_), (Answers{true, false, false}));
}

TEST_F(InboxTest, an_empty_batch_is_answered_with_nothing) {
    EXPECT_TRUE(inbox_.record(*session_, {}, now_).empty());
}

TEST_F(InboxTest, ids_are_data_whatever_they_hold) {
    const Ids ids{"'; DROP TABLE inbox; --", "quote\" \\ \n", "gr\u00fc\u00dfe"};
    EXPECT_EQ(inbox_.record(*session_, ids, now_), (Answers{true, true, true}));
    EXPECT_EQ(inbox_.record(*session_, ids, now_), (Answers{false, false, false}));
}

TEST_F(InboxTest, a_transaction_that_is_rolled_back_records_nothing) {
    {
        const db::Transaction transaction(*session_);
        EXPECT_EQ(inbox_.record(*session_, Ids{"a"}, now_), (Answers{true}));
    }
    EXPECT_EQ(inbox_.record(*session_, Ids{"a"}, now_), (Answers{true}));
}

TEST_F(InboxTest, purging_forgets_what_is_older) {
    static_cast<void>(inbox_.record(*session_, Ids{"old", "older"}, timestamp_from_ms(10)));
    static_cast<void>(inbox_.record(*session_, Ids{"young"}, timestamp_from_ms(20)));
    EXPECT_FALSE(inbox_.purge(*session_, timestamp_from_ms(20)));
    EXPECT_EQ(inbox_.record(*session_, Ids{"old", "young"}, now_), (Answers{true, false}));
}

TEST_F(InboxTest, purging_takes_a_limited_number_at_once_and_says_when_more_is_left) {
    Ids ids;
    for (int i = 0; i < 4'500; ++i)
        ids.push_back(std::to_string(i));
    static_cast<void>(inbox_.record(*session_, ids, timestamp_from_ms(10)));
    const auto left = [&] {
        return std::get<0>(session_->select<std::int64_t>("SELECT COUNT(*) FROM inbox").at(0));
    };
    EXPECT_TRUE(inbox_.purge(*session_, timestamp_from_ms(20)));
    EXPECT_EQ(left(), 2'500);
    EXPECT_TRUE(inbox_.purge(*session_, timestamp_from_ms(20)));
    EXPECT_FALSE(inbox_.purge(*session_, timestamp_from_ms(20)));
    EXPECT_EQ(left(), 0);
}

TEST_F(InboxTest, of_several_consumers_only_one_meets_an_event_for_the_first_time) {
    constexpr int events = 200;
    std::vector<std::atomic<int>> first_times(events);
    std::vector<std::jthread> consumers;
    for (int consumer = 0; consumer < 3; ++consumer) {
        consumers.emplace_back([&] {
            auto session = database_.connect();
            for (int i = 0; i < events; i += 4) {
                Ids ids;
                for (int j = i; j < i + 4; ++j)
                    ids.push_back(std::to_string(j));
                db::Transaction transaction(*session);
                const Answers answers = inbox_.record(*session, ids, now_);
                transaction.commit();
                for (int j = 0; j < 4; ++j) {
                    if (answers[static_cast<std::size_t>(j)]) ++first_times[static_cast<std::size_t>(i + j)];
                }
            }
        });
    }
    consumers.clear();
    for (const auto& count : first_times)
        EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace quittance::messaging
