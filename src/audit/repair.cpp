#include "audit/repair.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "contracts/events.hpp"
#include "messaging/outbox.hpp"
#include "orders/order_store.hpp"
#include "orders/order_writer.hpp"
#include "payments/payment_store.hpp"

namespace quittance::audit {

namespace {

std::vector<payments::Payment> payments_of(db::Session& session, OrderId id) {
    const std::vector wanted{payments::Visible<OrderId>{id, std::nullopt}};
    return payments::PaymentStore(session.dialect()).list(session, wanted);
}

std::optional<orders::Order> find_order(db::Session& session, OrderId id) {
    db::Transaction transaction(session);
    auto found = orders::OrderStore(session.dialect()).find_and_lock(session, std::vector{id});
    transaction.commit();
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

/// A greater version than the order has heard of, or the order would take what the payment tells for old
/// news.
int next_version(const orders::Order& order, int attempt) {
    std::int64_t heard = order.payment_sequence;
    if (const auto* known = orders::find_attempt(order.attempts, attempt)) heard = known->sequence;
    return static_cast<int>(heard % contracts::sequences_per_attempt) + 1;
}

}  // namespace

Result<std::int64_t> release_payments(db::Session& orders, db::Session& payments, OrderId id,
                                      IdGenerator& ids, const Clock& clock) {
    if (find_order(orders, id)) {
        return Error{ErrorCode::conflict, "The order is stored: cancel it, and its money goes back.", {}, 0};
    }
    const auto all = payments_of(payments, id);
    if (all.empty()) return Error{ErrorCode::not_found, "There are no payments of this order.", {}, 0};
    const payments::Payment& newest = *std::ranges::max_element(all, {}, &payments::Payment::attempt);
    const orders::OrderStore store(orders.dialect());
    const orders::OrderWriter writer(store, ids, clock);
    const contracts::OrderCanceled event{id, newest.user_id, newest.amount, newest.attempt};
    db::Transaction transaction(orders);
    messaging::Outbox(orders.dialect()).insert(orders, std::vector{writer.row_of(id, event, {})});
    transaction.commit();
    return std::ssize(all);
}

Result<Done> restore_payment(db::Session& orders, db::Session& payments, const LostPayment& lost,
                             std::string_view provider, const Clock& clock) {
    const auto order = find_order(orders, lost.order_id);
    if (!order) return Error{ErrorCode::not_found, "There is no such order.", {}, 0};
    if (lost.attempt < 1 || lost.attempt > order->payment_attempt) {
        return Error{
            ErrorCode::not_found,
            "The order has attempts to pay it from 1 to " + std::to_string(order->payment_attempt) + ".",
            {},
            0};
    }
    const contracts::PaymentRequested event{order->id, order->user_id, order->total, order->payment_method,
                                            lost.attempt};
    payments::Payment payment = payments::begin_payment(lost.id, event, provider,
                                                        payments::CaptureMode::automatic, order->created_at);
    const Timestamp now = clock.now();
    payment.closed_at = now;
    payment.next_look_up_at = now;
    payment.updated_at = now;
    payment.version = next_version(*order, lost.attempt);
    payments::ensure_invariants(payment);
    db::Transaction transaction(payments);
    const payments::PaymentStore store(payments.dialect());
    if (store.insert_new(payments, std::vector{payment}) == 0) {
        return Error{ErrorCode::conflict,
                     "The payment, or another one of the same attempt, is stored already.",
                     {},
                     0};
    }
    transaction.commit();
    return Done{};
}

}  // namespace quittance::audit
