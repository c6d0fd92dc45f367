// The inbox: which events were handled already, recorded in the transaction of their effect.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "db/database.hpp"

namespace quittance::messaging {

/// The statements on the table `inbox` of one service. Works inside the caller's transaction and throws what
/// the session throws. Thread safe.
class Inbox {
public:
    Inbox(const db::Dialect& dialect, Random& random);

    /// Records the events; tells of each whether this is its first time. An id that stands twice in
    /// `event_ids` is new once.
    [[nodiscard]] std::vector<bool> record(db::Session& session, std::span<const std::string> event_ids,
                                           Timestamp now) const;
    /// Forgets what the broker can no longer redeliver, the oldest first and at most `purged_at_once` of it;
    /// true when more is left. One short statement.
    bool purge(db::Session& session, Timestamp received_before) const;

    static constexpr std::int64_t purged_at_once = 2'000;

private:
    std::string insert_;
    std::string select_claimed_;
    std::string purge_;
    Random& random_;
};

}  // namespace quittance::messaging
