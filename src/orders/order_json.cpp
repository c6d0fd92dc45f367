#include "orders/order_json.hpp"

#include <absl/strings/escaping.h>
#include <boost/json.hpp>

#include "core/json.hpp"
#include "core/random.hpp"
#include "core/utf8.hpp"
#include "orders/refund_id.hpp"

namespace quittance::orders {

namespace {

constexpr TextLimits product_id_limits{1, max_product_id_characters};
constexpr TextLimits payment_method_limits{1, max_payment_method_characters};
constexpr TextLimits currency_limits{3, 3};

std::optional<Currency> read_currency(ObjectReader& reader) {
    const auto text = reader.optional_text("currency", currency_limits);
    if (!text) return std::nullopt;
    const auto currency = Currency::parse(*text);
    if (!currency) reader.fault("currency", "must be an ISO 4217 code such as EUR");
    return currency;
}

RequestedItem read_item(const json::value& value, std::string pointer, std::vector<Fault>& faults) {
    ObjectReader reader(value, std::move(pointer), faults);
    RequestedItem item;
    item.product_id = reader.text("productId", product_id_limits);
    item.quantity = reader.integer("quantity", 1, max_quantity);
    const auto price = reader.optional_integer("unitPrice", 0, max_amount_minor);
    const bool names_price = reader.optional_value("unitPrice") != nullptr;
    const bool names_currency = reader.optional_value("currency") != nullptr;
    const auto currency = read_currency(reader);
    if (names_price != names_currency) {
        reader.fault(names_price ? "currency" : "unitPrice", "is required beside the other");
    }
    if (price && currency) item.unit_price = Money{*price, *currency};
    reader.finish();
    return item;
}

bool names_a_price(const json::array& items) {
    for (const json::value& item : items) {
        const auto* object = item.if_object();
        if (object != nullptr && (object->contains("unitPrice") || object->contains("currency"))) return true;
    }
    return false;
}

std::string digest_of(const json::array& request) {
    return to_base64url(sha256(json::serialize(request)));
}

/// Equal for requests that ask for the same, however their JSON was written.
std::string fingerprint_of(const OrderRequest& request) {
    json::array items;
    for (const RequestedItem& item : request.items) {
        json::array line{item.product_id, item.quantity};
        if (item.unit_price) {
            line.emplace_back(item.unit_price->minor);
            line.emplace_back(item.unit_price->currency.code());
        }
        items.emplace_back(std::move(line));
    }
    return digest_of({std::move(items), request.payment_method});
}

/// Of another shape than an order's, so that one key never means both.
std::string fingerprint_of(const RefundOrder& request) {
    json::array parts{"refund", request.id.to_string(), request.reason};
    if (request.amount_minor) parts.emplace_back(*request.amount_minor);
    return digest_of(parts);
}

/// Of a product's entity tag: 132 bits, so that two versions never share one.
constexpr std::size_t etag_digest_characters = 22;

std::string fingerprint_of(const PayAgain& request) {
    return digest_of({"payment", request.id.to_string(), request.payment_method});
}

/// Enough for most orders.
constexpr std::size_t usual_order_bytes = 768;

void append(std::string& json, const OrderView& order) {
    ObjectWriter object(json);
    object.add_plain("id", order.id.to_string());
    object.add_plain("userId", order.user_id.to_string());
    object.add_plain("status", to_string(order.status));
    object.add_plain("paymentStatus", contracts::to_string(order.payment_status));
    object.add_plain("currency", order.total.currency.code());
    object.add("totalAmount", order.total.minor);
    object.add("capturedAmount", order.captured_minor);
    object.add("refundedAmount", order.refunded_minor);
    object.value("items") += order.items_json;
    object.add("paymentMethod", order.payment_method);
    object.add("version", order.version);
    object.add_plain("createdAt", to_rfc3339(order.created_at));
    object.add_plain("updatedAt", to_rfc3339(order.updated_at));
    if (order.failure) {
        ObjectWriter failure(object.value("failure"));
        failure.add("code", order.failure->code);
        failure.add("detail", order.failure->detail);
        failure.finish();
    }
    object.finish();
}

void append(std::string& json, const HistoryEntry& entry) {
    ObjectWriter object(json);
    object.add("version", entry.version);
    object.add_plain("status", to_string(entry.status));
    object.add_plain("paymentStatus", contracts::to_string(entry.payment_status));
    object.add_plain("actor", to_string(entry.actor));
    object.add("reason", entry.reason);
    object.add_plain("createdAt", to_rfc3339(entry.created_at));
    object.finish();
}

void append(std::string& json, const Product& product) {
    ObjectWriter object(json);
    object.add("id", product.id);
    object.add("name", product.name);
    object.add("unitPrice", product.unit_price.minor);
    object.add_plain("currency", product.unit_price.currency.code());
    object.add_boolean("active", product.active);
    object.finish();
}

template <class Elements>
void add_data(ObjectWriter& object, const Elements& elements) {
    append_json_array(object.value("data"), elements,
                      [](std::string& json, const auto& element) { append(json, element); });
}

template <class Elements>
std::string page_of(const Elements& elements, bool has_more, std::string_view last_id) {
    std::string json;
    ObjectWriter page(json);
    add_data(page, elements);
    if (has_more) {
        page.add("nextCursor", last_id);
    } else {
        page.value("nextCursor") += "null";
    }
    page.finish();
    return json;
}

}  // namespace

Result<CreateOrder> parse_create_order(std::string_view body, const Principal& principal) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    CreateOrder create;
    const json::array* items = reader.array("items", 1, max_items_per_order);
    if (items != nullptr) {
        if (principal.role == Role::customer && names_a_price(*items)) {
            return Error{ErrorCode::forbidden, "Only the roles ADMIN and SERVICE may name prices.", {}, 0};
        }
        for (std::size_t i = 0; i < items->size(); ++i) {
            create.request.items.push_back(read_item((*items)[i], "/items/" + std::to_string(i), faults));
        }
    }
    create.request.payment_method = reader.text("paymentMethod", payment_method_limits);
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    create.request.user_id = principal.user_id;
    create.request.actor = actor_of(principal.role);
    create.fingerprint = fingerprint_of(create.request);
    return create;
}

Result<OrderStatus> parse_status_change(std::string_view body) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    const std::string text = reader.text("status", {1, 50});
    const auto status = parse_order_status(text);
    if (!status && faults.empty()) reader.fault("status", "is not a status that an order can have");
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    return *status;
}

Result<PayAgain> parse_payment(std::string_view body, OrderId id) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    PayAgain payment;
    payment.id = id;
    payment.payment_method = reader.text("paymentMethod", payment_method_limits);
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    payment.fingerprint = fingerprint_of(payment);
    return payment;
}

Result<RefundOrder> parse_refund(std::string_view body, OrderId id) {
    RefundOrder refund;
    refund.id = id;
    if (!body.empty()) {
        const auto value = parse_json(body);
        if (!value) return value.error();
        std::vector<Fault> faults;
        ObjectReader reader(*value, "", faults);
        refund.amount_minor = reader.optional_integer("amount", 1, max_amount_minor);
        refund.reason = reader.optional_text("reason", {0, max_refund_reason_characters}).value_or("");
        reader.finish();
        if (!faults.empty()) return invalid_error(std::move(faults));
    }
    refund.fingerprint = fingerprint_of(refund);
    return refund;
}

Result<Product> parse_product(std::string_view body, std::string id) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    Product product;
    product.id = std::move(id);
    product.name = reader.text("name", {1, max_product_name_characters});
    product.unit_price.minor = reader.integer("unitPrice", 0, max_amount_minor);
    const bool names_currency = reader.optional_value("currency") != nullptr;
    if (!names_currency) reader.fault("currency", "is required");
    const auto currency = read_currency(reader);
    if (currency) product.unit_price.currency = *currency;
    product.active = reader.optional_boolean("active").value_or(true);
    // The whole product, as it is read, may be sent back.
    const auto named_id = reader.optional_text("id", product_id_limits);
    if (named_id && *named_id != product.id) reader.fault("id", "must be the id in the path, or left out");
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    return product;
}

std::string to_json(const OrderView& order) {
    std::string json;
    json.reserve(usual_order_bytes);
    append(json, order);
    return json;
}

std::string to_json(const OrderPage& page) {
    const std::string last = page.orders.empty() ? std::string() : page.orders.back().id.to_string();
    return page_of(page.orders, page.has_more, last);
}

std::string to_json(const std::vector<HistoryEntry>& history) {
    std::string json;
    ObjectWriter object(json);
    add_data(object, history);
    object.finish();
    return json;
}

std::string to_json(const Product& product) {
    std::string json;
    append(json, product);
    return json;
}

std::string to_json(const ProductPage& page) {
    const std::string last = page.has_more ? to_product_cursor(page.products.back().id) : std::string();
    return page_of(page.products, page.has_more, last);
}

std::string to_product_cursor(std::string_view product_id) {
    return to_base64url(std::as_bytes(std::span(product_id)));
}

std::optional<std::string> parse_product_cursor(std::string_view cursor) {
    std::string id;
    if (!absl::WebSafeBase64Unescape(absl::string_view(cursor.data(), cursor.size()), &id))
        return std::nullopt;
    // Padding, white space and other ways to write the same are none of ours.
    if (to_product_cursor(id) != cursor || id.empty() || !is_utf8(id) ||
        count_characters(id) > max_product_id_characters || id.find('\0') != std::string::npos)
        return std::nullopt;
    return id;
}

std::string to_etag(int version) {
    return "\"" + std::to_string(version) + "\"";
}

std::string to_etag(const Product& product) {
    return "\"" + digest_of({to_json(product)}).substr(0, etag_digest_characters) + "\"";
}

}  // namespace quittance::orders
