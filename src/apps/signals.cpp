#include "apps/signals.hpp"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <stop_token>

#include <pthread.h>

#include "core/thread_name.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

void end_program_after(std::chrono::milliseconds limit, const std::stop_token& stopped) {
    name_this_thread("q-watchdog");
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stopped, limit, [] { return false; });
    if (stopped.stop_requested()) return;
    log::error(
        "the program did not stop in time and is ended; what is unfinished goes on after the next start",
        {{"milliseconds", limit.count()}});
    log::flush();
    std::_Exit(EXIT_FAILURE);
}

}  // namespace

TerminationSignals::TerminationSignals(std::chrono::milliseconds time_to_stop) : time_to_stop_(time_to_stop) {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    // A peer that goes away is an error of one connection, not the end of the program.
    std::signal(SIGPIPE, SIG_IGN);
    // So is a file that may not grow.
    std::signal(SIGXFSZ, SIG_IGN);
}

int TerminationSignals::wait() {
    int received = 0;
    while (sigwait(&signals_, &received) != 0) {
    }
    watchdog_ = std::jthread(
        [limit = time_to_stop_](const std::stop_token& stopped) { end_program_after(limit, stopped); });
    return received;
}

}  // namespace quittance::apps
