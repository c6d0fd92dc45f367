#include "messaging/pubsub_leases.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "messaging/pubsub_lease_time.hpp"

namespace quittance::messaging {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Ids = std::vector<std::string>;
using TimePoint = PubsubLeases::TimePoint;

class PubsubLeasesTest : public testing::Test {
protected:
    PubsubLeasesTest() { leases_.set_redelivery({3, 1s, 8s}); }

    PubsubLeases::Pointer lease(const std::string& id, const std::string& key, int published_ms,
                                const std::string& ack_id = {}) {
        auto made = std::make_shared<PubsubLease>();
        made->message.ordering_key = key;
        made->message_id = id;
        made->ack_id = ack_id.empty() ? "ack " + id : ack_id;
        made->published = timestamp_from_ms(published_ms);
        made->lease_until = start_ + 10s;
        made->given_up_at = start_ + 1h;
        return made;
    }
    PubsubLeases::Pointer add(const std::string& id, const std::string& key, int published_ms) {
        auto added = lease(id, key, published_ms);
        leases_.add(added);
        return added;
    }
    Ids deliver(std::size_t limit = 100) {
        Ids ids;
        for (const auto& taken : leases_.take_ready(limit))
            ids.push_back(taken->message_id);
        return ids;
    }

    const TimePoint start_{1h};
    SystemRandom random_;
    PubsubLeases leases_{random_, 2};
};

TEST_F(PubsubLeasesTest, of_a_key_the_next_waits_until_the_one_before_is_settled) {
    const auto first = add("1", "k", 1);
    const auto second = add("2", "k", 2);
    add("3", "other", 3);
    EXPECT_THAT(deliver(), ElementsAre("1", "3"));
    EXPECT_FALSE(leases_.any_ready());
    leases_.settle(*first);
    EXPECT_THAT(deliver(), ElementsAre("2"));
    leases_.settle(*second);
    EXPECT_EQ(leases_.size(), 1U);
}

TEST_F(PubsubLeasesTest, messages_without_a_key_wait_for_no_other) {
    add("1", "", 1);
    add("2", "", 2);
    EXPECT_THAT(deliver(), ElementsAre("1", "2"));
}

TEST_F(PubsubLeasesTest, no_more_are_delivered_than_asked_for) {
    add("1", "a", 1);
    add("2", "b", 2);
    EXPECT_THAT(deliver(1), ElementsAre("1"));
    EXPECT_TRUE(leases_.any_ready());
    EXPECT_THAT(deliver(1), ElementsAre("2"));
}

TEST_F(PubsubLeasesTest, an_older_message_that_comes_late_goes_before_those_that_wait) {
    const auto in_work = add("3", "k", 3);
    EXPECT_THAT(deliver(), ElementsAre("3"));
    add("4", "k", 4);
    const auto late = add("2", "k", 2);
    leases_.settle(*in_work);
    EXPECT_THAT(deliver(), ElementsAre("2"));
    leases_.settle(*late);
    EXPECT_THAT(deliver(), ElementsAre("4"));
}

TEST_F(PubsubLeasesTest, a_message_that_comes_again_keeps_its_place_and_is_answered_under_its_newest_id) {
    const auto first = add("1", "k", 1);
    add("2", "k", 2);
    EXPECT_THAT(deliver(), ElementsAre("1"));
    auto again = lease("1", "k", 1, "new ack");
    again->attempt = 2;
    again->lease_until = start_ + 30s;
    leases_.add(again);
    EXPECT_THAT(deliver(), IsEmpty());
    EXPECT_EQ(leases_.size(), 2U);
    EXPECT_EQ(first->ack_id, "new ack");
    EXPECT_EQ(first->attempt, 2);
    EXPECT_EQ(first->lease_until, start_ + 30s);
    leases_.settle(*first);
    EXPECT_THAT(deliver(), ElementsAre("2"));
}

// Chance takes up to half of a back-off away.
TEST_F(PubsubLeasesTest, what_was_not_acknowledged_comes_again_after_its_back_off_before_those_behind_it) {
    const auto first = add("1", "k", 1);
    add("2", "k", 2);
    EXPECT_THAT(deliver(), ElementsAre("1"));
    EXPECT_THAT(leases_.repeat(*first, start_), IsEmpty());
    leases_.make_due_ready(start_ + 499ms);
    EXPECT_THAT(deliver(), IsEmpty());
    leases_.make_due_ready(start_ + 1s);
    EXPECT_THAT(deliver(), ElementsAre("1"));
    EXPECT_EQ(first->attempt, 2);

    EXPECT_THAT(leases_.repeat(*first, start_), IsEmpty());
    leases_.make_due_ready(start_ + 999ms);
    EXPECT_THAT(deliver(), IsEmpty());
    leases_.make_due_ready(start_ + 2s);
    EXPECT_THAT(deliver(), ElementsAre("1"));
}

TEST_F(PubsubLeasesTest, after_as_many_deliveries_as_the_subscription_says_a_message_is_exhausted) {
    const auto first = add("1", "k", 1);
    EXPECT_FALSE(leases_.is_exhausted(*first));
    first->attempt = 3;
    EXPECT_TRUE(leases_.is_exhausted(*first));
    leases_.set_redelivery({0, 1s, 8s});
    EXPECT_FALSE(leases_.is_exhausted(*first)) << "without a dead-letter policy there is no last delivery";
}

TEST_F(PubsubLeasesTest, when_too_many_wait_a_message_goes_back_with_what_waits_behind_it) {
    for (const std::string key : {"a", "b"})
        EXPECT_THAT(leases_.repeat(*add("first of " + key, key, 1), start_), IsEmpty());
    const auto third = add("3", "k", 3);
    const auto behind = add("4", "k", 4);
    EXPECT_THAT(leases_.repeat(*third, start_), ElementsAre("ack 3", "ack 4"));
    EXPECT_FALSE(third->held);
    EXPECT_FALSE(behind->held);
    EXPECT_EQ(leases_.size(), 2U);
    // Its key starts anew.
    add("5", "k", 5);
    leases_.make_due_ready(start_ + 1h);
    EXPECT_THAT(deliver(), testing::Contains("5"));
}

TEST_F(PubsubLeasesTest, leases_that_end_soon_are_found) {
    add("1", "a", 1);
    add("2", "b", 2)->lease_until = start_ + 20s;
    EXPECT_THAT(leases_.expiring(start_ + 9'999ms), IsEmpty());
    ASSERT_THAT(leases_.expiring(start_ + 10s), testing::SizeIs(1));
    EXPECT_EQ(leases_.expiring(start_ + 10s).front()->message_id, "1");
    EXPECT_THAT(leases_.expiring(start_ + 20s), testing::SizeIs(2));
}

TEST_F(PubsubLeasesTest, what_is_in_work_for_too_long_is_forgotten_and_the_next_of_its_key_goes_on) {
    const auto stuck = add("1", "k", 1);
    add("2", "k", 2)->given_up_at = start_ + 2h;
    EXPECT_THAT(deliver(), ElementsAre("1"));
    leases_.drop_overdue(start_ + 59min);
    EXPECT_THAT(deliver(), IsEmpty());
    leases_.drop_overdue(start_ + 1h);
    EXPECT_FALSE(stuck->held);
    EXPECT_THAT(deliver(), ElementsAre("2"));
}

TEST_F(PubsubLeasesTest, at_the_end_all_go_back_the_oldest_of_each_key_first) {
    add("1", "k", 1);
    add("2", "k", 2);
    EXPECT_THAT(leases_.repeat(*add("3", "other", 3), start_), IsEmpty());
    const Ids returned = leases_.release_all();
    EXPECT_THAT(returned, UnorderedElementsAre("ack 1", "ack 2", "ack 3"));
    EXPECT_LT(std::ranges::find(returned, "ack 1"), std::ranges::find(returned, "ack 2"));
    leases_.make_due_ready(start_ + 1h);
    EXPECT_FALSE(leases_.any_ready());
    EXPECT_EQ(leases_.size(), 0U);
}

TEST(PubsubLeaseTimeTest, quick_messages_are_leased_for_the_shortest_time_there_is) {
    PubsubLeaseTime time;
    EXPECT_EQ(time.current(), 10s);
    for (int i = 0; i < 1'000; ++i)
        time.observe(20ms);
    EXPECT_EQ(time.current(), 10s);
}

TEST(PubsubLeaseTimeTest, the_lease_follows_all_but_the_slowest_hundredth) {
    PubsubLeaseTime time;
    for (int i = 0; i < 990; ++i)
        time.observe(1s);
    for (int i = 0; i < 10; ++i)
        time.observe(90s);
    EXPECT_EQ(time.current(), 10s);
    time.observe(40'500ms);
    EXPECT_EQ(time.current(), 41s);
    for (int i = 0; i < 20; ++i)
        time.observe(90s);
    EXPECT_EQ(time.current(), 90s);
}

TEST(PubsubLeaseTimeTest, no_lease_is_longer_than_pubsub_allows) {
    PubsubLeaseTime time;
    time.observe(24h);
    EXPECT_EQ(time.current(), 600s);
}

TEST(PubsubLeaseTimeTest, what_was_long_ago_is_forgotten) {
    PubsubLeaseTime time;
    for (int i = 0; i < 5'000; ++i)
        time.observe(300s);
    EXPECT_EQ(time.current(), 300s);
    for (int i = 0; i < 60'000; ++i)
        time.observe(1s);
    EXPECT_EQ(time.current(), 10s);
}

}  // namespace
}  // namespace quittance::messaging
