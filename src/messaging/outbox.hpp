// The transactional outbox: events are stored in the transaction that causes them, and published after.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "messaging/bus.hpp"

namespace quittance::messaging {

struct OutboxRow {
    std::string topic;
    Message message;
};

/// A message that no consumer could handle, kept until somebody looks.
struct DeadLetter {
    OutboxRow row;
    std::string reason;
    int delivery_attempts = 0;
    Timestamp dead_at;
};

/// The statements on the tables `outbox` and `dead_letters` of one service. Works inside the caller's
/// transaction and throws what the session throws. Thread safe: holds nothing but texts.
class Outbox {
public:
    explicit Outbox(const db::Dialect& dialect);

    void insert(db::Session& session, std::span<const OutboxRow> rows) const;
    /// Removes what was published.
    void remove(db::Session& session, std::span<const std::string> event_ids) const;
    /// The oldest rows, in the order in which they were inserted.
    [[nodiscard]] std::vector<OutboxRow> oldest(db::Session& session, std::int64_t limit) const;

    struct Backlog {
        std::int64_t rows = 0;
        Timestamp oldest;  ///< Meaningful when rows > 0.
    };
    [[nodiscard]] Backlog backlog(db::Session& session) const;

    /// A letter whose event is a dead letter already is left as it is.
    void insert_dead_letters(db::Session& session, std::span<const DeadLetter> letters) const;
    /// Oldest first.
    [[nodiscard]] std::vector<DeadLetter> dead_letters(db::Session& session, std::int64_t limit) const;
    /// Back into the outbox, in the caller's transaction; false when there is no such dead letter. The next
    /// sweep of the relay publishes it.
    bool replay(db::Session& session, const std::string& event_id) const;

private:
    std::string insert_;
    std::string remove_;
    std::string insert_dead_;
};

}  // namespace quittance::messaging
