// What a relay works with; see relay.hpp. For its own source files.
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/backoff.hpp"
#include "messaging/relay.hpp"
#include "messaging/relay_intake.hpp"
#include "messaging/relay_lease.hpp"
#include "messaging/relay_orphans.hpp"
#include "messaging/relay_retries.hpp"

namespace quittance::messaging {

struct Relay::State : std::enable_shared_from_this<Relay::State> {
    using TimePoint = std::chrono::steady_clock::time_point;
    using Row = RelayIntake::Row;
    /// What is in memory under one id of this instance. Who finds another one in its place has lost its rows
    /// to other instances.
    using Intake = std::shared_ptr<RelayIntake>;

    /// A row that the bus is done with.
    struct Finished {
        Intake intake;
        Row row;
        bool dead = false;
        std::string reason;
        int delivery_attempts = 0;
        int removal_failures = 0;  ///< In a row.
    };

    struct Renewal {
        bool anew = false;  ///< Under a new id.
    };

    struct OrphanSearch {};

    /// A visit to the table, in whose name, and for whom.
    struct OwnedRead {
        TableRead read;
        std::string owner;
        Intake intake;
    };

    State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus, Random& relay_random,
          const Clock& relay_clock, RelayOptions relay_options, OnPublished published_hook);
    class Answer;

    Intake store(db::Session& session, std::vector<OutboxRow>& rows);
    void release(const Intake& of_intake, std::vector<OutboxRow> rows) noexcept;
    void withdraw(const Intake& of_intake, const std::vector<OutboxRow>& rows) noexcept;
    void step() noexcept;
    void close();

    // On a lane.
    std::vector<Result<Done>> remove_finished(db::Session& session, std::span<Finished> finished) const;

    // Called back, without the mutex.
    void answered(const Intake& of_intake, const Row& row, PublishResult result) noexcept;
    void removed(Finished finished, const Result<Done>& result) noexcept;
    void renewed(const Renewal& renewal, const Result<RelayLease::Held>& held) noexcept;
    void searched(const Result<RelayOrphans::Step>& step) noexcept;
    void read_done(const OwnedRead& wanted, Result<TableRows> found) noexcept;

    // Without the mutex.
    /// Runs what follows a commit, or an answer of the bus. Nothing may leave here: the caller would take
    /// what is committed for refused, and do it again. After an exception the memory is not complete any
    /// more, and the rows are taken from the table.
    template <class Work>
    void guarded(Work work) noexcept {
        try {
            work();
        } catch (const std::exception& failure) {
            lose_track(failure.what());
        } catch (...) {
            lose_track("unknown");
        }
    }
    void lose_track(const char* reason) noexcept;
    bool settle(const Intake& of_intake, const Row& row, PublishResult& result);
    void publish_ready();
    void publish(const Intake& of_intake, const std::vector<Row>& rows);
    void remove(Finished finished);
    void start_renewal(Renewal renewal);
    void start_search();
    void start(std::optional<OwnedRead> wanted);

    // Under the mutex.
    void log_failures(TimePoint now);
    void begin_anew(const std::string& id);
    [[nodiscard]] std::optional<OwnedRead> next_read() const;
    [[nodiscard]] bool may_publish(TimePoint now) const { return !owner.empty() && now < lease_until; }

    const Outbox& outbox;
    Bus& bus;
    const Clock& clock;
    const RelayOptions options;
    const OnPublished on_published;
    RelayLease lease;      ///< Used by one renewal at a time.
    RelayOrphans orphans;  ///< Used by one search at a time.
    db::Lane<Finished, Done> removal_lane;
    db::Lane<Renewal, RelayLease::Held> renewal_lane;
    db::Lane<OrphanSearch, RelayOrphans::Step> orphan_lane;
    db::Lane<OwnedRead, TableRows> table_lane;

    std::atomic<std::size_t> in_flight = 0;  ///< In the bus.

    mutable std::mutex mutex;
    bool closed = false;
    std::string owner;  ///< Our id; empty until we joined.
    TimePoint lease_until{};
    bool renewing = false;
    TimePoint next_renewal{};
    bool lost_track = false;  ///< What is in memory is not complete: joins anew.
    Backoff recovery;
    bool searching = false;
    TimePoint next_search{};
    Intake intake;
    Intake spare_intake;  ///< Takes the place of one that lost track, which must not need memory.
    std::uint64_t published = 0;
    std::uint64_t dead_lettered = 0;

    bool publishing = false;  ///< A thread is emptying what is ready.
    RelayRetries retries;     ///< Of messages that could not be published.
    Random& random;
    std::multimap<TimePoint, Finished> removal_retries;
    std::size_t failures_since_log = 0;
    std::string last_failure;
    TimePoint next_failure_log{};
};

}  // namespace quittance::messaging
