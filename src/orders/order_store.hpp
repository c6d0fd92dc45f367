// The statements on orders, their history and the idempotency keys.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/database.hpp"
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

/// That a user named an order by a key of their own.
struct IdempotencyKey {
    UserId user_id;
    std::string key;
    std::string fingerprint;  ///< Of the request that used the key first.
    OrderId order_id;
    Timestamp created_at;
};

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
    [[nodiscard]] std::vector<OrderView> list(db::Session& session, const OrderQuery& query) const;
    /// Oldest first; empty when the order does not exist or may not be seen.
    [[nodiscard]] std::vector<HistoryEntry> history(db::Session& session, const OrderKey& key) const;

    /// Inserts those whose user and key are not taken; returns how many were new.
    std::int64_t insert_new_keys(db::Session& session, std::span<const IdempotencyKey> keys) const;
    /// The stored entries with the same users and keys.
    [[nodiscard]] std::vector<IdempotencyKey> find_keys(db::Session& session,
                                                        std::span<const IdempotencyKey> wanted) const;
    /// Forgets old keys, the oldest first and at most `purged_at_once` of them; true when more is left. One
    /// short statement.
    bool purge_keys(db::Session& session, Timestamp created_before) const;

    /// Few enough that orders, which wait for the same writer, hardly notice.
    static constexpr std::int64_t purged_at_once = 2'000;

private:
    std::string insert_;
    std::string update_;
    std::string update_with_attempts_;
    std::string insert_history_;
    std::string find_;
    std::string find_and_lock_;
    std::string history_;
    std::string insert_keys_;
    std::string find_keys_;
    std::string purge_keys_;
};

}  // namespace quittance::orders
