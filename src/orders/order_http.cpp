#include "orders/order_http.hpp"

#include <charconv>
#include <utility>

#include "core/utf8.hpp"
#include "http/await.hpp"
#include "http/preconditions.hpp"
#include "http/problem.hpp"
#include "orders/order_json.hpp"

namespace quittance::orders {

using boost::asio::awaitable;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr std::int64_t default_page_size = 20;
constexpr std::int64_t max_page_size = 100;

Error malformed(std::string detail) {
    return Error{ErrorCode::malformed, std::move(detail), {}, 0};
}
Error no_such_order() {
    return Error{ErrorCode::not_found, "There is no such order.", {}, 0};
}

Response order_response(int status, const OrderView& order) {
    Response response = http::json_response(status, to_json(order));
    response.headers.emplace_back("ETag", to_etag(order.version));
    return response;
}

Result<std::int64_t> read_page_size(const Request& request) {
    const std::string* text = request.query_value("limit");
    if (text == nullptr) return default_page_size;
    std::int64_t size = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), size);
    if (error != std::errc() || end != text->data() + text->size() || size < 1 || size > max_page_size) {
        return malformed("The query parameter limit must be a number from 1 to 100.");
    }
    return size;
}

/// The query of `GET /orders`: own orders, or for ADMIN all or those of `userId`.
Result<OrderQuery> read_order_query(const Request& request, const Principal& principal) {
    OrderQuery query;
    const auto size = read_page_size(request);
    if (!size) return size.error();
    query.limit = *size;
    if (const std::string* text = request.query_value("cursor")) {
        query.before = OrderId::parse(*text);
        if (!query.before)
            return malformed("The query parameter cursor is not one that this service gave out.");
    }
    if (const std::string* text = request.query_value("status")) {
        query.status = parse_order_status(*text);
        if (!query.status) return malformed("The query parameter status is not a status of an order.");
    }
    const std::string* user = request.query_value("userId");
    if (user != nullptr) {
        query.owner = UserId::parse(*user);
        if (!query.owner) return malformed("The query parameter userId is not a user's id.");
    }
    if (principal.role != Role::admin) {
        if (query.owner.value_or(principal.user_id) != principal.user_id) {
            return Error{ErrorCode::forbidden, "Only ADMIN may list the orders of others.", {}, 0};
        }
        query.owner = principal.user_id;
    }
    return query;
}

/// What most calls on one order begin with: who calls, and which order.
struct OrderCall {
    Principal principal;
    OrderId id;
};

Result<OrderCall> read_order_call(const Request& request, http::TokenVerifier& verifier) {
    const auto principal = http::authenticate(request, verifier);
    if (!principal) return principal.error();
    const auto id = OrderId::parse(request.parameter("id"));
    if (!id) return no_such_order();
    return OrderCall{*principal, *id};
}

Response product_response(int status, const Product& product) {
    Response response = http::json_response(status, to_json(product));
    response.headers.emplace_back("ETag", to_etag(product));
    return response;
}

/// The answer to what may be repeated under a key.
Response changed_response(const Result<ChangedOrder>& changed) {
    if (!changed) return http::problem(changed.error());
    Response response = order_response(202, changed->order);
    if (changed->replayed) response.headers.emplace_back("Idempotency-Replayed", "true");
    return response;
}

awaitable<Response> create_order(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto principal = http::authenticate(request, verifier);
    if (!principal) co_return http::problem(principal.error());
    if (const auto refusal = service.create_refusal()) co_return http::problem(*refusal);
    auto key = http::read_idempotency_key(request);
    if (!key) co_return http::problem(key.error());
    auto create = parse_create_order(request.body, *principal);
    if (!create) co_return http::problem(create.error());
    create->idempotency_key = std::move(*key);
    create->traceparent = request.traceparent;
    const auto created = co_await http::wait_for<Result<CreatedOrder>>(
        [&](auto done) { service.create(std::move(*create), std::move(done)); });
    if (!created) co_return http::problem(created.error());
    Response response = order_response(201, created->order);
    response.headers.emplace_back("Location", "/orders/" + created->order.id.to_string());
    if (created->replayed) response.headers.emplace_back("Idempotency-Replayed", "true");
    co_return response;
}

awaitable<Response> read_order(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto call = read_order_call(request, verifier);
    if (!call) co_return http::problem(call.error());
    co_return co_await http::wait_for<Result<OrderView>>(
        [&](auto done) { service.find(call->id, call->principal, std::move(done)); },
        [&request](const Result<OrderView>& order) {
            if (!order) return http::problem(order.error());
            std::string etag = to_etag(order->version);
            if (http::has_version(request, etag)) return http::not_modified(std::move(etag));
            return order_response(200, *order);
        });
}

awaitable<Response> list_orders(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto principal = http::authenticate(request, verifier);
    if (!principal) co_return http::problem(principal.error());
    const auto query = read_order_query(request, *principal);
    if (!query) co_return http::problem(query.error());
    const auto page =
        co_await http::wait_for<Result<OrderPage>>([&](auto done) { service.list(*query, std::move(done)); });
    co_return page ? http::json_response(200, to_json(*page)) : http::problem(page.error());
}

awaitable<Response> read_history(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto call = read_order_call(request, verifier);
    if (!call) co_return http::problem(call.error());
    const auto history = co_await http::wait_for<Result<std::vector<HistoryEntry>>>(
        [&](auto done) { service.history(call->id, call->principal, std::move(done)); });
    co_return history ? http::json_response(200, to_json(*history)) : http::problem(history.error());
}

awaitable<Response> change_status(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto call = read_order_call(request, verifier);
    if (!call) co_return http::problem(call.error());
    const auto status = parse_status_change(request.body);
    if (!status) co_return http::problem(status.error());
    const SetStatus set{*status, http::read_expected_versions(request)};
    const auto order = co_await http::wait_for<Result<OrderView>>([&](auto done) {
        service.change({call->id, call->principal, set, request.traceparent}, std::move(done));
    });
    co_return order ? order_response(200, *order) : http::problem(order.error());
}

awaitable<Response> pay_order_again(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto call = read_order_call(request, verifier);
    if (!call) co_return http::problem(call.error());
    auto key = http::read_idempotency_key(request);
    if (!key) co_return http::problem(key.error());
    auto payment = parse_payment(request.body, call->id);
    if (!payment) co_return http::problem(payment.error());
    payment->principal = call->principal;
    payment->expected_versions = http::read_expected_versions(request);
    payment->idempotency_key = std::move(*key);
    payment->traceparent = request.traceparent;
    co_return changed_response(co_await http::wait_for<Result<ChangedOrder>>(
        [&](auto done) { service.pay_again(std::move(*payment), std::move(done)); }));
}

awaitable<Response> refund_order(Request& request, OrderService& service, http::TokenVerifier& verifier) {
    const auto call = read_order_call(request, verifier);
    if (!call) co_return http::problem(call.error());
    if (call->principal.role != Role::admin) {
        co_return http::problem(Error{ErrorCode::forbidden, "Only ADMIN may refund orders.", {}, 0});
    }
    auto key = http::read_idempotency_key(request);
    if (!key) co_return http::problem(key.error());
    auto refund = parse_refund(request.body, call->id);
    if (!refund) co_return http::problem(refund.error());
    refund->requested_by = call->principal.user_id;
    refund->idempotency_key = std::move(*key);
    refund->traceparent = request.traceparent;
    refund->expected_versions = http::read_expected_versions(request);
    co_return changed_response(co_await http::wait_for<Result<ChangedOrder>>(
        [&](auto done) { service.refund(std::move(*refund), std::move(done)); }));
}

awaitable<Response> list_products(Request& request, Catalogue& catalogue) {
    const auto size = read_page_size(request);
    if (!size) co_return http::problem(size.error());
    std::optional<std::string> after = std::string();
    if (const std::string* cursor = request.query_value("cursor")) after = parse_product_cursor(*cursor);
    if (!after) {
        co_return http::problem(
            malformed("The query parameter cursor is not one that this service gave out."));
    }
    const auto page = co_await http::wait_for<Result<ProductPage>>(
        [&](auto done) { catalogue.list(std::move(*after), *size, std::move(done)); });
    co_return page ? http::json_response(200, to_json(*page)) : http::problem(page.error());
}

awaitable<Response> read_product(Request& request, Catalogue& catalogue) {
    const auto product = co_await http::wait_for<Result<Product>>(
        [&](auto done) { catalogue.find(std::string(request.parameter("id")), std::move(done)); });
    if (!product) co_return http::problem(product.error());
    std::string etag = to_etag(*product);
    if (http::has_version(request, etag)) co_return http::not_modified(std::move(etag));
    co_return product_response(200, *product);
}

awaitable<Response> put_product(Request& request, Catalogue& catalogue, http::TokenVerifier& verifier) {
    const auto principal = http::authenticate(request, verifier);
    if (!principal) co_return http::problem(principal.error());
    if (principal->role != Role::admin) {
        co_return http::problem(Error{ErrorCode::forbidden, "Only ADMIN may change the catalogue.", {}, 0});
    }
    const std::string_view id = request.parameter("id");
    if (count_characters(id) > max_product_id_characters) {
        co_return http::problem(malformed("A product's id must have at most 100 characters."));
    }
    // MySQL and MariaDB compare as if spaces at the end were not there, and would change another product.
    if (id.starts_with(' ') || id.ends_with(' ')) {
        co_return http::problem(malformed("A product's id must not begin or end with a space."));
    }
    auto product = parse_product(request.body, std::string(id));
    if (!product) co_return http::problem(product.error());
    const auto conditions = http::read_preconditions(request);
    PutProduct change{std::move(*product), {}};
    if (!conditions.empty()) {
        change.refusal = [conditions](const Product* current) {
            return current == nullptr ? conditions.refusal(std::nullopt)
                                      : conditions.refusal(to_etag(*current));
        };
    }
    const auto put = co_await http::wait_for<Result<StoredProduct>>(
        [&](auto done) { catalogue.put(std::move(change), std::move(done)); });
    co_return put ? product_response(put->created ? 201 : 200, put->product) : http::problem(put.error());
}

}  // namespace

void add_order_routes(http::Router& router, OrderService& service, http::TokenVerifier& verifier) {
    const auto add = [&](Method method, std::string pattern, auto call) {
        router.add(method, std::move(pattern), [&service, &verifier, call](Request& request) {
            return call(request, service, verifier);
        });
    };
    add(Method::post, "/orders", create_order);
    add(Method::get, "/orders", list_orders);
    add(Method::get, "/orders/{id}", read_order);
    add(Method::get, "/orders/{id}/events", read_history);
    add(Method::patch, "/orders/{id}/status", change_status);
    add(Method::post, "/orders/{id}/payment", pay_order_again);
    add(Method::post, "/orders/{id}/refunds", refund_order);
}

void add_product_routes(http::Router& router, Catalogue& catalogue, http::TokenVerifier& verifier) {
    router.add(Method::get, "/products",
               [&catalogue](Request& request) { return list_products(request, catalogue); });
    router.add(Method::get, "/products/{id}",
               [&catalogue](Request& request) { return read_product(request, catalogue); });
    router.add(Method::put, "/products/{id}", [&catalogue, &verifier](Request& request) {
        return put_product(request, catalogue, verifier);
    });
}

}  // namespace quittance::orders
