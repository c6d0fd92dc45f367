// Decides over a batch of orders and writes the outcome: the one place where orders change.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "messaging/outbox.hpp"
#include "orders/order_store.hpp"

namespace quittance::orders {

/// One change to one order. `decide` is pure and may be called again when the batch is repeated.
struct OrderChange {
    OrderId id;
    std::optional<UserId> owner;  ///< When set, an order of somebody else is not there.
    std::function<Result<Transition>(const Order&)> decide;
    std::string traceparent;  ///< For the events that follow.
};

/// Thread safe.
class OrderWriter {
public:
    OrderWriter(const OrderStore& store, IdGenerator& ids, const Clock& clock);

    /// Reads and locks the orders, lets each change decide (several on one order follow one another), and
    /// writes orders and history. Inside the caller's transaction. The results stand in the order of the
    /// changes: the order afterwards, `not_found`, or what `decide` refused with. Appends to `published` the
    /// events that the relay must store in the same transaction.
    [[nodiscard]] std::vector<Result<Order>> change(db::Session& session,
                                                    std::span<const OrderChange> changes,
                                                    std::vector<messaging::OutboxRow>& published) const;

    /// Stores new orders with their history and events, in the same way.
    void insert(db::Session& session, std::span<const Transition> placed,
                std::span<const std::string> traceparents,
                std::vector<messaging::OutboxRow>& published) const;

    /// The row that tells the payment service of an event of this order.
    [[nodiscard]] messaging::OutboxRow row_of(const OrderId& id, const contracts::PaymentEvent& event,
                                              const std::string& traceparent) const;

private:
    void add_events(const Transition& transition, const std::string& traceparent,
                    std::vector<messaging::OutboxRow>& rows) const;

    const OrderStore& store_;
    IdGenerator& ids_;
    const Clock& clock_;
};

}  // namespace quittance::orders
