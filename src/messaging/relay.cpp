#include "messaging/relay.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;
using RowPointer = std::shared_ptr<const OutboxRow>;

/// Rows that a sweep reads beyond those that the relay may hold, so that it sees something new behind them.
constexpr std::size_t sweep_headroom_rows = 1024;
/// An outage of the bus fails every message every `retry_pause`; the log says it this often.
constexpr std::chrono::seconds failure_log_interval{10};

/// A row that was announced and is not handed over yet.
struct Announced {
    std::string id;
    RowPointer released;  ///< Null until its commit succeeded.
};

/// What is in memory of one ordering key.
struct KeyState {
    std::size_t known = 0;           ///< Rows announced, buffered, waiting, in flight or to be removed.
    std::list<Announced> announced;  ///< In order.
    bool busy = false;               ///< One message is in the bus, or failed and will be tried again.
    std::list<RowPointer> waiting;   ///< Behind it, in order.
};

/// A row that the bus is done with.
struct Finished {
    RowPointer row;
    bool dead = false;
    std::string reason;
    int delivery_attempts = 0;
};

struct Sweep {};

template <class Item>
struct Retry {
    TimePoint due;
    Item item;
};

/// Messages without a key wait for no other: their own id serves as a key of one.
const std::string& key_of(const OutboxRow& row) {
    return row.message.ordering_key.empty() ? row.message.id : row.message.ordering_key;
}

template <class Item>
std::vector<Item> take_due(std::deque<Retry<Item>>& retries, TimePoint now) {
    std::vector<Item> due;
    while (!retries.empty() && retries.front().due <= now) {
        due.push_back(std::move(retries.front().item));
        retries.pop_front();
    }
    return due;
}

void report_sweep(std::string_view what, bool) {
    log::warning("the outbox could not be swept", {{"reason", what}});
}

void report_removal(std::string_view what, bool final) {
    log::warning("published rows could not be removed from the outbox", {{"reason", what}, {"final", final}});
}

}  // namespace

/// The rule that keeps the order: rows are handed over in memory only while the table holds no row that is
/// unknown here, because an unknown one may be an older one of the same key. So once rows were left to the
/// table (`spilled`), all rows are, until a sweep has read the whole table and taken over all that it found.
/// What is released while that sweep runs is buffered, and follows it; otherwise steady traffic would never
/// let a sweep find the table drained.
///
/// Of one key, rows are handed over in the order in which they were announced. That is the order of their
/// commits, because each transaction announces while it holds the lock on what the key stands for; but the
/// threads that committed may get here in another order.
struct Relay::State : std::enable_shared_from_this<Relay::State> {
    State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus, const Clock& relay_clock,
          RelayOptions relay_options, OnPublished published_hook);

    void announce(const std::vector<OutboxRow>& rows);
    void release(std::vector<OutboxRow> rows);
    void withdraw(const std::vector<OutboxRow>& rows);
    void step();
    void close();

    // On a lane.
    std::vector<Result<Done>> remove_finished(db::Session& session, std::span<Finished> finished) const;

    // Called back, without the mutex.
    void answered(const RowPointer& row, PublishResult result);
    void removed(Finished finished, const Result<Done>& result);
    void swept(Result<std::vector<OutboxRow>> rows);

    // Without the mutex.
    void publish_outgoing();
    void publish(const std::vector<RowPointer>& rows);
    void remove(Finished finished);
    void start_sweep();

    // Under the mutex.
    void remember(const OutboxRow& row);
    void forget(const OutboxRow& row);
    void take_released(std::list<Announced>& of_key, std::vector<RowPointer>& released);
    void hand_over(std::vector<RowPointer> released);
    void accept(RowPointer row);
    void leave_to_table(const OutboxRow& row);
    bool take_over(std::vector<OutboxRow> rows);
    [[nodiscard]] bool claim_sweep();
    [[nodiscard]] bool has_room(std::size_t count) const {
        return held + buffered.size() + count <= options.max_in_flight;
    }
    /// Leaves most of the room to the older rows that the sweep is about to find.
    [[nodiscard]] bool may_buffer(std::size_t count) const {
        return buffered.size() + count <= options.max_in_flight / 4;
    }
    [[nodiscard]] std::size_t sweep_limit() const { return options.max_in_flight + sweep_headroom_rows; }

    const Outbox& outbox;
    Bus& bus;
    const Clock& clock;
    const RelayOptions options;
    const OnPublished on_published;
    db::Lane<Finished, Done> removal_lane;
    db::Lane<Sweep, std::vector<OutboxRow>> sweep_lane;

    mutable std::mutex mutex;
    bool closed = false;
    std::unordered_set<std::string> known_ids;
    std::unordered_map<std::string, KeyState> keys;
    std::size_t announced = 0;
    std::size_t held = 0;       ///< Released or taken over, and not yet removed.
    std::size_t in_flight = 0;  ///< In the bus.
    std::uint64_t published = 0;
    std::uint64_t dead_lettered = 0;

    std::vector<RowPointer> outgoing;  ///< Next for the bus.
    bool publishing = false;           ///< A thread is emptying `outgoing`.
    std::deque<Retry<RowPointer>> publish_retries;
    std::deque<Retry<Finished>> removal_retries;
    std::size_t failures_since_log = 0;
    std::string last_failure;
    TimePoint next_failure_log{};

    bool spilled = true;  ///< From the start: a crash may have left rows.
    bool sweep_wanted = true;
    bool sweeping = false;
    TimePoint next_sweep{};         ///< Sweeps that nobody asked for.
    TimePoint no_sweep_before{};    ///< After a sweep that failed.
    std::uint64_t spill_count = 0;  ///< Tells a sweep whether rows were left to the table since it started.
    std::uint64_t spill_count_at_sweep = 0;
    std::unordered_set<std::string> removed_while_sweeping;  ///< The sweep may have read them before.
    std::vector<RowPointer> buffered;                        ///< Released while spilled and sweeping.
};

Relay::State::State(db::Scheduler& scheduler, const Outbox& relay_outbox, Bus& relay_bus,
                    const Clock& relay_clock, RelayOptions relay_options, OnPublished published_hook)
    : outbox(relay_outbox),
      bus(relay_bus),
      clock(relay_clock),
      options(relay_options),
      on_published(std::move(published_hook)),
      removal_lane(
          scheduler,
          {.max_queued = relay_options.max_in_flight, .retry_unavailable_after = relay_options.retry_pause},
          [this](db::Session& session, std::span<Finished> finished) {
              return remove_finished(session, finished);
          },
          report_removal),
      sweep_lane(
          scheduler, {.max_batch = 1, .max_queued = 1},
          [this](db::Session& session, std::span<Sweep>) {
              std::vector<Result<std::vector<OutboxRow>>> results;
              results.emplace_back(outbox.oldest(session, static_cast<std::int64_t>(sweep_limit())));
              return results;
          },
          report_sweep) {}

void Relay::State::announce(const std::vector<OutboxRow>& rows) {
    const std::lock_guard lock(mutex);
    for (const OutboxRow& row : rows) {
        remember(row);
        keys[key_of(row)].announced.push_back({row.message.id, nullptr});
    }
    announced += rows.size();
}

void Relay::State::withdraw(const std::vector<OutboxRow>& rows) {
    const std::lock_guard lock(mutex);
    announced -= rows.size();
    std::vector<RowPointer> released;
    for (const OutboxRow& row : rows) {
        auto& of_key = keys[key_of(row)].announced;
        std::erase_if(of_key, [&](const Announced& one) { return one.id == row.message.id; });
        take_released(of_key, released);
    }
    for (const OutboxRow& row : rows)
        leave_to_table(row);
    hand_over(std::move(released));
}

void Relay::State::release(std::vector<OutboxRow> rows) {
    bool sweep = false;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        std::vector<RowPointer> released;
        for (OutboxRow& row : rows) {
            auto& of_key = keys[key_of(row)].announced;
            const auto ours = std::ranges::find(of_key, row.message.id, &Announced::id);
            ours->released = std::make_shared<const OutboxRow>(std::move(row));
            take_released(of_key, released);
        }
        hand_over(std::move(released));
        sweep = claim_sweep();
    }
    publish_outgoing();
    if (sweep) start_sweep();
}

/// Moves those that no older one of their key stands before.
void Relay::State::take_released(std::list<Announced>& of_key, std::vector<RowPointer>& released) {
    while (!of_key.empty() && of_key.front().released) {
        released.push_back(std::move(of_key.front().released));
        of_key.pop_front();
        --announced;
    }
}

void Relay::State::hand_over(std::vector<RowPointer> released) {
    const bool has_place = spilled ? sweeping && may_buffer(released.size()) : has_room(released.size());
    for (RowPointer& row : released) {
        if (!has_place) {
            leave_to_table(*row);
        } else if (spilled) {
            buffered.push_back(std::move(row));
        } else {
            accept(std::move(row));
        }
    }
}

void Relay::State::step() {
    const TimePoint now = clock.steady_now();
    std::vector<Finished> removals;
    bool sweep = false;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        for (RowPointer& row : take_due(publish_retries, now))
            outgoing.push_back(std::move(row));
        removals = take_due(removal_retries, now);
        if (now >= next_sweep) sweep_wanted = true;
        sweep = claim_sweep();
        if (failures_since_log > 0 && now >= next_failure_log) {
            log::warning("messages could not be published and are tried again",
                         {{"count", failures_since_log}, {"reason", last_failure}});
            failures_since_log = 0;
            next_failure_log = now + failure_log_interval;
        }
    }
    for (Finished& finished : removals)
        remove(std::move(finished));
    publish_outgoing();
    if (sweep) start_sweep();
}

void Relay::State::close() {
    const std::lock_guard lock(mutex);
    closed = true;
    outgoing.clear();
    buffered.clear();
    publish_retries.clear();
    removal_retries.clear();
}

void Relay::State::remember(const OutboxRow& row) {
    known_ids.insert(row.message.id);
    ++keys[key_of(row)].known;
}

void Relay::State::forget(const OutboxRow& row) {
    known_ids.erase(row.message.id);
    const auto key = keys.find(key_of(row));
    if (--key->second.known == 0) keys.erase(key);
}

void Relay::State::accept(RowPointer row) {
    ++held;
    KeyState& key = keys[key_of(*row)];
    if (key.busy) {
        key.waiting.push_back(std::move(row));
    } else {
        key.busy = true;
        outgoing.push_back(std::move(row));
    }
}

void Relay::State::leave_to_table(const OutboxRow& row) {
    forget(row);
    spilled = true;
    sweep_wanted = true;
    ++spill_count;
}

/// Only one thread at a time publishes, so that a bus that answers at once does not recurse for each message
/// of a key, and what arrives meanwhile goes out as a batch.
void Relay::State::publish_outgoing() {
    std::unique_lock lock(mutex);
    if (publishing) return;
    publishing = true;
    while (!outgoing.empty() && !closed) {
        const auto rows = std::exchange(outgoing, {});
        in_flight += rows.size();
        lock.unlock();
        publish(rows);
        lock.lock();
    }
    publishing = false;
}

void Relay::State::publish(const std::vector<RowPointer>& rows) {
    std::vector<std::pair<std::string_view, std::vector<Outgoing>>> topics;
    for (const RowPointer& row : rows) {
        auto topic = std::ranges::find(topics, row->topic, [](const auto& entry) { return entry.first; });
        if (topic == topics.end()) {
            topics.emplace_back(row->topic, std::vector<Outgoing>());
            topic = std::prev(topics.end());
        }
        topic->second.push_back({row->message, [state = shared_from_this(), row](PublishResult result) {
                                     state->answered(row, std::move(result));
                                 }});
    }
    for (auto& [topic, messages] : topics)
        bus.publish(std::string(topic), std::move(messages));
}

void Relay::State::answered(const RowPointer& row, PublishResult result) {
    {
        const std::lock_guard lock(mutex);
        --in_flight;
        if (closed) return;
        if (result.outcome == PublishOutcome::failed) {
            publish_retries.push_back({clock.steady_now() + options.retry_pause, row});
            ++failures_since_log;
            last_failure = std::move(result.reason);
            return;
        }
        KeyState& key = keys[key_of(*row)];
        if (key.waiting.empty()) {
            key.busy = false;
        } else {
            outgoing.push_back(std::move(key.waiting.front()));
            key.waiting.pop_front();
        }
    }
    publish_outgoing();
    const bool dead = result.outcome == PublishOutcome::dead_lettered;
    if (dead) {
        log::error("a message became a dead letter", {{"event_id", row->message.id},
                                                      {"type", row->message.type},
                                                      {"reason", result.reason},
                                                      {"delivery_attempts", result.delivery_attempts}});
    }
    remove({row, dead, std::move(result.reason), result.delivery_attempts});
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
    transaction.commit();
    return std::vector<Result<Done>>(finished.size(), Done{});
}

void Relay::State::removed(Finished finished, const Result<Done>& result) {
    bool sweep = false;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        if (!result) {
            removal_retries.push_back({clock.steady_now() + options.retry_pause, std::move(finished)});
            return;
        }
        --held;
        ++(finished.dead ? dead_lettered : published);
        forget(*finished.row);
        if (sweeping) removed_while_sweeping.insert(finished.row->message.id);
        if (spilled) sweep_wanted = true;
        sweep = claim_sweep();
    }
    if (sweep) start_sweep();
}

/// True when the caller shall start a sweep. Not before half the room is free: each sweep reads the known
/// rows again, so it should find place for many new ones.
bool Relay::State::claim_sweep() {
    const TimePoint now = clock.steady_now();
    if (closed || sweeping || !sweep_wanted || now < no_sweep_before) return false;
    if (now >= next_sweep ? !has_room(1) : held > options.max_in_flight / 2) return false;
    sweep_wanted = false;
    sweeping = true;
    spill_count_at_sweep = spill_count;
    next_sweep = now + options.sweep_interval;
    return true;
}

void Relay::State::start_sweep() {
    sweep_lane.submit({}, [this](Result<std::vector<OutboxRow>> rows) { swept(std::move(rows)); });
}

void Relay::State::swept(Result<std::vector<OutboxRow>> rows) {
    bool sweep = false;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        bool drained = false;
        if (rows) {
            drained = take_over(std::move(*rows)) && spill_count == spill_count_at_sweep;
        } else {
            no_sweep_before = clock.steady_now() + options.retry_pause;
            sweep_wanted = true;
        }
        sweeping = false;
        removed_while_sweeping.clear();
        spilled = !drained;
        for (RowPointer& row : std::exchange(buffered, {})) {
            if (drained) {
                accept(std::move(row));
            } else {
                leave_to_table(*row);
            }
        }
        sweep = claim_sweep();
    }
    publish_outgoing();
    if (sweep) start_sweep();
}

/// Takes over the unknown rows of a sweep; true when the table holds no other.
bool Relay::State::take_over(std::vector<OutboxRow> rows) {
    bool all_known = rows.size() < sweep_limit();
    std::unordered_set<std::string> keys_of_sweep;
    for (OutboxRow& row : rows) {
        if (known_ids.contains(row.message.id) || removed_while_sweeping.contains(row.message.id)) continue;
        const std::string& key = key_of(row);
        // What is known of this key may be newer than this row: it waits until nothing is.
        if (!has_room(1) || (keys.contains(key) && !keys_of_sweep.contains(key))) {
            all_known = false;
            continue;
        }
        keys_of_sweep.insert(key);
        remember(row);
        accept(std::make_shared<const OutboxRow>(std::move(row)));
    }
    return all_known;
}

Relay::Announcement::Announcement(std::shared_ptr<State> state, std::vector<OutboxRow> rows)
    : state_(std::move(state)), rows_(std::move(rows)) {}

Relay::Announcement::Announcement(Announcement&&) noexcept = default;

Relay::Announcement::~Announcement() {
    if (state_) state_->withdraw(rows_);
}

void Relay::Announcement::release() && {
    std::exchange(state_, nullptr)->release(std::move(rows_));
}

Relay::Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, const Clock& clock,
             RelayOptions options, OnPublished on_published)
    : state_(std::make_shared<State>(scheduler, outbox, bus, clock, options, std::move(on_published))) {}

Relay::~Relay() {
    state_->close();
}

Relay::Announcement Relay::announce(std::vector<OutboxRow> rows) {
    state_->announce(rows);
    return Announcement(state_, std::move(rows));
}

void Relay::step() {
    state_->step();
}

bool Relay::idle() const {
    const std::lock_guard lock(state_->mutex);
    return state_->announced == 0 && state_->held == 0 && state_->buffered.empty() && !state_->sweeping;
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
