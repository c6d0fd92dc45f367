#include "messaging/relay.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "core/canary.hpp"
#include "messaging/relay_intake.hpp"
#include "messaging/relay_lease.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;
using Row = RelayIntake::Row;
/// What is in memory under one id of this instance. Who finds another one in its place has lost its rows to
/// other instances.
using Intake = std::shared_ptr<RelayIntake>;

/// An outage of the bus fails every message every `retry_pause`; the log says it this often.
constexpr std::chrono::seconds failure_log_interval{10};

/// A row that the bus is done with.
struct Finished {
    Intake intake;
    Row row;
    bool dead = false;
    std::string reason;
    int delivery_attempts = 0;
};

struct Renewal {};

/// A visit to the table, in whose name, and for whom.
struct OwnedRead {
    TableRead read;
    std::string owner;
    Intake intake;
};

template <class Item>
struct Retry {
    TimePoint due;
    Item item;
};

template <class Item>
std::vector<Item> take_due(std::deque<Retry<Item>>& retries, TimePoint now) {
    std::vector<Item> due;
    while (!retries.empty() && retries.front().due <= now) {
        due.push_back(std::move(retries.front().item));
        retries.pop_front();
    }
    return due;
}

void report_read(std::string_view what, bool) {
    log::warning("the outbox could not be read", {{"reason", what}});
}

void report_renewal(std::string_view what, bool) {
    log::warning("the relay's lease could not be renewed", {{"reason", what}});
}

void report_removal(std::string_view what, bool final) {
    log::warning("published rows could not be removed from the outbox", {{"reason", what}, {"final", final}});
}

TableRows read_table(const Outbox& outbox, db::Session& session, const OwnedRead& wanted) {
    const std::int64_t limit = wanted.read.limit;
    switch (wanted.read.kind) {
        case TableRead::Kind::look: return {outbox.any_claimable(session), {}};
        case TableRead::Kind::sweep: return {false, outbox.oldest_of(session, wanted.owner, limit)};
        case TableRead::Kind::claim: break;
    }
    db::Transaction transaction(session);
    TableRows claimed{false, outbox.claim(session, wanted.owner, limit)};
    transaction.commit();
    claimed.claimable = std::ssize(claimed.rows) == limit;
    return claimed;
}

}  // namespace

struct Relay::State : std::enable_shared_from_this<Relay::State> {
    State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus, Random& random,
          const Clock& relay_clock, RelayOptions relay_options, OnPublished published_hook);

    Intake store(db::Session& session, std::vector<OutboxRow>& rows);
    void release(const Intake& of_intake, std::vector<OutboxRow> rows);
    void withdraw(const Intake& of_intake, const std::vector<OutboxRow>& rows);
    void step();
    void close();

    // On a lane.
    std::vector<Result<Done>> remove_finished(db::Session& session, std::span<Finished> finished) const;

    // Called back, without the mutex.
    void answered(const Intake& of_intake, const Row& row, PublishResult result);
    void removed(Finished finished, const Result<Done>& result);
    void renewed(const Result<RelayLease::Held>& held);
    void read_done(const OwnedRead& wanted, Result<TableRows> found);

    // Without the mutex.
    void publish_ready();
    void publish(const Intake& of_intake, const std::vector<Row>& rows);
    void remove(Finished finished);
    void start_renewal();
    void start(std::optional<OwnedRead> wanted);

    // Under the mutex.
    void begin_anew(const std::string& id);
    [[nodiscard]] std::optional<OwnedRead> next_read() const;
    [[nodiscard]] bool may_publish() const { return !owner.empty() && clock.steady_now() < lease_until; }

    const Outbox& outbox;
    Bus& bus;
    const Clock& clock;
    const RelayOptions options;
    const OnPublished on_published;
    RelayLease lease;  ///< Used by one renewal at a time.
    db::Lane<Finished, Done> removal_lane;
    db::Lane<Renewal, RelayLease::Held> renewal_lane;
    db::Lane<OwnedRead, TableRows> table_lane;

    mutable std::mutex mutex;
    bool closed = false;
    std::string owner;  ///< Our id; empty until we joined.
    TimePoint lease_until{};
    bool renewing = false;
    TimePoint next_renewal{};
    Intake intake;
    std::size_t in_flight = 0;  ///< In the bus.
    std::uint64_t published = 0;
    std::uint64_t dead_lettered = 0;

    bool publishing = false;  ///< A thread is emptying what is ready.
    std::deque<Retry<Row>> publish_retries;
    std::deque<Retry<Finished>> removal_retries;
    std::size_t failures_since_log = 0;
    std::string last_failure;
    TimePoint next_failure_log{};
};

Relay::State::State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus, Random& random,
                    const Clock& relay_clock, RelayOptions relay_options, OnPublished published_hook)
    : outbox(relay_outbox),
      bus(relay_bus),
      clock(relay_clock),
      options(relay_options),
      on_published(std::move(published_hook)),
      lease(outbox, random, relay_clock, relay_options.alone),
      removal_lane(
          scheduler,
          {.max_queued = relay_options.max_in_flight, .retry_unavailable_after = relay_options.retry_pause},
          [this](db::Session& session, std::span<Finished> finished) {
              return remove_finished(session, finished);
          },
          report_removal),
      renewal_lane(
          scheduler, {.max_batch = 1, .max_queued = 1},
          [this](db::Session& session, std::span<Renewal>) {
              return std::vector<Result<RelayLease::Held>>{lease.renew(session)};
          },
          report_renewal),
      table_lane(
          scheduler, {.max_batch = 1},
          [this](db::Session& session, std::span<OwnedRead> reads) {
              std::vector<Result<TableRows>> results;
              results.emplace_back(read_table(outbox, session, reads.front()));
              return results;
          },
          report_read),
      intake(std::make_shared<RelayIntake>(options)) {}

/// Leaves in `rows` those that were stored for us, and returns the intake that announced them.
Intake Relay::State::store(db::Session& session, std::vector<OutboxRow>& rows) {
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
    const std::lock_guard lock(mutex);
    if (current == intake) current->announce(rows);
    return current;
}

void Relay::State::withdraw(const Intake& of_intake, const std::vector<OutboxRow>& rows) {
    const std::lock_guard lock(mutex);
    if (of_intake == intake) intake->withdraw(rows, clock.steady_now());
}

void Relay::State::release(const Intake& of_intake, std::vector<OutboxRow> rows) {
    std::optional<OwnedRead> read;
    {
        const std::lock_guard lock(mutex);
        if (closed || of_intake != intake) return;
        intake->release(std::move(rows));
        read = next_read();
    }
    publish_ready();
    start(std::move(read));
}

void Relay::State::step() {
    const TimePoint now = clock.steady_now();
    std::vector<Finished> removals;
    std::optional<OwnedRead> read;
    bool renewal = false;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        for (Row& row : take_due(publish_retries, now))
            intake->repeat(std::move(row));
        removals = take_due(removal_retries, now);
        renewal = !renewing && now >= next_renewal;
        if (renewal) {
            renewing = true;
            next_renewal = now + heartbeat_interval;
        }
        read = next_read();
        if (failures_since_log > 0 && now >= next_failure_log) {
            log::warning("messages could not be published and are tried again",
                         {{"count", failures_since_log}, {"reason", last_failure}});
            failures_since_log = 0;
            next_failure_log = now + failure_log_interval;
        }
    }
    for (Finished& finished : removals)
        remove(std::move(finished));
    if (renewal) start_renewal();
    publish_ready();
    start(std::move(read));
}

void Relay::State::close() {
    const std::lock_guard lock(mutex);
    closed = true;
    intake = std::make_shared<RelayIntake>(options);
    publish_retries.clear();
    removal_retries.clear();
}

void Relay::State::start_renewal() {
    renewal_lane.submit({}, [this](const Result<RelayLease::Held>& held) { renewed(held); });
}

void Relay::State::renewed(const Result<RelayLease::Held>& held) {
    std::optional<OwnedRead> read;
    {
        const std::lock_guard lock(mutex);
        renewing = false;
        if (closed || !held) return;
        lease_until = held->until;
        // Nobody asks whether we live.
        if (options.alone) next_renewal = TimePoint::max();
        if (held->id != owner) begin_anew(held->id);
        read = next_read();
    }
    publish_ready();
    start(std::move(read));
}

/// What is in memory belongs to somebody else, or to nobody; in the beginning nothing is there.
void Relay::State::begin_anew(const std::string& id) {
    owner = id;
    intake = std::make_shared<RelayIntake>(options);
    publish_retries.clear();
}

/// Only one thread at a time publishes, so that a bus that answers at once does not recurse for each message
/// of a key, and what arrives meanwhile goes out as a batch.
void Relay::State::publish_ready() {
    std::unique_lock lock(mutex);
    if (publishing) return;
    publishing = true;
    while (!closed && intake->any_ready() && may_publish()) {
        const auto rows = intake->take_ready();
        const Intake of_intake = intake;
        in_flight += rows.size();
        lock.unlock();
        publish(of_intake, rows);
        lock.lock();
    }
    publishing = false;
}

void Relay::State::publish(const Intake& of_intake, const std::vector<Row>& rows) {
    std::vector<std::pair<std::string_view, std::vector<Outgoing>>> topics;
    for (const Row& row : rows) {
        if (planted(Canary::delete_before_publish)) {
            removal_lane.submit({of_intake, row}, [](const Result<Done>&) {});
        }
        auto topic = std::ranges::find(topics, row->topic, [](const auto& entry) { return entry.first; });
        if (topic == topics.end()) {
            topics.emplace_back(row->topic, std::vector<Outgoing>());
            topic = std::prev(topics.end());
        }
        topic->second.push_back(
            {row->message, [state = shared_from_this(), of_intake, row](PublishResult result) {
                 state->answered(of_intake, row, std::move(result));
             }});
    }
    for (auto& [topic, messages] : topics) {
        try {
            bus.publish(std::string(topic), std::move(messages));
        } catch (const std::exception& failure) {
            for (const Row& row : rows) {
                if (row->topic == topic)
                    answered(of_intake, row, {PublishOutcome::failed, failure.what(), 0});
            }
        }
    }
}

void Relay::State::answered(const Intake& of_intake, const Row& row, PublishResult result) {
    const bool dead = result.outcome == PublishOutcome::dead_lettered;
    {
        const std::lock_guard lock(mutex);
        --in_flight;
        if (closed) return;
        if (result.outcome == PublishOutcome::failed) {
            if (of_intake == intake)
                publish_retries.push_back({clock.steady_now() + options.retry_pause, row});
            ++failures_since_log;
            last_failure = std::move(result.reason);
            return;
        }
        // What others have taken over is theirs; but when it is published, it need not be again.
        if (of_intake == intake) {
            intake->settle(*row);
        } else if (dead) {
            return;
        }
    }
    publish_ready();
    if (dead) {
        log::error("a message became a dead letter", {{"event_id", row->message.id},
                                                      {"type", row->message.type},
                                                      {"reason", result.reason},
                                                      {"delivery_attempts", result.delivery_attempts}});
    }
    remove({of_intake, row, dead, std::move(result.reason), result.delivery_attempts});
}

void Relay::State::remove(Finished finished) {
    removal_lane.submit(finished,
                        [this, finished](const Result<Done>& result) { removed(finished, result); });
}

std::vector<Result<Done>> Relay::State::remove_finished(db::Session& session,
                                                        std::span<Finished> finished) const {
    std::vector<std::string> ids;
    std::vector<OutboxRow> confirmed;
    std::vector<DeadLetter> dead;
    for (const Finished& one : finished) {
        ids.push_back(one.row->message.id);
        if (one.dead) {
            dead.push_back({*one.row, one.reason, one.delivery_attempts, clock.now()});
        } else {
            confirmed.push_back(*one.row);
        }
    }
    db::Transaction transaction(session);
    outbox.insert_dead_letters(session, dead);
    outbox.remove(session, ids);
    if (on_published && !confirmed.empty()) on_published(session, confirmed);
    std::vector<Result<Done>> results(finished.size(), Done{});
    transaction.commit();
    return results;
}

void Relay::State::removed(Finished finished, const Result<Done>& result) {
    std::optional<OwnedRead> read;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        if (!result) {
            removal_retries.push_back({clock.steady_now() + options.retry_pause, std::move(finished)});
            return;
        }
        ++(finished.dead ? dead_lettered : published);
        if (finished.intake == intake) intake->removed(*finished.row);
        read = next_read();
    }
    start(std::move(read));
}

/// What the caller has to read now, if anything.
std::optional<OwnedRead> Relay::State::next_read() const {
    if (closed || !may_publish()) return std::nullopt;
    const auto read = intake->next_read(clock.steady_now());
    if (!read) return std::nullopt;
    return OwnedRead{*read, owner, intake};
}

void Relay::State::start(std::optional<OwnedRead> wanted) {
    if (!wanted) return;
    table_lane.submit(*wanted,
                      [this, read = *wanted](Result<TableRows> found) { read_done(read, std::move(found)); });
}

void Relay::State::read_done(const OwnedRead& wanted, Result<TableRows> found) {
    std::optional<OwnedRead> next;
    {
        const std::lock_guard lock(mutex);
        if (closed || wanted.intake != intake) return;
        intake->read_done(wanted.read, std::move(found), clock.steady_now());
        next = next_read();
    }
    publish_ready();
    start(std::move(next));
}

Relay::Announcement::Announcement(Announcement&&) noexcept = default;

Relay::Announcement::~Announcement() {
    if (state_) state_->withdraw(intake_, rows_);
}

void Relay::Announcement::release() && noexcept {
    std::exchange(state_, nullptr)->release(intake_, std::move(rows_));
}

Relay::Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, Random& random, const Clock& clock,
             RelayOptions options, OnPublished on_published)
    : state_(
          std::make_shared<State>(scheduler, outbox, bus, random, clock, options, std::move(on_published))) {}

Relay::~Relay() {
    state_->close();
}

Relay::Announcement Relay::store(db::Session& session, std::vector<OutboxRow> rows) {
    Announcement announcement;
    announcement.intake_ = state_->store(session, rows);
    announcement.rows_ = std::move(rows);
    announcement.state_ = state_;
    return announcement;
}

void Relay::step() {
    state_->step();
}

void Relay::leave(db::Session& session) {
    state_->lease.leave(session);
}

bool Relay::idle() const {
    const std::lock_guard lock(state_->mutex);
    return state_->intake->idle();
}

std::size_t Relay::in_flight() const {
    const std::lock_guard lock(state_->mutex);
    return state_->in_flight;
}

std::uint64_t Relay::published() const {
    const std::lock_guard lock(state_->mutex);
    return state_->published;
}

std::uint64_t Relay::dead_lettered() const {
    const std::lock_guard lock(state_->mutex);
    return state_->dead_lettered;
}

}  // namespace quittance::messaging
