#include "core/clock.hpp"

#include <gtest/gtest.h>

namespace quittance {
namespace {

TEST(ClockTest, times_are_written_as_rfc_3339_with_milliseconds) {
    EXPECT_EQ(to_rfc3339(timestamp_from_ms(0)), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_rfc3339(timestamp_from_ms(1'795'377'825'123)), "2026-11-22T20:03:45.123Z");
    EXPECT_EQ(to_rfc3339(timestamp_from_ms(951'782'400'007)), "2000-02-29T00:00:00.007Z");
    EXPECT_EQ(to_rfc3339(timestamp_from_ms(-1)), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(to_rfc3339(timestamp_from_ms(253'402'300'799'999)), "9999-12-31T23:59:59.999Z");
}

TEST(ClockTest, milliseconds_come_back_as_they_went) {
    EXPECT_EQ(to_ms(timestamp_from_ms(1'795'377'825'123)), 1'795'377'825'123);
}

TEST(ClockTest, the_system_clock_tells_the_present_and_never_goes_back) {
    const SystemClock clock;
    EXPECT_GT(to_ms(clock.now()), 1'700'000'000'000);
    auto last = clock.steady_now();
    for (int i = 0; i < 1'000; ++i) {
        const auto next = clock.steady_now();
        ASSERT_GE(next, last);
        last = next;
    }
}

}  // namespace
}  // namespace quittance
