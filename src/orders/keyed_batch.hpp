// Changes of orders that a client may repeat under an idempotency key, on their way through one transaction.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "messaging/outbox.hpp"
#include "orders/order_store.hpp"
#include "orders/order_writer.hpp"

namespace quittance::orders {

/// One request: a refund, or another payment.
struct KeyedChange {
    IdempotencyKey key;  ///< Its text is empty where the client gave none; the order stands there always.
    OrderChange change;
};

/// What such a request is answered with.
struct ChangedOrder {
    OrderView order;        ///< As it is now.
    bool replayed = false;  ///< An earlier request with the same key asked for it.
};

/// Decides which requests are new and which repeat another, and carries out the new ones. Inside the caller's
/// transaction; the results stand in the order of the requests. `invalid` for a key that named another
/// request, else what the change was refused with: the key of a request that was refused stays free. Appends
/// to `published` the events that the relay must store in the same transaction. Throws StorageConflict when
/// another transaction has just used one of the keys for another order.
[[nodiscard]] std::vector<Result<ChangedOrder>> change_under_keys(
    db::Session& session, const OrderStore& store, const OrderWriter& writer,
    const std::vector<KeyedChange>& requests, std::vector<messaging::OutboxRow>& published);

}  // namespace quittance::orders
