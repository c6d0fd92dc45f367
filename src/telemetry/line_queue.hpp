// Lines on their way to a descriptor whose reader may be slow, or may have stopped reading.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace quittance::log {

/// Writes all of the text, however long the descriptor takes for it, also where somebody else has made it
/// non-blocking. False when it cannot be written, such as to a pipe whose reader is gone; `text` is then what
/// was not written.
bool write_all(int descriptor, std::string_view& text) noexcept;

/// A bounded queue with a thread of its own that writes to `descriptor`, so that nobody else waits for its
/// reader. The order of lines is kept. Lines that find the queue full are dropped and counted; when the
/// reader goes on, `notice(count)` stands in the place where they are missing.
class LineQueue {
public:
    /// Returns a whole line, with its end. Called on the writing thread.
    using Notice = std::function<std::string(std::uint64_t dropped)>;

    /// Starts the thread, which blocks every signal. At most `max_bytes` wait, and as many may be with the
    /// thread. The descriptor stays the caller's, and has to stay open for as long as the process lives: the
    /// thread may hang in a write when this object is gone.
    LineQueue(int descriptor, std::size_t max_bytes, Notice notice);
    /// Lets the thread write what is queued, and does not wait for it.
    ~LineQueue();
    LineQueue(const LineQueue&) = delete;
    LineQueue& operator=(const LineQueue&) = delete;

    /// Never waits for the reader. Thread safe. A line brings its own end.
    void push(std::string_view line) noexcept;

    /// Waits until all that was pushed is written; false when `limit` passes first. Thread safe.
    bool flush(std::chrono::milliseconds limit);
    /// The same for a handler of a signal that ends the process: takes no lock.
    void flush_in_signal_handler(std::chrono::milliseconds limit) noexcept;

    /// Lines that were dropped since the start: no room, or a descriptor that takes nothing. Thread safe.
    [[nodiscard]] std::uint64_t dropped() const noexcept;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace quittance::log
