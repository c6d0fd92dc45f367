// The transactional outbox: events are stored in the transaction that causes them, and published after.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
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

/// A claim and the look before it examine at most so many unowned rows, the oldest. Those behind have their
/// turn when these are claimed: a row that cannot be claimed yet waits for its key's owner.
inline constexpr std::int64_t max_claims_examined = 2'000;
/// Rows that `Outbox::backlog` counts at most: a count of all would take longer with each row.
inline constexpr std::int64_t max_backlog_counted = 10'000;

/// The statements on the tables `outbox` and `dead_letters` of one service. Works inside the caller's
/// transaction and throws what the session throws. Thread safe: holds nothing but texts.
///
/// A row belongs to the instance that has it in memory to publish it, or to nobody. Of one ordering key, the
/// rows in the table always belong to one instance, and behind them to nobody: so an instance that publishes
/// its own rows in their order keeps the order of the key.
class Outbox {
public:
    explicit Outbox(const db::Dialect& dialect);

    /// Stores rows of nobody.
    void insert(db::Session& session, std::span<const OutboxRow> rows) const;
    /// Stores rows of `owner`, but leaves to nobody those of keys of which somebody else has a row; returns
    /// the ids of these. Call it while what the keys stand for is locked.
    [[nodiscard]] std::unordered_set<std::string> insert_for(db::Session& session, const std::string& owner,
                                                             std::span<const OutboxRow> rows) const;
    /// Removes what was published.
    void remove(db::Session& session, std::span<const std::string> event_ids) const;
    /// The oldest rows of `owner`, in the order in which they were inserted.
    [[nodiscard]] std::vector<OutboxRow> oldest_of(db::Session& session, const std::string& owner,
                                                   std::int64_t limit) const;

    /// Whether nobody has a row that `claim` would find.
    [[nodiscard]] bool any_claimable(db::Session& session) const;
    /// Gives `owner` the oldest rows of nobody, except those of keys of which somebody has a row, and returns
    /// them in their order. None while somebody else claims: it may be one that stands still while it does.
    [[nodiscard]] std::vector<OutboxRow> claim(db::Session& session, const std::string& owner,
                                               std::int64_t limit) const;
    /// Makes the 2 000 oldest rows of `owner`, an instance that has ended, unowned, except rows that another
    /// transaction has locked. Returns how many: 0 when no unlocked row is left. A key is not claimed while
    /// some of its rows still have an owner. Call it in a transaction; it takes a few milliseconds.
    [[nodiscard]] std::int64_t leave_to_nobody(db::Session& session, const std::string& owner) const;

    /// The first owner in alphabetical order behind `after`; none when there is no other. One look into the
    /// index. Rows of nobody have the owner "".
    [[nodiscard]] std::optional<std::string> next_owner(db::Session& session, const std::string& after) const;

    struct Backlog {
        std::int64_t rows = 0;  ///< At most `max_backlog_counted`, which then means as many or more.
        Timestamp oldest;       ///< Of the rows counted; meaningful when rows > 0.
    };
    [[nodiscard]] Backlog backlog(db::Session& session) const;

    /// A letter whose event is a dead letter already is left as it is.
    void insert_dead_letters(db::Session& session, std::span<const DeadLetter> letters) const;
    /// Oldest first.
    [[nodiscard]] std::vector<DeadLetter> dead_letters(db::Session& session, std::int64_t limit) const;
    [[nodiscard]] std::optional<DeadLetter> dead_letter(db::Session& session,
                                                        const std::string& event_id) const;
    /// Back into the outbox, in the caller's transaction; false when there is no such dead letter. A relay
    /// claims and publishes it.
    bool replay(db::Session& session, const std::string& event_id) const;

private:
    std::string insert_;
    std::string insert_where_free_;
    std::string insert_missing_;
    std::string select_unowned_;
    std::string select_oldest_of_;
    std::string select_oldest_ids_of_;
    std::string select_any_claimable_;
    std::string select_claimable_;
    std::string remove_;
    std::string lock_claims_;
    std::string assign_;
    std::string lock_unlocked_;
    std::string insert_dead_;
};

}  // namespace quittance::messaging
