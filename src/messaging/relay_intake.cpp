#include "messaging/relay_intake.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace quittance::messaging {

namespace {

/// Rows that a sweep reads beyond those that the relay may hold, so that it sees something new behind them.
constexpr std::size_t sweep_headroom_rows = 1024;

/// Nobody waits for a commit any more, but a server that is slow may still be at it.
constexpr std::chrono::minutes longest_commit{1};

}  // namespace

void RelayIntake::withdraw(std::span<const OutboxRow> rows, TimePoint now) {
    if (rows.empty()) return;
    for (const OutboxRow& row : rows)
        doubtful_[queue_key(row)] = now + longest_commit;
    auto released = queue_.withdraw(rows);
    leave_to_table();
    hand_over(std::move(released));
}

void RelayIntake::hand_over(std::vector<Row> released) {
    if (released.empty()) return;
    const bool behind_a_claim = !spilled_ && is_reading(TableRead::Kind::claim);
    const bool behind_a_sweep = spilled_ && is_reading(TableRead::Kind::sweep);
    const bool doubtful = any_doubtful(released);
    if (!doubtful && (behind_a_claim || behind_a_sweep)) {
        if (may_buffer(released.size())) {
            std::ranges::move(released, std::back_inserter(buffered_));
            return;
        }
    } else if (!doubtful && !spilled_ && released.size() <= room()) {
        for (Row& row : released)
            queue_.hand_over(std::move(row));
        return;
    }
    for (const Row& row : released)
        queue_.forget(*row);
    leave_to_table();
}

bool RelayIntake::any_doubtful(const std::vector<Row>& rows) const {
    return !doubtful_.empty() &&
           std::ranges::any_of(rows, [this](const Row& row) { return doubtful_.contains(queue_key(*row)); });
}

void RelayIntake::leave_to_table() {
    spilled_ = true;
    sweep_wanted_ = true;
    ++spill_count_;
}

void RelayIntake::removed(const OutboxRow& row) {
    queue_.removed(row);
    if (is_reading(TableRead::Kind::sweep)) removed_while_sweeping_.insert(row.message.id);
    if (spilled_) sweep_wanted_ = true;
}

std::size_t RelayIntake::room() const {
    const std::size_t taken = queue_.held() + buffered_.size();
    return taken < options_.max_in_flight ? options_.max_in_flight - taken : 0;
}

std::size_t RelayIntake::sweep_limit() const {
    return options_.max_in_flight + sweep_headroom_rows;
}

/// A sweep not before half the room is free: each reads the known rows again, so it should find place for
/// many new ones.
bool RelayIntake::sweep_is_due(TimePoint now) const {
    if (now >= next_sweep_) return room() > 0;
    return sweep_wanted_ && queue_.held() <= options_.max_in_flight / 2;
}

std::optional<TableRead> RelayIntake::next_read(TimePoint now) {
    if (reading_ || !reads_.due(now)) return std::nullopt;
    TableRead read{TableRead::Kind::look, static_cast<std::int64_t>(room())};
    if (claimable_ && room() > 0) {
        read.kind = TableRead::Kind::claim;
    } else if (now >= next_look_) {
        std::erase_if(doubtful_, [now](const auto& entry) { return entry.second <= now; });
    } else if (sweep_is_due(now)) {
        read = {TableRead::Kind::sweep, static_cast<std::int64_t>(sweep_limit())};
        sweep_wanted_ = false;
        spill_count_at_sweep_ = spill_count_;
        removed_while_sweeping_.clear();
        next_sweep_ = now + options_.sweep_interval;
    } else {
        return std::nullopt;
    }
    reading_ = read.kind;
    return read;
}

void RelayIntake::read_done(const TableRead& read, Result<TableRows> found, TimePoint now) {
    reading_.reset();
    if (found) {
        reads_.succeeded();
    } else {
        reads_.failed(now);
    }
    // From its end: looks that take long must leave sweeps their turn.
    if (read.kind == TableRead::Kind::look) next_look_ = now + options_.look_interval;
    take_over(read, std::move(found));
    for (Row& row : std::exchange(buffered_, {})) {
        if (!spilled_) {
            queue_.hand_over(std::move(row));
        } else {
            queue_.forget(*row);
            leave_to_table();
        }
    }
}

void RelayIntake::take_over(const TableRead& read, Result<TableRows> found) {
    if (read.kind == TableRead::Kind::sweep) {
        if (found) {
            const bool drained = take_over_unknown(std::move(found->rows));
            spilled_ = !drained || spill_count_ != spill_count_at_sweep_;
        } else {
            sweep_wanted_ = true;
        }
        return;
    }
    claimable_ = found && found->claimable;
    if (found) {
        for (OutboxRow& row : found->rows)
            queue_.add(std::move(row));
    } else if (read.kind == TableRead::Kind::claim) {
        // Whether it was committed is not known: a sweep finds out.
        leave_to_table();
    }
}

/// Takes over the rows of a sweep that are not known; true when the table holds no other.
bool RelayIntake::take_over_unknown(std::vector<OutboxRow> rows) {
    bool all_known = rows.size() < sweep_limit();
    std::unordered_set<std::string> keys_of_sweep;
    for (OutboxRow& row : rows) {
        if (queue_.knows(row.message.id) || removed_while_sweeping_.contains(row.message.id)) continue;
        const std::string& key = queue_key(row);
        // What is known of this key may be newer than this row: it waits until nothing is.
        if (room() == 0 || (queue_.knows_key_of(row) && !keys_of_sweep.contains(key))) {
            all_known = false;
            continue;
        }
        keys_of_sweep.insert(key);
        queue_.add(std::move(row));
    }
    return all_known;
}

bool RelayIntake::idle() const {
    const bool taking = claimable_ || (reading_ && !is_reading(TableRead::Kind::look));
    return queue_.announced() == 0 && queue_.held() == 0 && buffered_.empty() && !taking;
}

}  // namespace quittance::messaging
