#include "core/ids.hpp"

#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

namespace quittance {
namespace {

class SetClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return timestamp_from_ms(ms); }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }
    std::int64_t ms = 1'763'841'600'123;
};

constexpr std::string_view sample = "0193a0b1-1111-7abc-8def-0123456789ab";

TEST(IdsTest, the_text_of_an_id_comes_back_as_the_same_id) {
    const auto id = OrderId::parse(sample);
    ASSERT_TRUE(id);
    EXPECT_EQ(id->to_string(), sample);
    EXPECT_EQ(OrderId::parse("0193A0B1-1111-7ABC-8DEF-0123456789AB"), id);
    EXPECT_FALSE(id->is_nil());
    EXPECT_TRUE(OrderId().is_nil());
    EXPECT_EQ(OrderId().to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(IdsTest, anything_but_the_one_form_is_refused) {
    for (const char* text :
         {"", "0193a0b1", "0193a0b111117abc8def0123456789ab", "0193a0b1-1111-7abc-8def-0123456789a",
          "0193a0b1-1111-7abc-8def-0123456789abc", "{0193a0b1-1111-7abc-8def-0123456789a}",
          "0193a0b1-1111-7abc-8def-0123456789ag", "0193a0b1-11117-abc-8def-0123456789ab",
          "0193a0b1-1111-7abc-8def_0123456789ab", " 193a0b1-1111-7abc-8def-0123456789ab",
          "+193a0b1-1111-7abc-8def-0123456789ab"}) {
        EXPECT_FALSE(OrderId::parse(text)) << text;
    }
    std::string with_nul(sample);
    with_nul[3] = '\0';
    EXPECT_FALSE(OrderId::parse(with_nul));
}

TEST(IdsTest, generated_ids_are_version_7_and_carry_the_time) {
    const SetClock clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    const UuidBytes bytes = ids.generate<OrderId>().bytes();
    std::int64_t ms = 0;
    for (std::size_t i = 0; i < 6; ++i)
        ms = ms * 256 + bytes[i];
    EXPECT_EQ(ms, clock.ms);
    EXPECT_EQ(bytes[6] >> 4, 7);
    EXPECT_EQ(bytes[8] >> 6, 2);
}

TEST(IdsTest, ids_grow_when_the_clock_stands_still_and_when_it_goes_back) {
    SetClock clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    EventId last = ids.generate<EventId>();
    for (int i = 0; i < 20'000; ++i) {  // Beyond what the counter of one millisecond holds.
        if (i == 10'000) clock.ms -= 60'000;
        if (i == 15'000) clock.ms += 120'000;
        const EventId next = ids.generate<EventId>();
        ASSERT_LT(last, next) << last.to_string() << " " << next.to_string();
        ASSERT_LT(last.to_string(), next.to_string());
        last = next;
    }
}

TEST(IdsTest, many_threads_get_ids_that_differ_and_grow) {
    const SystemClock clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    std::vector<std::vector<OrderId>> made(4);
    std::vector<std::jthread> threads;
    for (auto& mine : made) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5'000; ++i)
                mine.push_back(ids.generate<OrderId>());
        });
    }
    threads.clear();
    std::unordered_set<OrderId> all;
    for (const auto& mine : made) {
        EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
        all.insert(mine.begin(), mine.end());
    }
    EXPECT_EQ(all.size(), 20'000U);
}

}  // namespace
}  // namespace quittance
