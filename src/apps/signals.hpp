// Ending a program from outside.
#pragma once

#include <csignal>

namespace quittance::apps {

/// Takes SIGTERM and SIGINT for `wait`, in this thread and in every one that it starts; make it first.
class TerminationSignals {
public:
    TerminationSignals();
    /// Blocks until one of them arrives, and returns it.
    [[nodiscard]] int wait() const;

private:
    sigset_t signals_{};
};

}  // namespace quittance::apps
