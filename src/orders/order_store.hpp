// The statements on orders, their history and the idempotency keys.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "db/idempotency_keys.hpp"
#include "orders/order.hpp"

namespace quittance::orders {

/// Which order, and for whose eyes: without an owner, for anyone's.
struct OrderKey {
    OrderId id;
    std::optional<UserId> owner;
};

/// A page of orders, newest first.
struct OrderQuery {
    std::optional<UserId> owner;
    std::optional<OrderStatus> status;
    std::optional<OrderId> before;  ///< Only orders older than this one.
    std::int64_t limit = 20;
};

using db::IdempotencyKey;

/// Works inside the caller's transaction where there is one. Thread safe: holds nothing but texts.
class OrderStore {
public:
    explicit OrderStore(const db::Dialect& dialect);

    /// New ones, of a single attempt.
    void insert(db::Session& session, std::span<const Order> orders) const;
    void update(db::Session& session, std::span<const Order> orders) const;
    void insert_history(db::Session& session, std::span<const HistoryEntry> entries) const;

    /// Those that exist, whoever owns them, once for each time that an id is named; in no particular order.
    [[nodiscard]] std::vector<OrderView> find(db::Session& session, std::span<const OrderId> ids) const;
    /// The same, to decide about: locked against other writers until the transaction ends.
    [[nodiscard]] std::vector<Order> find_and_lock(db::Session& session, std::span<const OrderId> ids) const;
    /// All orders in pages, in the order of their ids; those behind `after`. Takes no locks.
    [[nodiscard]] std::vector<Order> page(db::Session& session, const OrderId& after,
                                          std::int64_t limit) const;
    [[nodiscard]] std::vector<OrderView> list(db::Session& session, const OrderQuery& query) const;
    /// Oldest first; empty when the order does not exist or may not be seen.
    [[nodiscard]] std::vector<HistoryEntry> history(db::Session& session, const OrderKey& key) const;

    /// The keys of requests about orders.
    [[nodiscard]] const db::IdempotencyKeyStore& keys() const { return keys_; }

private:
    std::string insert_;
    std::string update_;
    std::string update_with_attempts_;
    std::string insert_history_;
    std::string find_;
    std::string find_and_lock_;
    std::string history_;
    db::IdempotencyKeyStore keys_;
};

}  // namespace quittance::orders
