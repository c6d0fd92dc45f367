// The rows of the outbox that a relay has in memory: of each ordering key one at a time, in order.
#pragma once

#include <list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "messaging/outbox.hpp"

namespace quittance::messaging {

/// Of one key, rows are handed over in the order in which they were announced. That is the order of their
/// commits, because each transaction announces while it holds the lock on what the key stands for; but the
/// threads that committed may get here in another order. Messages without a key wait for no other. Not thread
/// safe.
class RelayQueue {
public:
    using Row = std::shared_ptr<const OutboxRow>;

    /// Rows that a transaction is about to commit.
    void announce(std::span<const OutboxRow> rows);
    /// They are committed. The rows that may be handed over now, these or others, in their order.
    [[nodiscard]] std::vector<Row> release(std::vector<OutboxRow> rows);
    /// Nobody knows whether they are committed: forgets them. The rows that waited behind them only.
    [[nodiscard]] std::vector<Row> withdraw(std::span<const OutboxRow> rows);

    /// Queues a row that was released, behind the others of its key.
    void hand_over(Row row);
    /// Queues a row that was found in the table.
    void add(OutboxRow row);
    /// Forgets a row that was released.
    void forget(const OutboxRow& row);

    /// The rows for the bus.
    [[nodiscard]] std::vector<Row> take_ready();
    [[nodiscard]] bool any_ready() const { return !ready_.empty(); }
    /// The bus is done with it: the next of its key may go.
    void settle(const OutboxRow& row);
    /// It is not in the table any more.
    void removed(const OutboxRow& row);

    [[nodiscard]] bool knows(const std::string& event_id) const { return known_ids_.contains(event_id); }
    [[nodiscard]] bool knows_key_of(const OutboxRow& row) const;
    [[nodiscard]] std::size_t announced() const { return announced_; }
    /// Handed over or added, and not yet removed.
    [[nodiscard]] std::size_t held() const { return held_; }

private:
    /// A row that was announced and is not handed over yet.
    struct Announced {
        std::string id;
        Row released;  ///< Null until its commit succeeded.
    };
    struct Key {
        std::size_t known = 0;           ///< Rows announced, buffered, waiting, in the bus or to be removed.
        std::list<Announced> announced;  ///< In order.
        bool busy = false;               ///< One message is ready or in the bus, or failed.
        std::list<Row> waiting;          ///< Behind it, in order.
    };

    void remember(const OutboxRow& row);
    void take_released(std::list<Announced>& of_key, std::vector<Row>& released);

    std::unordered_set<std::string> known_ids_;
    std::unordered_map<std::string, Key> keys_;
    std::vector<Row> ready_;
    std::size_t announced_ = 0;
    std::size_t held_ = 0;
};

/// The key of a row in maps; one of its own for a message without a key.
[[nodiscard]] const std::string& queue_key(const OutboxRow& row);

}  // namespace quittance::messaging
