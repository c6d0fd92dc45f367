#include "apps/signals.hpp"

#include <pthread.h>

namespace quittance::apps {

TerminationSignals::TerminationSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    // A peer that goes away is an error of one connection, not the end of the program.
    std::signal(SIGPIPE, SIG_IGN);
}

int TerminationSignals::wait() const {
    int received = 0;
    while (sigwait(&signals_, &received) != 0) {
    }
    return received;
}

}  // namespace quittance::apps
