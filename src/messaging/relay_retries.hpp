// When a message that the bus did not take is given to it again.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/backoff.hpp"
#include "core/random.hpp"
#include "messaging/relay_queue.hpp"

namespace quittance::messaging {

/// A message that failed waits for a pause that grows with its failures. When several messages of one topic
/// fail without one that succeeds between them, the fault is the topic's (it is not there, the right to
/// publish is missing, the broker cannot be reached): the whole topic then waits for a pause that grows, and
/// after it one message tries whether it works again, however many wait. One that succeeds lets all others
/// go. Of a key at most one message is here, so messages keep the order of their key. Not thread safe.
class RelayRetries {
public:
    using Row = RelayQueue::Row;
    using TimePoint = Backoff::TimePoint;

    /// `random` must outlive it.
    RelayRetries(BackoffLimits limits, Random& random) : limits_(limits), random_(random) {}

    /// What goes to the bus now: of the rows that are ready those whose topic does not wait, and rows that
    /// have waited long enough. Keeps the others.
    [[nodiscard]] std::vector<Row> take(std::vector<Row> ready, TimePoint now);
    /// Whether `take` would return rows that have waited.
    [[nodiscard]] bool any_due(TimePoint now) const;

    void failed(Row row, TimePoint now);
    /// Also of rows that are not known here: the topic works.
    void succeeded(const OutboxRow& row);
    void clear();

    /// Rows kept here.
    [[nodiscard]] std::size_t waiting() const { return waiting_; }

private:
    struct Topic {
        explicit Topic(BackoffLimits limits) : pauses(limits) {}
        Backoff pauses;
        std::unordered_set<std::string> failed;  ///< Messages, since the last that succeeded.
        bool trying = false;                     ///< One message tries whether the topic works again.
        std::multimap<TimePoint, Row> waiting;   ///< By the time when they are due.

        [[nodiscard]] bool at_fault() const { return pauses.failures() > 0; }
        [[nodiscard]] bool any_due(TimePoint now) const;
    };
    [[nodiscard]] std::vector<Row> take_due(TimePoint now);

    const BackoffLimits limits_;
    Random& random_;
    std::unordered_map<std::string, Topic> topics_;  ///< On which something failed.
    std::unordered_map<std::string, int> failures_;  ///< Of each message that failed, in a row.
    std::size_t waiting_ = 0;
};

}  // namespace quittance::messaging
