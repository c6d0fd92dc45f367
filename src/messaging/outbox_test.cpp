#include "messaging/outbox.hpp"

#include <gtest/gtest.h>

#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

class OutboxTest : public testing::Test {
protected:
    std::vector<std::string> stored_ids() { return messaging::stored_ids(*session_); }

    TestDatabase database_;
    std::unique_ptr<db::Session> session_ = database_.connect();
    Outbox outbox_{session_->dialect()};
};

using Ids = std::vector<std::string>;

TEST_F(OutboxTest, rows_come_back_in_the_order_in_which_they_were_inserted) {
    outbox_.insert(*session_, std::vector{make_row("c", "k"), make_row("a", "k")});
    outbox_.insert(*session_, std::vector{make_row("b", "other")});
    EXPECT_EQ(stored_ids(), (Ids{"c", "a", "b"}));
    EXPECT_EQ(ids_of(outbox_.oldest_of(*session_, "", 2)), (Ids{"c", "a"}));
}

TEST_F(OutboxTest, every_attribute_survives) {
    OutboxRow row = make_row("id'\"\\", "key \u00e9 \U0001F4B6");
    row.message.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    row.message.data = R"({"text":"it's \"quoted\" \\ and \u0000","n":9007199254740991,"z":1.50})";
    outbox_.insert(*session_, std::vector{row});
    const auto rows = outbox_.oldest_of(*session_, "", 1);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].topic, row.topic);
    EXPECT_EQ(rows[0].message.id, row.message.id);
    EXPECT_EQ(rows[0].message.type, row.message.type);
    EXPECT_EQ(rows[0].message.source, row.message.source);
    EXPECT_EQ(rows[0].message.time, row.message.time);
    EXPECT_EQ(rows[0].message.ordering_key, row.message.ordering_key);
    EXPECT_EQ(rows[0].message.traceparent, row.message.traceparent);
    EXPECT_EQ(rows[0].message.data, row.message.data);
}

TEST_F(OutboxTest, empty_batches_do_nothing) {
    outbox_.insert(*session_, {});
    outbox_.remove(*session_, {});
    outbox_.insert_dead_letters(*session_, {});
    EXPECT_EQ(stored_ids(), Ids{});
}

TEST_F(OutboxTest, removing_takes_the_named_rows_only) {
    outbox_.insert(*session_, std::vector{make_row("a", "k"), make_row("b", "k"), make_row("c", "k")});
    outbox_.remove(*session_, Ids{"a", "c", "unknown"});
    EXPECT_EQ(stored_ids(), (Ids{"b"}));
}

TEST_F(OutboxTest, the_same_event_cannot_be_stored_twice) {
    outbox_.insert(*session_, std::vector{make_row("a", "k")});
    EXPECT_THROW(outbox_.insert(*session_, std::vector{make_row("b", "k"), make_row("a", "k")}),
                 StorageRejected);
    EXPECT_EQ(stored_ids(), (Ids{"a"}));
}

TEST_F(OutboxTest, a_big_batch_is_one_statement) {
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 5'000; ++i)
        rows.push_back(make_row("event-" + std::to_string(i), std::to_string(i % 7)));
    outbox_.insert(*session_, rows);
    EXPECT_EQ(stored_ids(), ids_of(rows));
}

TEST_F(OutboxTest, the_backlog_tells_how_many_rows_wait_and_since_when) {
    EXPECT_EQ(outbox_.backlog(*session_).rows, 0);
    OutboxRow older = make_row("b", "k");
    older.message.time = timestamp_from_ms(1'000);
    outbox_.insert(*session_, std::vector{make_row("a", "k"), older});
    EXPECT_EQ(outbox_.backlog(*session_).rows, 2);
    EXPECT_EQ(outbox_.backlog(*session_).oldest, timestamp_from_ms(1'000));
}

TEST_F(OutboxTest, the_backlog_is_counted_up_to_a_limit) {
    std::vector<OutboxRow> rows;
    for (int i = 0; i < 10'500; ++i)
        rows.push_back(make_row(std::to_string(i), std::to_string(i)));
    outbox_.insert(*session_, rows);
    EXPECT_EQ(outbox_.backlog(*session_).rows, 10'000);
}

TEST_F(OutboxTest, owners_are_found_one_after_the_other) {
    EXPECT_EQ(outbox_.next_owner(*session_, ""), std::nullopt);
    for (const std::string owner : {"b", "", "a"}) {
        static_cast<void>(outbox_.insert_for(
            *session_, owner, std::vector{make_row(owner + "1", owner), make_row(owner + "2", owner)}));
    }
    EXPECT_EQ(outbox_.next_owner(*session_, ""), "a");
    EXPECT_EQ(outbox_.next_owner(*session_, "a"), "b");
    EXPECT_EQ(outbox_.next_owner(*session_, "b"), std::nullopt);
}

TEST_F(OutboxTest, one_dead_letter_is_found_by_its_id) {
    outbox_.insert_dead_letters(
        *session_, std::vector<DeadLetter>{{make_row("a", "key"), "temporary", 5, timestamp_from_ms(1)}});
    EXPECT_FALSE(outbox_.dead_letter(*session_, "b").has_value());
    EXPECT_EQ(outbox_.dead_letter(*session_, "a")->reason, "temporary");
}

TEST_F(OutboxTest, dead_letters_come_back_oldest_first_with_their_reason) {
    const std::vector<DeadLetter> letters{
        {make_row("late", "k"), "said \"no\"", 5, timestamp_from_ms(2'000)},
        {make_row("early", "k"), "unknown type", 1, timestamp_from_ms(1'000)}};
    outbox_.insert_dead_letters(*session_, letters);
    const auto found = outbox_.dead_letters(*session_, 10);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].row.message.id, "early");
    EXPECT_EQ(found[1].row.message.id, "late");
    EXPECT_EQ(found[1].row.topic, "payment-events");
    EXPECT_EQ(found[1].row.message.data, R"({"amount":1})");
    EXPECT_EQ(found[1].reason, "said \"no\"");
    EXPECT_EQ(found[1].delivery_attempts, 5);
    EXPECT_EQ(found[1].dead_at, timestamp_from_ms(2'000));
}

TEST_F(OutboxTest, a_second_dead_letter_of_the_same_event_changes_nothing) {
    const std::vector<DeadLetter> first{{make_row("a", "k"), "first", 5, timestamp_from_ms(1)}};
    const std::vector<DeadLetter> second{{make_row("a", "k"), "second", 6, timestamp_from_ms(2)}};
    outbox_.insert_dead_letters(*session_, first);
    outbox_.insert_dead_letters(*session_, second);
    const auto found = outbox_.dead_letters(*session_, 10);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].reason, "first");
}

TEST_F(OutboxTest, a_replayed_dead_letter_is_an_outbox_row_again) {
    outbox_.insert_dead_letters(
        *session_, std::vector<DeadLetter>{{make_row("a", "key"), "temporary", 5, timestamp_from_ms(1)}});
    EXPECT_FALSE(outbox_.replay(*session_, "unknown"));
    EXPECT_TRUE(outbox_.replay(*session_, "a"));
    EXPECT_FALSE(outbox_.replay(*session_, "a"));
    EXPECT_TRUE(outbox_.dead_letters(*session_, 10).empty());
    const auto rows = outbox_.oldest_of(*session_, "", 10);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].message.id, "a");
    EXPECT_EQ(rows[0].message.ordering_key, "key");
}

TEST_F(OutboxTest, rows_of_a_transaction_that_is_rolled_back_are_gone) {
    {
        const db::Transaction transaction(*session_);
        outbox_.insert(*session_, std::vector{make_row("a", "k")});
    }
    EXPECT_EQ(stored_ids(), Ids{});
}

}  // namespace
}  // namespace quittance::messaging
