// Ending a program from outside.
#pragma once

#include <chrono>
#include <csignal>
#include <thread>

namespace quittance::apps {

/// Takes SIGTERM and SIGINT for `wait`, in this thread and in every one that it starts; make it first.
///
/// From the signal on the program has `time_to_stop`, until this object is destroyed. When that is over it is
/// ended with code 1, whatever it waits for: whoever sent the signal would soon kill it without a word in the
/// log. What is unfinished goes on after the next start, as after a crash.
class TerminationSignals {
public:
    explicit TerminationSignals(std::chrono::milliseconds time_to_stop);
    /// Blocks until one of them arrives, and returns it.
    [[nodiscard]] int wait();

private:
    sigset_t signals_{};
    const std::chrono::milliseconds time_to_stop_;
    std::jthread watchdog_;
};

}  // namespace quittance::apps
