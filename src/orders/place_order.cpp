// How an order begins; what may happen to it afterwards is in order.cpp.
#include <utility>

#include "core/json.hpp"
#include "orders/order.hpp"

namespace quittance::orders {

using contracts::PaymentStatus;

namespace {

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

}  // namespace

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

}  // namespace quittance::orders
