// Compares what the order service and the payment service have stored about the same orders: for
// `quittance reconcile`.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "db/database.hpp"
#include "orders/order.hpp"
#include "payments/payment.hpp"

namespace quittance::audit {

enum class OrderDifferenceKind {
    payment_without_order,  ///< One that holds money, or may come to.
    order_without_payment,  ///< The order shows money, or waits for a payment, and there is no such payment.
    order_amounts_differ,   ///< Captured or refunded, summed over all attempts.
    order_status_differs,   ///< The order's status, or its payment status, is not what the payments say.
    canceled_order_holds_money,
    captured_by_several,     ///< More than one payment of the order holds money.
    refund_without_outcome,  ///< The order reserves an amount for a refund that is not under way.
};

inline constexpr std::array all_order_difference_kinds{
    OrderDifferenceKind::payment_without_order,      OrderDifferenceKind::order_without_payment,
    OrderDifferenceKind::order_amounts_differ,       OrderDifferenceKind::order_status_differs,
    OrderDifferenceKind::canceled_order_holds_money, OrderDifferenceKind::captured_by_several,
    OrderDifferenceKind::refund_without_outcome,
};

[[nodiscard]] std::string_view to_string(OrderDifferenceKind kind);

struct OrderDifference {
    OrderDifferenceKind kind = OrderDifferenceKind::order_status_differs;
    OrderId order_id;
    std::string payment_id;  ///< Empty where it is not about one payment.
    std::string detail;      ///< For people.

    bool operator==(const OrderDifference&) const = default;
};

/// What differs between an order and its payments, ascending by attempt, when no news of one is on its way to
/// the other. Pure.
[[nodiscard]] std::vector<OrderDifference> compare(const orders::Order& order,
                                                   std::span<const payments::Payment> payments);

struct OrderAudit {
    std::int64_t compared = 0;   ///< Orders.
    std::int64_t under_way = 0;  ///< Orders that are still being paid or refunded, or changed a moment ago.
    std::vector<OrderDifference> differences;
    bool more = false;  ///< There is more to find than was listed.
};

struct OrderAuditOptions {
    /// News of a change is expected to have arrived after so long. What changed later counts as under way.
    std::chrono::milliseconds news_arrive_within{60'000};
    std::size_t max_differences = 1'000;
    /// Called after each page, from the thread that audits: how many "orders", and afterwards "payments",
    /// were read so far.
    std::function<void(std::string_view what, std::int64_t done)> report{};
};

/// Reads all orders with their payments, then looks for payments without an order. In pages, each a statement
/// of its own, so that memory is constant and no lock is held; what seems to differ is read once more before
/// it is listed. The services may go on meanwhile. `now` is compared with the times of both databases. Throws
/// the storage failures of db/database.hpp.
[[nodiscard]] OrderAudit audit_orders(db::Session& orders, db::Session& payments, Timestamp now,
                                      const OrderAuditOptions& options = {});

}  // namespace quittance::audit
