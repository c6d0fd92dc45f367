// The relay: publishes what the outbox holds, and forgets it once the broker has confirmed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "db/scheduler.hpp"
#include "messaging/bus.hpp"
#include "messaging/outbox.hpp"
#include "messaging/relay_options.hpp"

namespace quittance::messaging {

class RelayIntake;

/// Rows reach the bus in two ways: at once, handed over in memory by the transaction that stored them
/// (`store`), and from the table, for what did not fit in memory and for rows of nobody. Messages with the
/// same key keep their order over both: of one key, the next message is given to the bus only after the one
/// before it was confirmed or became a dead letter. A confirmed row is removed in one transaction with the
/// effect of `on_published`; a crash between the two publishes it once more.
///
/// Several relays may share one database. Each publishes its own rows (see `Outbox`) for as long as it holds
/// its lease (see `RelayLease`); the rows of one that ended go to those that live. None is published twice,
/// unless an instance died or was silent for longer than its lease.
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
        /// The commit succeeded: publish. What cannot be handed over in memory is found in the table by a
        /// sweep; nothing is thrown, because the caller would take its commit for refused.
        void release() && noexcept;

    private:
        friend class Relay;
        Announcement() = default;
        std::shared_ptr<State> state_;
        std::shared_ptr<RelayIntake> intake_;
        std::vector<OutboxRow> rows_;
    };

    Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, Random& random, const Clock& clock,
          RelayOptions options, OnPublished on_published);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Stores the rows in the caller's transaction: its last statement, with what the keys stand for still
    /// locked.
    [[nodiscard]] Announcement store(db::Session& session, std::vector<OutboxRow> rows);

    /// Renews the lease, looks into the table and tries again, each when it is due; returns at once. Call
    /// every few milliseconds, from one thread.
    void step();

    /// Frees what is not published for the other instances. After the last worker has ended.
    void leave(db::Session& session);

    /// Nothing announced, in flight or waiting to be removed in this process, and nothing on its way from the
    /// table. Rows may still be in the table: ask `Outbox::backlog`.
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
