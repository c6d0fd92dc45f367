// An order and everything that may happen to it. Pure: decides, and does no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/money.hpp"
#include "core/principal.hpp"
#include "orders/payment_attempts.hpp"

namespace quittance::orders {

inline constexpr std::size_t max_items_per_order = 100;
/// Enough for any shop, and far below what could overflow a sum of 100 such lines of cheap goods.
inline constexpr std::int64_t max_quantity = 1'000'000;
inline constexpr std::size_t max_product_id_characters = 100;
inline constexpr std::size_t max_product_name_characters = 200;
inline constexpr std::size_t max_payment_method_characters = 100;
inline constexpr std::size_t max_refund_reason_characters = 500;
/// An order's row holds them; nobody waits for more at once.
inline constexpr std::size_t max_open_refunds = 200;

enum class OrderStatus { pending, processing, paid, payment_failed, canceled, shipped, delivered, refunded };

[[nodiscard]] std::string_view to_string(OrderStatus status);
[[nodiscard]] std::optional<OrderStatus> parse_order_status(std::string_view text);

/// Whether `to` may follow `from` at all; the functions below add who may do it and what else it takes.
[[nodiscard]] bool is_legal(OrderStatus from, OrderStatus to);

/// Who brought a change about.
enum class Actor { customer, admin, service, payment_service, system };

[[nodiscard]] std::string_view to_string(Actor actor);
[[nodiscard]] Actor actor_of(Role role);

/// What is for sale. `id` is the shop's own SKU.
struct Product {
    std::string id;
    std::string name;
    Money unit_price;
    bool active = true;

    bool operator==(const Product&) const = default;
};

using Products = std::map<std::string, Product, std::less<>>;

/// A refund that the payment service has not settled yet; its amount is not there for another.
struct OpenRefund {
    RefundId id;
    std::int64_t amount_minor = 0;
    int attempt = 1;  ///< Whose money goes back.

    bool operator==(const OpenRefund&) const = default;
};

/// An order as clients see it. Payment status, amounts and failure are those of the attempt that it shows:
/// see `attempt_to_show`.
struct OrderView {
    OrderId id;
    UserId user_id;
    OrderStatus status = OrderStatus::pending;
    contracts::PaymentStatus payment_status = contracts::PaymentStatus::pending;
    Money total;
    std::int64_t captured_minor = 0;  ///< 0 <= refunded <= captured <= total, always.
    std::int64_t refunded_minor = 0;
    /// Its lines as a JSON array, as they are stored and shown: `productId`, `quantity`, and the `name` and
    /// `unitPrice` of the moment in which it was placed. Nothing that happens later depends on them.
    std::string items_json;
    std::string payment_method;
    std::optional<contracts::Failure> failure;
    int version = 1;  ///< One more with every change; the ETag.
    Timestamp created_at;
    Timestamp updated_at;

    bool operator==(const OrderView&) const = default;
};

/// With what only decisions about it need.
struct Order : OrderView {
    std::int64_t refund_reserved_minor = 0;  ///< The sum of the open refunds of the attempt that is shown.
    std::vector<OpenRefund> open_refunds;    ///< Of all attempts.
    int payment_attempt = 1;                 ///< The newest.
    int shown_attempt = 1;                   ///< See `attempt_to_show`.
    std::int64_t payment_sequence = 0;       ///< The greatest of all payment updates that were applied.
    /// Empty for an order with a single attempt, whose state is in the members above.
    PaymentAttempts attempts;

    bool operator==(const Order&) const = default;
};

/// For what is answered: the same order, without the rest.
[[nodiscard]] inline const OrderView& view_of(const Order& order) {
    return order;
}

/// One line of an order's history: what the order was from this version on.
struct HistoryEntry {
    OrderId order_id;
    int version = 1;
    OrderStatus status = OrderStatus::pending;
    contracts::PaymentStatus payment_status = contracts::PaymentStatus::pending;
    Actor actor = Actor::customer;
    std::string reason;
    Timestamp created_at;

    bool operator==(const HistoryEntry&) const = default;
};

/// What a decision changes: the order afterwards, a line of history for each new version, and the events to
/// tell. Without history nothing changed.
struct Transition {
    Order after;
    std::vector<HistoryEntry> history;
    std::vector<contracts::PaymentEvent> events;
};

struct RequestedItem {
    std::string product_id;
    std::int64_t quantity = 1;
    std::optional<Money> unit_price;  ///< Only from those who may set prices; otherwise the catalogue's.
};

/// What a customer asks for, checked for shape but not yet against the catalogue.
struct OrderRequest {
    UserId user_id;
    Actor actor = Actor::customer;
    std::vector<RequestedItem> items;
    std::string payment_method;
};

/// Prices the request and makes the first version of the order, PENDING. `invalid` with a pointer for each
/// item whose product is unknown, inactive, in another currency than the first, or brings the total over
/// max_amount_minor.
[[nodiscard]] Result<Transition> place_order(const OrderRequest& request, const Products& products,
                                             OrderId id, Timestamp now);

/// The order as it was right after `place_order`, for answering a repeated request in the same words.
[[nodiscard]] OrderView first_version(const OrderView& order, std::string first_payment_method);

/// What asks the payment service to charge the newest attempt.
[[nodiscard]] contracts::PaymentRequested payment_request(const Order& order);

/// Sets the status by hand. `forbidden`: customers may only cancel. `conflict` names both states when the
/// step is not legal, and says what is missing when money would have to move first: only money makes an order
/// PAID, SHIPPED needs some of it, REFUNDED needs all of it back, and PAYMENT_FAILED that none may still
/// come.
[[nodiscard]] Result<Transition> set_status(const Order& order, OrderStatus target, Actor actor,
                                            Timestamp now);

/// A new payment attempt after PAYMENT_FAILED. `conflict` in any other state, or while the money of the
/// attempt before may still arrive.
[[nodiscard]] Result<Transition> pay_again(const Order& order, std::string payment_method, Actor actor,
                                           Timestamp now);

/// Asks for part of the captured money to go back, or without an amount for all that is left. Reserves it, so
/// that several requests together never ask for more than there is. `conflict` when that much is not left.
[[nodiscard]] Result<Transition> request_refund(const Order& order, RefundId id,
                                                std::optional<std::int64_t> amount_minor, std::string reason,
                                                Actor actor, Timestamp now);

/// What may still be asked back.
[[nodiscard]] std::int64_t refundable_minor(const Order& order);

/// Call after reading an order. Derives `attempts` and `shown_attempt` from the other members where an older
/// version of the program, which stores neither, wrote the order last.
void complete_attempts(Order& order);

/// The request for payment is on its way: PENDING becomes PROCESSING. Anything later is left as it is.
[[nodiscard]] Transition note_payment_requested(const Order& order, Timestamp now);

/// Applies an update of one attempt. An update that is not newer than the last one of the same attempt
/// changes nothing except the refund that it settles, which is settled once, whatever the sequence. Money
/// that comes to an order that is REFUNDED is asked to go back. An update of an older attempt changes the
/// known amounts of that attempt, never the state of the newest. An attempt that is greater than
/// `payment_attempt` (databases restored at different times) raises it. `invalid` when the update cannot
/// belong to this order (other currency, more money than the order's total), or when a captured or refunded
/// amount would decrease.
[[nodiscard]] Result<Transition> apply_payment_update(const Order& order,
                                                      const contracts::PaymentUpdated& update, Timestamp now);

}  // namespace quittance::orders
