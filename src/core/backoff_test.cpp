#include "core/backoff.hpp"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/manual_clock.hpp"

namespace quittance {
namespace {

using std::chrono::milliseconds;

constexpr BackoffLimits limits{.first = milliseconds(100), .longest = milliseconds(1500)};

TEST(BackoffTest, pause_doubles_from_the_first_to_the_longest) {
    std::vector<milliseconds> pauses;
    for (int failures = 0; failures <= 7; ++failures)
        pauses.push_back(backoff_without_jitter(limits, failures));
    EXPECT_EQ(pauses, (std::vector<milliseconds>{milliseconds(0), milliseconds(100), milliseconds(200),
                                                 milliseconds(400), milliseconds(800), milliseconds(1500),
                                                 milliseconds(1500), milliseconds(1500)}));
    EXPECT_EQ(backoff_without_jitter(limits, 2'000'000'000), milliseconds(1500));
    EXPECT_EQ(backoff_without_jitter({milliseconds(3), milliseconds::max() / 4}, 2'000'000'000),
              milliseconds::max() / 4);
}

TEST(BackoffTest, jitter_takes_at_most_half_of_the_pause) {
    SystemRandom random;
    std::set<milliseconds> seen;
    for (int i = 0; i < 1000; ++i) {
        const milliseconds pause = backoff(limits, 3, random);
        EXPECT_GE(pause, milliseconds(200));
        EXPECT_LE(pause, milliseconds(400));
        seen.insert(pause);
    }
    EXPECT_GT(seen.size(), 100U);
    EXPECT_EQ(backoff(limits, 0, random), milliseconds(0));
}

TEST(BackoffTest, next_attempt_is_due_when_the_pause_has_passed_and_at_once_after_a_success) {
    ManualClock clock;
    Backoff attempts(limits);
    EXPECT_TRUE(attempts.due(clock.steady_now()));
    for (const int pause_ms : {100, 200, 400, 800, 1500, 1500}) {
        EXPECT_EQ(attempts.failed(clock.steady_now()), milliseconds(pause_ms));
        clock.advance(milliseconds(pause_ms - 1));
        EXPECT_FALSE(attempts.due(clock.steady_now()));
        clock.advance(milliseconds(1));
        EXPECT_TRUE(attempts.due(clock.steady_now()));
    }
    EXPECT_EQ(attempts.failures(), 6);
    attempts.failed(clock.steady_now());
    attempts.succeeded();
    EXPECT_TRUE(attempts.due(clock.steady_now()));
    SystemRandom random;
    EXPECT_LE(attempts.failed(clock.steady_now(), random), milliseconds(100));
}

}  // namespace
}  // namespace quittance
