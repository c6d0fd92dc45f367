// The relay: publishes what the outbox holds, and forgets it once the broker has confirmed.
#pragma once

#include <chrono>
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
    std::size_t max_in_flight = 4096;  ///< Messages given to the bus and not yet confirmed.
    /// Rows that no transaction of this process announced (a crash left them, a replay put them there).
    std::chrono::milliseconds sweep_interval{1000};
    /// Pause before a message that could not be published is tried again.
    std::chrono::milliseconds retry_pause{200};
};

/// Rows reach the bus in two ways: at once, handed over in memory by the transaction that stored them
/// (`announce`), and by a sweep over the table for what a crash left. Messages with the same key keep their
/// order over both. A confirmed row is removed in one transaction with the effect of `on_published`.
/// Thread safe.
class Relay {
public:
    /// Runs in the transaction that removes the rows: the place to note that they were published.
    using OnPublished = std::function<void(db::Session&, std::span<const OutboxRow> rows)>;

    /// A promise that rows are about to be committed. Destroyed without `release`, the rows are left to the
    /// next sweep (which finds them only if they were committed after all).
    class Announcement {
    public:
        Announcement(Announcement&&) noexcept;
        Announcement& operator=(Announcement&&) = delete;
        ~Announcement();
        /// The commit succeeded: publish.
        void release() &&;

    private:
        friend class Relay;
        Announcement(Relay& relay, std::vector<OutboxRow> rows);
        Relay* relay_;
        std::vector<OutboxRow> rows_;
    };

    Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, const Clock& clock, RelayOptions options,
          OnPublished on_published);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Call inside the transaction, right before its commit, with the rows that `Outbox::insert` got.
    [[nodiscard]] Announcement announce(std::vector<OutboxRow> rows);

    /// Starts a sweep when one is due; returns at once. Call every few milliseconds, from one thread.
    void step();

    /// Nothing announced, in flight or waiting to be removed in this process.
    [[nodiscard]] bool idle() const;
    [[nodiscard]] std::size_t in_flight() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace quittance::messaging
