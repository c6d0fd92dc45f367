#include "apps/signals.hpp"

#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

namespace quittance::apps {
namespace {

using namespace std::chrono_literals;

/// For a process of its own: signals stay blocked.
void be_told_to_stop(int signal, std::chrono::milliseconds time_to_stop, std::chrono::milliseconds needed) {
    {
        TerminationSignals signals(time_to_stop);
        kill(getpid(), signal);
        if (signals.wait() != signal) std::_Exit(2);
        std::this_thread::sleep_for(needed);
    }
    std::_Exit(0);
}

class TerminationSignalsTest : public testing::TestWithParam<int> {
protected:
    TerminationSignalsTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_P(TerminationSignalsTest, a_program_that_stops_in_time_ends_by_itself) {
    EXPECT_EXIT(be_told_to_stop(GetParam(), 5'000ms, 0ms), testing::ExitedWithCode(0), "");
}

TEST_P(TerminationSignalsTest, a_program_that_does_not_stop_in_time_is_ended) {
    EXPECT_EXIT(be_told_to_stop(GetParam(), 100ms, 10'000ms), testing::ExitedWithCode(1),
                "did not stop in time");
}

INSTANTIATE_TEST_SUITE_P(Signals, TerminationSignalsTest, testing::Values(SIGTERM, SIGINT));

}  // namespace
}  // namespace quittance::apps
