#include "payments/payment_http.hpp"

#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "http/await.hpp"
#include "http/problem.hpp"

namespace quittance::payments {

namespace json = boost::json;
using boost::asio::awaitable;

namespace {

json::object to_json(const Payment& payment) {
    json::object object{{"id", payment.id.to_string()},
                        {"orderId", payment.order_id.to_string()},
                        {"status", contracts::to_string(payment.status)},
                        {"amount", payment.amount.minor},
                        {"capturedAmount", payment.captured_minor},
                        {"refundedAmount", payment.refunded_minor},
                        {"currency", payment.amount.currency.code()},
                        {"method", payment.payment_method},
                        {"provider", payment.provider},
                        {"providerReference", payment.provider_reference}};
    if (payment.failure) {
        object["failure"] = {{"code", payment.failure->code}, {"detail", payment.failure->detail}};
    }
    object["createdAt"] = to_rfc3339(payment.created_at);
    object["updatedAt"] = to_rfc3339(payment.updated_at);
    return object;
}

/// An order has few attempts, so there is only ever one page.
json::object page_of(const std::vector<Payment>& payments) {
    json::array data;
    data.reserve(payments.size());
    for (const Payment& payment : payments)
        data.push_back(to_json(payment));
    return {{"data", std::move(data)}, {"nextCursor", nullptr}};
}

awaitable<http::Response> get_payment(PaymentService& payments, http::TokenVerifier& tokens,
                                      const http::Request& request) {
    const auto caller = http::authenticate(request, tokens);
    if (!caller) co_return http::problem(caller.error());
    const auto id = PaymentId::parse(request.parameter("id"));
    // An id that is none cannot exist; saying more would only help those who guess.
    if (!id) co_return http::problem({ErrorCode::not_found, "There is no payment with this id.", {}, 0});
    const auto payment = co_await http::wait_for<Result<Payment>>(
        [&](auto done) { payments.find(*id, *caller, std::move(done)); });
    if (!payment) co_return http::problem(payment.error());
    co_return http::json_response(200, json::serialize(to_json(*payment)));
}

awaitable<http::Response> list_payments(PaymentService& payments, http::TokenVerifier& tokens,
                                        const http::Request& request) {
    const auto caller = http::authenticate(request, tokens);
    if (!caller) co_return http::problem(caller.error());
    const std::string* text = request.query_value("orderId");
    const auto order_id = text == nullptr ? std::nullopt : OrderId::parse(*text);
    if (!order_id) {
        co_return http::problem({ErrorCode::malformed,
                                 text == nullptr ? "The query parameter orderId is required."
                                                 : "The query parameter orderId must be a UUID.",
                                 {},
                                 0});
    }
    const auto found = co_await http::wait_for<Result<std::vector<Payment>>>(
        [&](auto done) { payments.list_by_order(*order_id, *caller, std::move(done)); });
    if (!found) co_return http::problem(found.error());
    co_return http::json_response(200, json::serialize(page_of(*found)));
}

}  // namespace

void add_payment_routes(http::Router& router, PaymentService& payments, http::TokenVerifier& tokens) {
    router.add(http::Method::get, "/payments/{id}",
               [&](http::Request& request) { return get_payment(payments, tokens, request); });
    router.add(http::Method::get, "/payments",
               [&](http::Request& request) { return list_payments(payments, tokens, request); });
}

}  // namespace quittance::payments
