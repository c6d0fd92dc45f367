#include "telemetry/line_queue.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "telemetry/log.hpp"

namespace quittance::log {
namespace {

using std::chrono::milliseconds;

/// Stays open in the queue's thread, which may hang in a write: left to the process.
struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        reading = ends[0];
        writing = ends[1];
        ::fcntl(writing, F_SETPIPE_SZ, 4096);
    }
    /// So that the next write waits.
    void fill() const {
        const int flags = ::fcntl(writing, F_GETFL);
        ::fcntl(writing, F_SETFL, flags | O_NONBLOCK);
        while (::write(writing, "x", 1) == 1) {
        }
        ::fcntl(writing, F_SETFL, flags);
    }
    /// All that comes until `end` does.
    [[nodiscard]] std::string read_until(const std::string& end) const {
        std::string text;
        std::array<char, 4096> part{};
        while (!text.ends_with(end)) {
            const ssize_t got = ::read(reading, part.data(), part.size());
            if (got <= 0) break;
            text.append(part.data(), static_cast<std::size_t>(got));
        }
        return text;
    }
    int reading = -1;
    int writing = -1;
};

std::string notice(std::uint64_t dropped) {
    return std::to_string(dropped) + " dropped\n";
}

TEST(LineQueueTest, lines_come_out_in_their_order) {
    const Pipe pipe;
    LineQueue queue(pipe.writing, 1 << 20, notice);
    std::string expected;
    for (int i = 0; i < 100; ++i) {
        const std::string line = "line " + std::to_string(i) + "\n";
        expected += line;
        queue.push(line);
    }
    EXPECT_EQ(pipe.read_until("line 99\n"), expected);
    EXPECT_TRUE(queue.flush(milliseconds(5000)));
    EXPECT_EQ(queue.dropped(), 0U);
}

TEST(LineQueueTest, a_reader_that_does_not_read_holds_nobody_up_and_what_is_dropped_is_counted_and_said) {
    const Pipe pipe;
    pipe.fill();
    LineQueue queue(pipe.writing, 100, notice);
    queue.push("first\n");
    // With the thread, which waits for the reader.
    EXPECT_FALSE(queue.flush(milliseconds(50)));
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i)
        queue.push("0123456789012345678\n");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
    EXPECT_EQ(queue.dropped(), 995U);

    std::string text = pipe.read_until("995 dropped\n");
    text.erase(0, text.find('f'));
    std::string expected = "first\n";
    for (int i = 0; i < 5; ++i)
        expected += "0123456789012345678\n";
    EXPECT_EQ(text, expected + "995 dropped\n");

    queue.push("after\n");
    EXPECT_EQ(pipe.read_until("\n"), "after\n");
    EXPECT_EQ(queue.dropped(), 995U);
}

TEST(LineQueueTest, lines_for_a_reader_that_is_gone_are_counted) {
    const Pipe pipe;
    ::close(pipe.reading);
    LineQueue queue(pipe.writing, 1 << 20, notice);
    queue.push("nobody reads this\n");
    EXPECT_TRUE(queue.flush(milliseconds(5000)));
    EXPECT_EQ(queue.dropped(), 1U);
}

TEST(LineQueueTest, a_descriptor_that_does_not_wait_gets_every_line) {
    const Pipe pipe;
    ::fcntl(pipe.writing, F_SETFL, ::fcntl(pipe.writing, F_GETFL) | O_NONBLOCK);
    LineQueue queue(pipe.writing, 1 << 20, notice);
    const std::string long_line = std::string(100'000, 'y') + "\n";
    queue.push(long_line);
    EXPECT_EQ(pipe.read_until("\n"), long_line);
}

using LineQueueDeathTest = ::testing::Test;

TEST(LineQueueDeathTest, what_was_logged_before_a_crash_or_an_exit_is_written) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            initialize(Level::info, Format::json, Delivery::queued);
            info("the last word");
            std::abort();
        },
        ::testing::KilledBySignal(SIGABRT), "the last word");
    EXPECT_EXIT(
        {
            initialize(Level::info, Format::json, Delivery::queued);
            info("the last word");
            say("and what people read");
            std::exit(0);
        },
        ::testing::ExitedWithCode(0), "the last word.*\n.*and what people read");
}

}  // namespace
}  // namespace quittance::log
