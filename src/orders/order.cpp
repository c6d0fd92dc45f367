#include "orders/order.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/json.hpp"

namespace quittance::orders {

using contracts::PaymentStatus;

namespace {

constexpr std::array all_statuses{OrderStatus::pending,        OrderStatus::processing, OrderStatus::paid,
                                  OrderStatus::payment_failed, OrderStatus::canceled,   OrderStatus::shipped,
                                  OrderStatus::delivered,      OrderStatus::refunded};

Error conflict(std::string detail) {
    return Error{ErrorCode::conflict, std::move(detail), {}, 0};
}

Error illegal_transition(OrderStatus from, OrderStatus to) {
    return conflict("An order that is " + std::string(to_string(from)) + " cannot become " +
                    std::string(to_string(to)) + ".");
}

/// The next version of `transition.after`, with its line of history.
void advance(Transition& transition, OrderStatus status, Actor actor, std::string reason, Timestamp now) {
    Order& order = transition.after;
    order.status = status;
    order.version += 1;
    order.updated_at = now;
    transition.history.push_back(
        {order.id, order.version, order.status, order.payment_status, actor, std::move(reason), now});
}

contracts::PaymentRequested payment_request(const Order& order) {
    return {order.id, order.user_id, order.total, order.payment_method, order.payment_attempt};
}

struct Line {
    std::string_view product_id;
    std::string_view name;
    std::int64_t quantity = 1;
    std::int64_t unit_price_minor = 0;
};

/// The price and name of one requested item, or the fault that it has. Refers to both parameters.
std::optional<Line> price_item(const RequestedItem& requested, const Products& products,
                               const std::string& pointer, std::vector<Fault>& faults) {
    const auto found = products.find(requested.product_id);
    if (requested.unit_price) {
        const std::string& name = found == products.end() ? requested.product_id : found->second.name;
        return Line{requested.product_id, name, requested.quantity, requested.unit_price->minor};
    }
    if (found == products.end()) {
        faults.push_back({pointer + "/productId", "no such product"});
        return std::nullopt;
    }
    const Product& product = found->second;
    if (!product.active) {
        faults.push_back({pointer + "/productId", "this product is not for sale now"});
        return std::nullopt;
    }
    return Line{product.id, product.name, requested.quantity, product.unit_price.minor};
}

std::string to_json(const std::vector<Line>& lines) {
    std::string json;
    append_json_array(json, lines, [](std::string& element, const Line& line) {
        ObjectWriter object(element);
        object.add("productId", line.product_id);
        object.add("name", line.name);
        object.add("quantity", line.quantity);
        object.add("unitPrice", line.unit_price_minor);
        object.finish();
    });
    return json;
}

Currency currency_of(const RequestedItem& requested, const Products& products) {
    if (requested.unit_price) return requested.unit_price->currency;
    return products.find(requested.product_id)->second.unit_price.currency;
}

bool may_still_bring_money(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::failed:
        case PaymentStatus::requires_action:
        case PaymentStatus::canceled: return false;
        case PaymentStatus::pending:
        case PaymentStatus::authorized:
        case PaymentStatus::captured:
        case PaymentStatus::unknown:
        case PaymentStatus::partially_refunded:
        case PaymentStatus::refunded: return true;
    }
    return true;
}

/// Where a payment status takes an order that is waiting for its payment.
OrderStatus outcome_of(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::captured:
        case PaymentStatus::partially_refunded: return OrderStatus::paid;
        case PaymentStatus::failed:
        case PaymentStatus::requires_action:
        case PaymentStatus::canceled: return OrderStatus::payment_failed;
        case PaymentStatus::refunded: return OrderStatus::refunded;
        case PaymentStatus::pending:
        case PaymentStatus::authorized:
        case PaymentStatus::unknown: return OrderStatus::processing;
    }
    return OrderStatus::processing;
}

/// The statuses an order passes through to follow its payment, the present one left out. Empty: it stays.
std::vector<OrderStatus> path_to_outcome(OrderStatus from, OrderStatus outcome) {
    const bool waiting = from == OrderStatus::pending || from == OrderStatus::processing;
    // Money that arrives after all is worth more than the failure that was reported before it.
    const bool late_success = from == OrderStatus::payment_failed && outcome != OrderStatus::payment_failed &&
                              outcome != OrderStatus::processing;
    std::vector<OrderStatus> path;
    if (waiting || late_success) {
        if (from != OrderStatus::processing) path.push_back(OrderStatus::processing);
        if (outcome == OrderStatus::refunded) path.push_back(OrderStatus::paid);
        if (outcome != OrderStatus::processing) path.push_back(outcome);
    } else if (outcome == OrderStatus::refunded && is_legal(from, OrderStatus::refunded)) {
        path.push_back(OrderStatus::refunded);
    }
    return path;
}

/// "12.50 EUR: broken" for the history.
std::string describe_refund(const Order& order, std::int64_t amount_minor, std::string_view what,
                            std::string_view why) {
    std::string text = "refund of " + to_string(Money{amount_minor, order.total.currency}) + " ";
    text += what;
    if (!why.empty()) text.append(": ").append(why);
    return text;
}

/// Takes the refund off the list of those that are open, and notes in the history when it failed. A refund
/// that is not on the list was settled before, or was not asked for here.
void settle_refund(Transition& transition, const contracts::RefundOutcome& outcome, Timestamp now) {
    Order& order = transition.after;
    const auto open = std::ranges::find(order.open_refunds, outcome.refund_id, &OpenRefund::id);
    if (open == order.open_refunds.end()) return;
    const std::int64_t amount_minor = open->amount_minor;
    order.refund_reserved_minor -= amount_minor;
    order.open_refunds.erase(open);
    const std::string reason = outcome.failure
                                   ? describe_refund(order, amount_minor, "failed", outcome.failure->code)
                                   : describe_refund(order, amount_minor, "made", "");
    advance(transition, order.status, Actor::payment_service, reason, now);
}

Transition cancel(const Order& order, Actor actor, Timestamp now) {
    Transition transition{order, {}, {}};
    advance(transition, OrderStatus::canceled, actor, "canceled", now);
    transition.events.emplace_back(
        contracts::OrderCanceled{order.id, order.user_id, order.total, order.payment_attempt});
    return transition;
}

}  // namespace

std::string_view to_string(OrderStatus status) {
    switch (status) {
        case OrderStatus::pending: return "PENDING";
        case OrderStatus::processing: return "PROCESSING";
        case OrderStatus::paid: return "PAID";
        case OrderStatus::payment_failed: return "PAYMENT_FAILED";
        case OrderStatus::canceled: return "CANCELED";
        case OrderStatus::shipped: return "SHIPPED";
        case OrderStatus::delivered: return "DELIVERED";
        case OrderStatus::refunded: return "REFUNDED";
    }
    return {};
}

std::optional<OrderStatus> parse_order_status(std::string_view text) {
    for (const OrderStatus status : all_statuses) {
        if (to_string(status) == text) return status;
    }
    return std::nullopt;
}

bool is_legal(OrderStatus from, OrderStatus to) {
    using enum OrderStatus;
    switch (from) {
        case pending: return to == processing || to == canceled;
        case processing: return to == paid || to == payment_failed || to == canceled;
        case paid: return to == shipped || to == canceled || to == refunded;
        case payment_failed: return to == processing || to == canceled;
        case shipped: return to == delivered || to == refunded;
        case delivered: return to == refunded;
        case canceled:
        case refunded: return false;
    }
    return false;
}

std::string_view to_string(Actor actor) {
    switch (actor) {
        case Actor::customer: return "customer";
        case Actor::admin: return "admin";
        case Actor::service: return "service";
        case Actor::payment_service: return "payment-service";
        case Actor::system: return "system";
    }
    return {};
}

Actor actor_of(Role role) {
    switch (role) {
        case Role::customer: return Actor::customer;
        case Role::admin: return Actor::admin;
        case Role::service: return Actor::service;
    }
    return Actor::customer;
}

Result<Transition> place_order(const OrderRequest& request, const Products& products, OrderId id,
                               Timestamp now) {
    ensure(!request.items.empty() && request.items.size() <= max_items_per_order,
           "an order has 1 to 100 items");
    std::vector<Fault> faults;
    std::vector<Line> lines;
    lines.reserve(request.items.size());
    std::optional<Currency> currency;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < request.items.size(); ++i) {
        const RequestedItem& requested = request.items[i];
        const std::string pointer = "/items/" + std::to_string(i);
        const auto priced = price_item(requested, products, pointer, faults);
        if (!priced) continue;
        const Currency item_currency = currency_of(requested, products);
        if (!currency) currency = item_currency;
        if (*currency != item_currency) {
            faults.push_back({pointer + "/productId", "is priced in " + std::string(item_currency.code()) +
                                                          ", the items before in " +
                                                          std::string(currency->code())});
            continue;
        }
        const auto amount = multiply_amount(priced->unit_price_minor, priced->quantity);
        const auto sum = amount ? add_amounts(total, *amount) : std::nullopt;
        if (!sum) {
            faults.push_back(
                {pointer + "/quantity", "brings the total over " + std::to_string(max_amount_minor)});
            continue;
        }
        total = *sum;
        lines.push_back(*priced);
    }
    if (!faults.empty()) {
        return Error{ErrorCode::invalid, "Some items of the order are not acceptable.", std::move(faults), 0};
    }
    Order order;
    order.id = id;
    order.user_id = request.user_id;
    order.items_json = to_json(lines);
    order.total = Money{total, *currency};
    order.payment_method = request.payment_method;
    order.created_at = now;
    order.updated_at = now;
    Transition transition{std::move(order), {}, {}};
    transition.history.push_back(
        {id, 1, OrderStatus::pending, PaymentStatus::pending, request.actor, "created", now});
    transition.events.emplace_back(contracts::OrderCreated{payment_request(transition.after)});
    return transition;
}

OrderView first_version(const OrderView& order, std::string first_payment_method) {
    OrderView first;
    first.id = order.id;
    first.user_id = order.user_id;
    first.total = order.total;
    first.items_json = order.items_json;
    first.payment_method = std::move(first_payment_method);
    first.created_at = order.created_at;
    first.updated_at = order.created_at;
    return first;
}

Result<Transition> set_status(const Order& order, OrderStatus target, Actor actor, Timestamp now) {
    if (actor == Actor::customer && target != OrderStatus::canceled) {
        return Error{ErrorCode::forbidden, "Customers can only set the status CANCELED.", {}, 0};
    }
    if (!is_legal(order.status, target)) return illegal_transition(order.status, target);
    if (target == OrderStatus::canceled) return cancel(order, actor, now);
    if (target == OrderStatus::processing && order.status == OrderStatus::payment_failed) {
        return pay_again(order, order.payment_method, actor, now);
    }
    const bool all_is_back =
        order.total.minor == 0 || (order.refunded_minor > 0 && order.refunded_minor == order.captured_minor);
    if (target == OrderStatus::refunded && !all_is_back) {
        return conflict("An order that is " + std::string(to_string(order.status)) +
                        " becomes REFUNDED when all of its money has gone back, and not before.");
    }
    Transition transition{order, {}, {}};
    advance(transition, target, actor, "set by hand", now);
    return transition;
}

Result<Transition> pay_again(const Order& order, std::string payment_method, Actor actor, Timestamp now) {
    if (order.status != OrderStatus::payment_failed) {
        return conflict("An order that is " + std::string(to_string(order.status)) +
                        " cannot be paid again; only one that is PAYMENT_FAILED can.");
    }
    if (may_still_bring_money(order.payment_status)) {
        return conflict("The payment before may still arrive (it is " +
                        std::string(contracts::to_string(order.payment_status)) + "); try again later.");
    }
    Transition transition{order, {}, {}};
    Order& after = transition.after;
    after.payment_status = PaymentStatus::pending;
    after.payment_method = std::move(payment_method);
    after.payment_attempt += 1;
    after.failure.reset();
    advance(transition, OrderStatus::processing, actor, "paid again", now);
    transition.events.emplace_back(contracts::PaymentRetryRequested{payment_request(after)});
    return transition;
}

std::int64_t refundable_minor(const Order& order) {
    // A refund that is reserved here may find its money gone, given back by a cancellation.
    return std::max<std::int64_t>(0,
                                  order.captured_minor - order.refunded_minor - order.refund_reserved_minor);
}

Result<Transition> request_refund(const Order& order, RefundId id, std::optional<std::int64_t> amount_minor,
                                  std::string reason, Actor actor, Timestamp now) {
    const std::int64_t left = refundable_minor(order);
    const std::int64_t amount = amount_minor.value_or(left);
    if (amount < 1 || amount > left) {
        return conflict("Of this order's payment " + to_string(Money{left, order.total.currency}) +
                        " can be refunded, and not " + to_string(Money{amount, order.total.currency}) + ".");
    }
    if (order.status == OrderStatus::canceled) {
        return conflict("An order that is CANCELED is refunded by itself.");
    }
    if (order.open_refunds.size() >= max_open_refunds) {
        return conflict("Too many refunds of this order are under way; try again when some are done.");
    }
    Transition transition{order, {}, {}};
    Order& after = transition.after;
    after.refund_reserved_minor += amount;
    after.open_refunds.push_back({id, amount});
    advance(transition, order.status, actor, describe_refund(order, amount, "requested", reason), now);
    transition.events.emplace_back(contracts::RefundRequested{id,
                                                              order.id,
                                                              order.user_id,
                                                              {amount, order.total.currency},
                                                              order.payment_attempt,
                                                              std::move(reason)});
    return transition;
}

Transition note_payment_requested(const Order& order, Timestamp now) {
    Transition transition{order, {}, {}};
    if (order.status == OrderStatus::pending) {
        advance(transition, OrderStatus::processing, Actor::system, "payment requested", now);
    }
    return transition;
}

Result<Transition> apply_payment_update(const Order& order, const contracts::PaymentUpdated& update,
                                        Timestamp now) {
    if (update.currency != order.total.currency) {
        return Error{ErrorCode::invalid,
                     "the update is in " + std::string(update.currency.code()) + ", the order in " +
                         std::string(order.total.currency.code()),
                     {},
                     0};
    }
    if (update.captured_minor > order.total.minor || update.refunded_minor > update.captured_minor) {
        return Error{ErrorCode::invalid, "the update's amounts do not fit the order's total", {}, 0};
    }
    Transition transition{order, {}, {}};
    if (update.sequence <= order.payment_sequence) {
        if (update.refund) settle_refund(transition, *update.refund, now);
        return transition;
    }
    Order& after = transition.after;
    const std::string reason = "payment " + std::string(contracts::to_string(update.status));
    const auto path = path_to_outcome(order.status, outcome_of(update.status));
    // The step through PROCESSING belongs to the time before this news.
    const bool stepped = !path.empty() && (order.status == OrderStatus::pending ||
                                           order.status == OrderStatus::payment_failed);
    if (stepped) advance(transition, path.front(), Actor::system, "payment requested", now);
    if (update.refund) settle_refund(transition, *update.refund, now);
    after.payment_status = update.status;
    after.payment_sequence = update.sequence;
    after.captured_minor = update.captured_minor;
    after.refunded_minor = update.refunded_minor;
    after.failure = update.failure;
    std::vector<OrderStatus> steps(path.begin() + (stepped ? 1 : 0), path.end());
    if (steps.empty()) steps.push_back(after.status);
    for (const OrderStatus step : steps)
        advance(transition, step, Actor::payment_service, reason, now);
    return transition;
}

}  // namespace quittance::orders
