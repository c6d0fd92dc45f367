#include "payments/payment_http.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "core/json.hpp"
#include "http/await.hpp"
#include "http/preconditions.hpp"
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
    if (const auto& failure = visible_failure(payment)) {
        object["failure"] = {{"code", failure->code}, {"detail", failure->detail}};
    }
    object["createdAt"] = to_rfc3339(payment.created_at);
    object["updatedAt"] = to_rfc3339(payment.updated_at);
    return object;
}

json::object to_json(const Refund& refund) {
    json::object object{{"id", refund.id.to_string()},
                        {"status", to_string(refund.state)},
                        {"amount", refund.amount_minor},
                        {"reason", refund.reason},
                        {"providerReference", refund.provider_reference},
                        {"createdAt", to_rfc3339(refund.created_at)},
                        {"updatedAt", to_rfc3339(refund.updated_at)}};
    if (refund.failure) {
        object["failure"] = {{"code", refund.failure->code}, {"detail", refund.failure->detail}};
    }
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

// An id that is none cannot exist; saying more would only help those who guess.
Error no_such_payment() {
    return Error{ErrorCode::not_found, "There is no payment with this id.", {}, 0};
}

/// Its version, and with refunds the moment of their last change, of which some leave the version as it is.
std::string to_etag(const Payment& payment, const std::vector<Refund>& refunds) {
    std::string tag = std::to_string(payment.version);
    if (!refunds.empty()) {
        const auto newest = std::ranges::max(refunds, {}, &Refund::updated_at).updated_at;
        tag += "-" + std::to_string(refunds.size()) + "-" + std::to_string(to_ms(newest));
    }
    return "\"" + tag + "\"";
}

/// 304 where the caller has this version.
http::Response payment_response(const http::Request& request, const Payment& payment,
                                const std::vector<Refund>& refunds) {
    std::string etag = to_etag(payment, refunds);
    if (http::has_version(request, etag)) return http::not_modified(std::move(etag));
    json::object body = to_json(payment);
    json::array list;
    for (const Refund& refund : refunds)
        list.push_back(to_json(refund));
    body["refunds"] = std::move(list);
    http::Response response = http::json_response(200, json::serialize(body));
    response.headers.emplace_back("ETag", std::move(etag));
    return response;
}

awaitable<http::Response> get_payment(PaymentService& payments, http::TokenVerifier& tokens,
                                      const http::Request& request) {
    const auto caller = http::authenticate(request, tokens);
    if (!caller) co_return http::problem(caller.error());
    const auto id = PaymentId::parse(request.parameter("id"));
    if (!id) co_return http::problem(no_such_payment());
    const auto payment = co_await http::wait_for<Result<Payment>>(
        [&](auto done) { payments.find(*id, *caller, std::move(done)); });
    if (!payment) co_return http::problem(payment.error());
    const auto refunds = co_await http::wait_for<Result<std::vector<Refund>>>(
        [&](auto done) { payments.list_refunds(*id, std::move(done)); });
    co_return refunds ? payment_response(request, *payment, *refunds) : http::problem(refunds.error());
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

/// What an ADMIN wants of the payment in the path, but for the command itself.
Result<CommandRequest> read_command(const http::Request& request, http::TokenVerifier& tokens) {
    const auto caller = http::authenticate(request, tokens);
    if (!caller) return caller.error();
    if (caller->role != Role::admin) {
        return Error{ErrorCode::forbidden, "Only ADMIN may capture and void payments.", {}, 0};
    }
    const auto id = PaymentId::parse(request.parameter("id"));
    if (!id) return no_such_payment();
    auto key = http::read_idempotency_key(request);
    if (!key) return key.error();
    return CommandRequest{.id = *id,
                          .command = VoidPayment{},
                          .expected_versions = http::read_expected_versions(request),
                          .requested_by = caller->user_id,
                          .idempotency_key = std::move(*key)};
}

Result<CapturePayment> parse_capture(std::string_view body) {
    CapturePayment capture;
    if (body.empty()) return capture;
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    capture.amount_minor = reader.optional_integer("amount", 1, max_amount_minor);
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    return capture;
}

awaitable<http::Response> command_payment(PaymentService& payments, CommandRequest command) {
    const auto answer = co_await http::wait_for<Result<CommandedPayment>>(
        [&](auto done) { payments.command(std::move(command), std::move(done)); });
    if (!answer) co_return http::problem(answer.error());
    http::Response response = http::json_response(202, json::serialize(to_json(answer->payment)));
    response.headers.emplace_back("ETag", to_etag(answer->payment, {}));
    if (answer->replayed) response.headers.emplace_back("Idempotency-Replayed", "true");
    co_return response;
}

awaitable<http::Response> capture_payment(PaymentService& payments, http::TokenVerifier& tokens,
                                          const http::Request& request) {
    auto command = read_command(request, tokens);
    if (!command) co_return http::problem(command.error());
    const auto capture = parse_capture(request.body);
    if (!capture) co_return http::problem(capture.error());
    command->command = *capture;
    command->fingerprint =
        "capture " + command->id.to_string() + " " +
        (capture->amount_minor ? std::to_string(*capture->amount_minor) : std::string("all"));
    co_return co_await command_payment(payments, *std::move(command));
}

awaitable<http::Response> void_payment(PaymentService& payments, http::TokenVerifier& tokens,
                                       const http::Request& request) {
    auto command = read_command(request, tokens);
    if (!command) co_return http::problem(command.error());
    command->fingerprint = "void " + command->id.to_string();
    co_return co_await command_payment(payments, *std::move(command));
}

}  // namespace

void add_payment_routes(http::Router& router, PaymentService& payments, http::TokenVerifier& tokens) {
    router.add(http::Method::get, "/payments/{id}",
               [&](http::Request& request) { return get_payment(payments, tokens, request); });
    router.add(http::Method::get, "/payments",
               [&](http::Request& request) { return list_payments(payments, tokens, request); });
    router.add(http::Method::post, "/payments/{id}/capture",
               [&](http::Request& request) { return capture_payment(payments, tokens, request); });
    router.add(http::Method::post, "/payments/{id}/void",
               [&](http::Request& request) { return void_payment(payments, tokens, request); },
               {.body = http::Router::BodyKind::none});
}

}  // namespace quittance::payments
