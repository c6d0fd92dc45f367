// What a relay takes into memory, what it leaves to the table, and when it reads the table.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/error.hpp"
#include "messaging/relay_options.hpp"
#include "messaging/relay_queue.hpp"

namespace quittance::messaging {

/// One visit to the table, of which there is one at a time.
struct TableRead {
    enum class Kind {
        look,   ///< Whether nobody has rows that could be claimed.
        claim,  ///< Takes them.
        sweep,  ///< Reads all rows of our own.
    };
    Kind kind = Kind::look;
    std::int64_t limit = 0;
};

struct TableRows {
    bool claimable = false;  ///< There is something to claim.
    std::vector<OutboxRow> rows;
};

/// The rule that keeps the order: rows are handed over in memory only while the table holds no row of our own
/// that is unknown here, because an unknown one may be an older one of the same key. So once rows were left
/// to the table (`spilled_`), all rows are, until a sweep has read the whole table and taken over all that it
/// found. What is released while that sweep runs is buffered, and follows it; otherwise steady traffic would
/// never let a sweep find the table drained. What is released while rows are being claimed may follow on
/// them, and is buffered too. What was withdrawn may be committed after a sweep has read the table: for a
/// while, rows of its key are left to the table, where the next sweep finds both in their order. Not thread
/// safe.
class RelayIntake {
public:
    using Row = RelayQueue::Row;
    using TimePoint = std::chrono::steady_clock::time_point;

    explicit RelayIntake(const RelayOptions& options) : options_(options), reads_(options.read_retry) {}

    /// Rows that a transaction is about to commit; they are committed; nobody knows whether they are.
    void announce(std::span<const OutboxRow> rows) { queue_.announce(rows); }
    void release(std::vector<OutboxRow> rows) { hand_over(queue_.release(std::move(rows))); }
    void withdraw(std::span<const OutboxRow> rows, TimePoint now);

    /// The rows for the bus, and what became of them; as in RelayQueue.
    [[nodiscard]] std::vector<Row> take_ready() { return queue_.take_ready(); }
    [[nodiscard]] bool any_ready() const { return queue_.any_ready(); }
    void settle(const OutboxRow& row) { queue_.settle(row); }
    void removed(const OutboxRow& row);

    /// What to read now, if anything; then `read_done` is called with what was found.
    [[nodiscard]] std::optional<TableRead> next_read(TimePoint now);
    void read_done(const TableRead& read, Result<TableRows> found, TimePoint now);
    /// Rows were freed: looks for them at once.
    void look_now() { next_look_ = {}; }

    /// Nothing announced or held, and nothing on its way from the table.
    [[nodiscard]] bool idle() const;

private:
    void hand_over(std::vector<Row> released);
    void leave_to_table();
    [[nodiscard]] bool any_doubtful(const std::vector<Row>& rows) const;
    void take_over(const TableRead& read, Result<TableRows> found);
    [[nodiscard]] bool take_over_unknown(std::vector<OutboxRow> rows);
    [[nodiscard]] bool sweep_is_due(TimePoint now) const;
    [[nodiscard]] bool is_reading(TableRead::Kind kind) const { return reading_ == kind; }
    [[nodiscard]] std::size_t room() const;
    /// Leaves most of the room to the older rows that are about to be found.
    [[nodiscard]] bool may_buffer(std::size_t count) const {
        return buffered_.size() + count <= options_.max_in_flight / 4;
    }
    [[nodiscard]] std::size_t sweep_limit() const;

    const RelayOptions options_;
    RelayQueue queue_;
    std::optional<TableRead::Kind> reading_;
    bool claimable_ = false;
    TimePoint next_look_{};
    bool spilled_ = false;
    bool sweep_wanted_ = false;
    TimePoint next_sweep_{};         ///< Sweeps that nobody asked for.
    Backoff reads_;                  ///< Of the table that failed.
    std::uint64_t spill_count_ = 0;  ///< Tells a sweep whether rows were left to the table since it started.
    std::uint64_t spill_count_at_sweep_ = 0;
    std::unordered_set<std::string> removed_while_sweeping_;  ///< The sweep may have read them before.
    std::vector<Row> buffered_;                               ///< Released while something is read.
    /// Keys of rows that may still be committed, and until when.
    std::unordered_map<std::string, TimePoint> doubtful_;
};

}  // namespace quittance::messaging
