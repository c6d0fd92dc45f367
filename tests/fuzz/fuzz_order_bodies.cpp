// What is accepted of an order, a status, a payment, a refund or a product is within its limits, and means
// the same however its JSON is written.
#include <vector>

#include <boost/json.hpp>

#include "core/json.hpp"
#include "core/utf8.hpp"
#include "http/preconditions.hpp"
#include "orders/order_json.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::orders {
namespace {

using fuzz::require;

const OrderId some_order = *OrderId::parse("01890a5d-ac96-774b-bcce-b302099a8057");
const UserId some_user = *UserId::parse("01890a5d-ac96-774b-bcce-b302099a8058");

void require_text(std::string_view text, std::size_t max_characters) {
    require(count_characters(text) <= max_characters, "a text is no longer than allowed");
    require(is_utf8(text) && text.find('\0') == std::string_view::npos, "a text can be stored");
}

template <class T>
void require_explained(const Result<T>& result) {
    const Error& error = result.error();
    require(error.code == ErrorCode::malformed || error.code == ErrorCode::invalid ||
                error.code == ErrorCode::forbidden,
            "a body is refused for what is in it");
    require(!error.detail.empty(), "a refusal says why");
    require((error.code == ErrorCode::invalid) == !error.faults.empty(), "faults are told one by one");
}

/// The same order, written by another hand: members in another order, and with spaces.
std::string rewritten(const OrderRequest& request) {
    std::string text =
        "{ \"paymentMethod\" :\t" + json::serialize(json::value(request.payment_method)) + ",\n\"items\":[";
    for (const RequestedItem& item : request.items) {
        if (text.back() != '[') text += " , ";
        text += "{\"quantity\": " + std::to_string(item.quantity);
        if (item.unit_price) {
            text += ", \"currency\": \"" + std::string(item.unit_price->currency.code()) +
                    "\", \"unitPrice\": " + std::to_string(item.unit_price->minor);
        }
        text += ", \"productId\" : " + json::serialize(json::value(item.product_id)) + "}";
    }
    return text + "] }";
}

void try_order(Role role, std::string_view body) {
    const Principal principal{some_user, role};
    const auto created = parse_create_order(body, principal);
    if (!created) return require_explained(created);
    const OrderRequest& request = created->request;
    require(!request.items.empty() && request.items.size() <= max_items_per_order, "an order has items");
    require(!request.payment_method.empty(), "an order names how it is paid");
    require_text(request.payment_method, max_payment_method_characters);
    for (const RequestedItem& item : request.items) {
        require_text(item.product_id, max_product_id_characters);
        require(item.quantity >= 1 && item.quantity <= max_quantity, "a quantity is within its limits");
        require(!item.unit_price || role != Role::customer, "a customer names no price");
        require(
            !item.unit_price || (item.unit_price->minor >= 0 && item.unit_price->minor <= max_amount_minor),
            "a price is an amount");
    }
    const auto again = parse_create_order(rewritten(request), principal);
    require(again.ok(), "an order that is written otherwise is accepted, too");
    require(again->fingerprint == created->fingerprint, "it is the same order for its idempotency key");

    OrderRequest more = request;
    more.items.front().quantity = more.items.front().quantity % max_quantity + 1;
    const auto other = parse_create_order(rewritten(more), principal);
    require(other && other->fingerprint != created->fingerprint, "another quantity is another order");
}

void try_refund(std::string_view body) {
    const auto refund = parse_refund(body, some_order);
    if (!refund) return require_explained(refund);
    require(refund->id == some_order, "a refund is for the order that was asked for");
    require(
        !refund->amount_minor || (*refund->amount_minor >= 1 && *refund->amount_minor <= max_amount_minor),
        "what goes back is more than nothing");
    require_text(refund->reason, max_refund_reason_characters);
    json::object same{{"reason", refund->reason}};
    if (refund->amount_minor) same["amount"] = *refund->amount_minor;
    const auto again = parse_refund(json::serialize(same), some_order);
    require(again && again->fingerprint == refund->fingerprint, "it is the same refund for its key");
}

void try_product(std::string_view body) {
    const auto product = parse_product(body, "sku-1");
    if (!product) return require_explained(product);
    require_text(product->name, max_product_name_characters);
    require(product->unit_price.minor >= 0 && product->unit_price.minor <= max_amount_minor,
            "a price is an amount");
    const auto again = parse_product(to_json(*product), "sku-1");
    require(again && *again == *product, "a product as it is read can be sent back");
}

void try_status(std::string_view body) {
    const auto status = parse_status_change(body);
    if (!status) return require_explained(status);
    require(parse_order_status(to_string(*status)) == *status, "a status has one name");
}

void try_payment(std::string_view body) {
    const auto payment = parse_payment(body, some_order);
    if (!payment) return require_explained(payment);
    require_text(payment->payment_method, max_payment_method_characters);
}

}  // namespace
}  // namespace quittance::orders

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance;
    fuzz::Input input(data, size);
    switch (input.choice(7)) {
        case 0: orders::try_order(Role::customer, input.rest()); break;
        case 1: orders::try_order(Role::service, input.rest()); break;
        case 2: orders::try_status(input.rest()); break;
        case 3: orders::try_payment(input.rest()); break;
        case 4: orders::try_refund(input.rest()); break;
        case 5: orders::try_product(input.rest()); break;
        default: {
            http::Request request;
            request.headers = {{"if-match", std::string(input.rest())}};
            const auto versions = http::read_expected_versions(request);
            for (const int version : versions.value_or(std::vector<int>())) {
                request.headers = {{"if-match", orders::to_etag(version)}};
                fuzz::require(http::read_expected_versions(request) == std::vector{version},
                              "an entity tag names one version");
            }
        }
    }
    return 0;
}
