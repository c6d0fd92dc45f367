#include "payments/ledger_http.hpp"

#include <optional>
#include <string>
#include <utility>

#include <boost/json.hpp>

#include "http/await.hpp"
#include "http/problem.hpp"

namespace quittance::payments {

namespace json = boost::json;
using boost::asio::awaitable;

namespace {

constexpr std::int64_t default_page_size = 50;
constexpr std::int64_t max_page_size = 200;

Error malformed(std::string detail) {
    return Error{ErrorCode::malformed, std::move(detail), {}, 0};
}

Result<Done> require_admin(const http::Request& request, http::TokenVerifier& tokens) {
    const auto caller = http::authenticate(request, tokens);
    if (!caller) return caller.error();
    if (caller->role != Role::admin) {
        return Error{ErrorCode::forbidden, "Only ADMIN may see the ledger.", {}, 0};
    }
    return Done{};
}

Result<LedgerQuery> read_query(const http::Request& request) {
    LedgerQuery query;
    query.limit = default_page_size;
    const std::string* order = request.query_value("orderId");
    const auto order_id = order == nullptr ? std::nullopt : OrderId::parse(*order);
    if (!order_id) {
        return malformed(order == nullptr ? "The query parameter orderId is required."
                                          : "The query parameter orderId must be a UUID.");
    }
    query.order_id = *order_id;
    if (const std::string* limit = request.query_value("limit")) {
        query.limit = parse_whole_number(*limit).value_or(0);
        if (query.limit < 1 || query.limit > max_page_size) {
            return malformed("The query parameter limit must be a number from 1 to 200.");
        }
    }
    if (const std::string* cursor = request.query_value("cursor")) {
        const auto after = parse_ledger_cursor(*cursor);
        if (!after) return malformed("The query parameter cursor is not one that this service gave out.");
        query.after = *after;
    }
    return query;
}

json::object to_json(const LedgerEntry& entry) {
    return {{"chain", entry.chain},
            {"sequence", entry.seq},
            {"paymentId", entry.payment_id},
            {"movement", entry.movement},
            {"account", entry.account},
            {"amount", entry.amount_minor},
            {"currency", entry.currency},
            {"postedAt", to_rfc3339(timestamp_from_ms(entry.posted_at_ms))},
            {"hash", entry.hash}};
}

awaitable<http::Response> read_balances(LedgerReader& ledger, http::TokenVerifier& tokens,
                                        const http::Request& request) {
    const auto admin = require_admin(request, tokens);
    if (!admin) co_return http::problem(admin.error());
    const auto balances = co_await http::wait_for<Result<std::vector<Balance>>>(
        [&](auto done) { ledger.balances(std::move(done)); });
    if (!balances) co_return http::problem(balances.error());
    json::array data;
    for (const Balance& balance : *balances) {
        data.push_back({{"account", balance.account},
                        {"currency", balance.currency},
                        {"balance", balance.amount_minor}});
    }
    co_return http::json_response(200, json::serialize(json::object{{"data", std::move(data)}}));
}

awaitable<http::Response> read_entries(LedgerReader& ledger, http::TokenVerifier& tokens,
                                       const http::Request& request) {
    const auto admin = require_admin(request, tokens);
    if (!admin) co_return http::problem(admin.error());
    const auto query = read_query(request);
    if (!query) co_return http::problem(query.error());
    const auto page = co_await http::wait_for<Result<LedgerPage>>(
        [&](auto done) { ledger.entries(*query, std::move(done)); });
    if (!page) co_return http::problem(page.error());
    json::array data;
    for (const LedgerEntry& entry : page->entries)
        data.push_back(to_json(entry));
    json::object object{{"data", std::move(data)}, {"nextCursor", nullptr}};
    if (page->has_more) {
        const LedgerEntry& last = page->entries.back();
        object["nextCursor"] = to_text(LedgerCursor{last.posted_at_ms, last.chain, last.seq});
    }
    co_return http::json_response(200, json::serialize(object));
}

}  // namespace

void add_ledger_routes(http::Router& router, LedgerReader& ledger, http::TokenVerifier& tokens) {
    router.add(http::Method::get, "/ledger/balances",
               [&](http::Request& request) { return read_balances(ledger, tokens, request); });
    router.add(http::Method::get, "/ledger/entries",
               [&](http::Request& request) { return read_entries(ledger, tokens, request); });
}

}  // namespace quittance::payments
