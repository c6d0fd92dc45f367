// The relay: publishes what the outbox holds, and forgets it once the broker has confirmed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "db/scheduler.hpp"
#include "messaging/bus.hpp"
#include "messaging/outbox.hpp"

namespace quittance::messaging {

struct RelayOptions {
    /// Rows held in memory, from their release until their removal. What comes beyond that stays in the table
    /// for a sweep.
    std::size_t max_in_flight = 4096;
    /// Rows that no transaction of this process announced (a crash left them, a replay put them there).
    std::chrono::milliseconds sweep_interval{1000};
    /// Pause before a message that could not be published, or a row that could not be removed, is tried
    /// again.
    std::chrono::milliseconds retry_pause{200};
};

/// Rows reach the bus in two ways: at once, handed over in memory by the transaction that stored them
/// (`announce`), and by a sweep over the table for what a crash left. Messages with the same key keep their
/// order over both: of one key, the next message is given to the bus only after the one before it was
/// confirmed or became a dead letter. A confirmed row is removed in one transaction with the effect of
/// `on_published`; a crash between the two publishes it once more.
///
/// Create it before the scheduler's first worker starts and destroy it after the last one has ended. Answers
/// of the bus that come later are ignored. Thread safe otherwise.
class Relay {
    struct State;

public:
    /// Runs in the transaction that removes the rows: the place to note that they were published. Not called
    /// for dead letters. May run again with the same rows when the transaction fails.
    using OnPublished = std::function<void(db::Session&, std::span<const OutboxRow> rows)>;

    /// A promise that rows are about to be committed. Destroyed without `release`, the rows are left to the
    /// next sweep (which finds them only if they were committed after all). Used by one thread at a time.
    class Announcement {
    public:
        Announcement(Announcement&&) noexcept;
        Announcement& operator=(Announcement&&) = delete;
        ~Announcement();
        /// The commit succeeded: publish.
        void release() &&;

    private:
        friend class Relay;
        Announcement(std::shared_ptr<State> state, std::vector<OutboxRow> rows);
        std::shared_ptr<State> state_;
        std::vector<OutboxRow> rows_;
    };

    Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, const Clock& clock, RelayOptions options,
          OnPublished on_published);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Call inside the transaction, right before its commit, with the rows that `Outbox::insert` got.
    [[nodiscard]] Announcement announce(std::vector<OutboxRow> rows);

    /// Starts a sweep when one is due, and tries again what is due for it; returns at once. Call every few
    /// milliseconds, from one thread.
    void step();

    /// Nothing announced, in flight or waiting to be removed in this process, and no sweep on its way. Rows
    /// may still be in the table for a sweep: ask `Outbox::backlog`.
    [[nodiscard]] bool idle() const;
    /// Messages given to the bus and not yet answered.
    [[nodiscard]] std::size_t in_flight() const;
    /// Rows confirmed and removed, and rows moved to the dead letters, since the start.
    [[nodiscard]] std::uint64_t published() const;
    [[nodiscard]] std::uint64_t dead_lettered() const;

private:
    std::shared_ptr<State> state_;
};

}  // namespace quittance::messaging
