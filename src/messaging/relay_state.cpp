#include "messaging/relay_state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

/// Failures of the bus are many in an outage; the log says it this often.
constexpr std::chrono::seconds failure_log_interval{10};

void report_read(std::string_view what, bool) {
    log::warning("the outbox could not be read", {{"reason", what}});
}

void report_renewal(std::string_view what, bool) {
    log::warning("the relay's lease could not be renewed", {{"reason", what}});
}

void report_orphans(std::string_view what, bool) {
    log::warning("rows of instances that have ended could not be freed", {{"reason", what}});
}

void report_removal(std::string_view what, bool final) {
    log::warning("published rows could not be removed from the outbox", {{"reason", what}, {"final", final}});
}

TableRows read_table(const Outbox& outbox, db::Session& session, const TableRead& read,
                     const std::string& owner) {
    const std::int64_t limit = read.limit;
    switch (read.kind) {
        case TableRead::Kind::look: return {outbox.any_claimable(session), {}};
        case TableRead::Kind::sweep: return {false, outbox.oldest_of(session, owner, limit)};
        case TableRead::Kind::claim: break;
    }
    db::Transaction transaction(session);
    TableRows claimed{false, outbox.claim(session, owner, limit)};
    transaction.commit();
    claimed.claimable = std::ssize(claimed.rows) == std::min(limit, max_claims_examined);
    return claimed;
}

}  // namespace

Relay::State::State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus,
                    Random& relay_random, const Clock& relay_clock, RelayOptions relay_options,
                    OnPublished published_hook)
    : outbox(relay_outbox),
      bus(relay_bus),
      clock(relay_clock),
      options(relay_options),
      on_published(std::move(published_hook)),
      lease(outbox, relay_random, relay_clock, relay_options.alone),
      orphans(outbox),
      removal_lane(
          scheduler,
          {.max_queued = relay_options.max_in_flight, .retry_unavailable_after = relay_options.retry.first},
          [this](db::Session& session, std::span<Finished> finished) {
              return remove_finished(session, finished);
          },
          report_removal),
      renewal_lane(
          scheduler, {.max_batch = 1, .max_queued = 1},
          [this](db::Session& session, std::span<Renewal> renewals) {
              if (renewals.front().anew) lease.give_up(session);
              return std::vector<Result<RelayLease::Held>>{lease.renew(session)};
          },
          report_renewal),
      orphan_lane(
          scheduler, {.max_batch = 1, .max_queued = 1},
          [this](db::Session& session, std::span<OrphanSearch>) {
              return std::vector<Result<RelayOrphans::Step>>{orphans.step(session)};
          },
          report_orphans),
      table_lane(
          scheduler, {.max_batch = 1},
          [this](db::Session& session, std::span<OwnedRead> reads) {
              std::vector<Result<TableRows>> results;
              results.emplace_back(read_table(outbox, session, reads.front().read, reads.front().owner));
              return results;
          },
          report_read),
      recovery(relay_options.read_retry),
      intake(std::make_shared<RelayIntake>(options)),
      spare_intake(std::make_shared<RelayIntake>(options)),
      retries(relay_options.retry, relay_random),
      random(relay_random) {}

/// Forgets what is in memory and gives up the id under which it is stored. The rows are then those of an
/// instance that has ended: they are found by a search and published in their order; those that are in the
/// bus are published twice.
void Relay::State::lose_track(const char* reason) noexcept {
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        owner.clear();
        lease_until = {};
        lost_track = true;
        next_renewal = {};
        if (spare_intake) intake = std::exchange(spare_intake, nullptr);
        retries.clear();
    }
    try {
        const TimePoint now = clock.steady_now();
        {
            const std::lock_guard lock(mutex);
            next_renewal = now + recovery.failed(now, random);
        }
        log::error("the relay lost track of its messages and reads them from the outbox",
                   {{"reason", reason}});
    } catch (...) {
        // It joins anew without a pause, and without a word about it.
        return;
    }
}

/// Leaves in `rows` those that were stored for us, and returns the intake that announced them.
Relay::State::Intake Relay::State::store(db::Session& session, std::vector<OutboxRow>& rows) {
    std::string stored_for;
    Intake current;
    {
        const std::lock_guard lock(mutex);
        stored_for = owner;
        current = intake;
    }
    if (stored_for.empty()) {
        outbox.insert(session, rows);
        rows.clear();
    } else {
        const auto of_nobody = outbox.insert_for(session, stored_for, rows);
        std::erase_if(rows, [&](const OutboxRow& row) { return of_nobody.contains(row.message.id); });
    }
    try {
        const std::lock_guard lock(mutex);
        if (current == intake) current->announce(rows);
    } catch (...) {
        lose_track("a row could not be announced");
        throw;
    }
    return current;
}

void Relay::State::withdraw(const Intake& of_intake, const std::vector<OutboxRow>& rows) noexcept {
    guarded([&] {
        const TimePoint now = clock.steady_now();
        const std::lock_guard lock(mutex);
        if (of_intake == intake) intake->withdraw(rows, now);
    });
}

void Relay::State::release(const Intake& of_intake, std::vector<OutboxRow> rows) noexcept {
    guarded([&] {
        std::optional<OwnedRead> read;
        {
            const std::lock_guard lock(mutex);
            if (closed || of_intake != intake) return;
            intake->release(std::move(rows));
            read = next_read();
        }
        publish_ready();
        start(std::move(read));
    });
}

void Relay::State::step() noexcept {
    guarded([&] {
        const TimePoint now = clock.steady_now();
        std::vector<Finished> removals;
        std::optional<OwnedRead> read;
        std::optional<Renewal> renewal;
        bool search = false;
        {
            const std::lock_guard lock(mutex);
            if (closed) return;
            const auto due = removal_retries.upper_bound(now);
            for (auto at = removal_retries.begin(); at != due; ++at)
                removals.push_back(std::move(at->second));
            removal_retries.erase(removal_retries.begin(), due);
            if (!renewing && now >= next_renewal) {
                renewal = Renewal{lost_track};
                next_renewal = now + heartbeat_interval;
            }
            search = !owner.empty() && !searching && now >= next_search;
            read = next_read();
            log_failures(now);
        }
        for (Finished& finished : removals)
            remove(std::move(finished));
        if (renewal) start_renewal(*renewal);
        if (search) start_search();
        publish_ready();
        start(std::move(read));
    });
}

void Relay::State::log_failures(TimePoint now) {
    if (failures_since_log == 0 || now < next_failure_log) return;
    log::warning("messages could not be published and are tried again",
                 {{"count", failures_since_log}, {"waiting", retries.waiting()}, {"reason", last_failure}});
    failures_since_log = 0;
    next_failure_log = now + failure_log_interval;
}

void Relay::State::close() {
    const std::lock_guard lock(mutex);
    closed = true;
    intake = std::make_shared<RelayIntake>(options);
    retries.clear();
    removal_retries.clear();
}

void Relay::State::start_renewal(Renewal renewal) {
    {
        const std::lock_guard lock(mutex);
        renewing = true;
    }
    try {
        renewal_lane.submit(
            renewal, [this, renewal](const Result<RelayLease::Held>& held) { renewed(renewal, held); });
    } catch (...) {
        const std::lock_guard lock(mutex);
        renewing = false;
        throw;
    }
}

void Relay::State::start_search() {
    {
        const std::lock_guard lock(mutex);
        searching = true;
    }
    try {
        orphan_lane.submit({}, [this](const Result<RelayOrphans::Step>& step) { searched(step); });
    } catch (...) {
        const std::lock_guard lock(mutex);
        searching = false;
        throw;
    }
}

void Relay::State::renewed(const Renewal& renewal, const Result<RelayLease::Held>& held) noexcept {
    guarded([&] {
        std::optional<OwnedRead> read;
        {
            const std::lock_guard lock(mutex);
            renewing = false;
            // A renewal that began before track was lost holds the old id.
            if (closed || !held || (lost_track && !renewal.anew)) return;
            if (held->id != owner) begin_anew(held->id);
            lost_track = false;
            lease_until = held->until;
            // Nobody asks whether we live.
            if (options.alone) next_renewal = TimePoint::max();
            if (held->peers_ended) next_search = {};
            read = next_read();
        }
        publish_ready();
        start(std::move(read));
    });
}

void Relay::State::searched(const Result<RelayOrphans::Step>& step) noexcept {
    guarded([&] {
        const TimePoint now = clock.steady_now();
        const std::lock_guard lock(mutex);
        searching = false;
        if (step && step->freed > 0) intake->look_now();
        if (!step || step->finished) next_search = now + orphan_interval;
    });
}

/// What is in memory belongs to somebody else, or to nobody; in the beginning nothing is there. Changes
/// nothing when it throws.
void Relay::State::begin_anew(const std::string& id) {
    std::string new_owner = id;
    auto new_intake = std::make_shared<RelayIntake>(options);
    auto new_spare = std::make_shared<RelayIntake>(options);
    owner = std::move(new_owner);
    intake = std::move(new_intake);
    spare_intake = std::move(new_spare);
    next_search = {};
    retries.clear();
}

/// What the caller has to read now, if anything.
std::optional<Relay::State::OwnedRead> Relay::State::next_read() const {
    const TimePoint now = clock.steady_now();
    if (closed || !may_publish(now)) return std::nullopt;
    const auto read = intake->next_read(now);
    if (!read) return std::nullopt;
    return OwnedRead{*read, owner, intake};
}

void Relay::State::start(std::optional<OwnedRead> wanted) {
    if (!wanted) return;
    table_lane.submit(*wanted,
                      [this, read = *wanted](Result<TableRows> found) { read_done(read, std::move(found)); });
}

void Relay::State::read_done(const OwnedRead& wanted, Result<TableRows> found) noexcept {
    guarded([&] {
        std::optional<OwnedRead> next;
        {
            const std::lock_guard lock(mutex);
            if (closed || wanted.intake != intake) return;
            intake->read_done(wanted.read, std::move(found), clock.steady_now());
            next = next_read();
        }
        publish_ready();
        start(std::move(next));
    });
}

}  // namespace quittance::messaging
