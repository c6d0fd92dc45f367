#include "telemetry/line_queue.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include <poll.h>
#include <unistd.h>

#include "core/thread_name.hpp"

namespace quittance::log {

namespace {

/// What a buffer keeps when a burst is over.
constexpr std::size_t kept_bytes = std::size_t{64} << 10;

}  // namespace

bool write_all(int descriptor, std::string_view& text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return false;
        pollfd waited{descriptor, POLLOUT, 0};
        ::poll(&waited, 1, -1);
    }
    return true;
}

struct LineQueue::State {
    State(int to, std::size_t limit, Notice describe)
        : descriptor(to), max_bytes(limit), notice(std::move(describe)) {}

    void run();
    void write_batch(const std::string& batch, std::uint64_t dropped_behind);

    const int descriptor;
    const std::size_t max_bytes;
    const Notice notice;
    std::mutex mutex;
    std::condition_variable work;
    std::condition_variable all_written;
    std::string queued;
    std::uint64_t unsaid = 0;  // Dropped lines that no notice has told of yet.
    bool ended = false;
    // Both change under the mutex, and are read without it.
    std::atomic<std::size_t> unwritten_bytes = 0;
    std::atomic<std::uint64_t> dropped = 0;
};

void LineQueue::State::run() {
    name_this_thread("q-log");
    std::string batch;
    std::unique_lock lock(mutex);
    while (true) {
        work.wait(lock, [this] { return !queued.empty() || unsaid > 0 || ended; });
        if (queued.empty() && unsaid == 0) return;
        batch.swap(queued);
        // Lines are dropped while the queue is full, and it is empty now: the notice belongs behind these.
        const std::uint64_t dropped_behind = std::exchange(unsaid, 0);
        const std::size_t taken = batch.size();
        lock.unlock();
        write_batch(batch, dropped_behind);
        batch.clear();
        if (batch.capacity() > kept_bytes) batch.shrink_to_fit();
        lock.lock();
        if ((unwritten_bytes -= taken) == 0) all_written.notify_all();
    }
}

void LineQueue::State::write_batch(const std::string& batch, std::uint64_t dropped_behind) {
    std::string_view rest = batch;
    if (!write_all(descriptor, rest)) {
        dropped += static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
        return;
    }
    if (dropped_behind == 0) return;
    const std::string line = notice(dropped_behind);
    rest = line;
    write_all(descriptor, rest);
}

LineQueue::LineQueue(int descriptor, std::size_t max_bytes, Notice notice)
    : state_(std::make_shared<State>(descriptor, max_bytes, std::move(notice))) {
    // The thread inherits the mask: signals are for the program's main thread.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([state = state_] { state->run(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LineQueue::~LineQueue() {
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
    state_->work.notify_one();
}

void LineQueue::push(std::string_view line) noexcept {
    const std::lock_guard lock(state_->mutex);
    if (state_->queued.size() + line.size() <= state_->max_bytes && state_->unsaid == 0) {
        try {
            state_->queued.append(line);
            state_->unwritten_bytes += line.size();
            state_->work.notify_one();
            return;
        } catch (const std::exception&) {
            // No memory is no room.
        }
    }
    ++state_->dropped;
    ++state_->unsaid;
    state_->work.notify_one();
}

bool LineQueue::flush(std::chrono::milliseconds limit) {
    std::unique_lock lock(state_->mutex);
    return state_->all_written.wait_for(lock, limit, [this] { return state_->unwritten_bytes == 0; });
}

void LineQueue::flush_in_signal_handler(std::chrono::milliseconds limit) noexcept {
    static constexpr std::chrono::milliseconds step{5};
    // Where this thread holds the mutex itself, the writer stops, and the limit ends the waiting.
    for (auto waited = step; waited <= limit && state_->unwritten_bytes != 0; waited += step) {
        const timespec pause{0, std::chrono::nanoseconds(step).count()};
        ::nanosleep(&pause, nullptr);
    }
}

std::uint64_t LineQueue::dropped() const noexcept {
    return state_->dropped;
}

}  // namespace quittance::log
