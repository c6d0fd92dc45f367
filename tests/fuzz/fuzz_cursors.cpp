// What callers send in a path and a query is decoded once and cannot grow, and a cursor is one that we gave
// out.
#include "core/ids.hpp"
#include "core/utf8.hpp"
#include "http/url.hpp"
#include "orders/order_json.hpp"
#include "payments/ledger_cursor.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance {
namespace {

using fuzz::require;

std::string escaped(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string all;
    for (const char c : text) {
        all += '%';
        all += digits[static_cast<unsigned char>(c) >> 4U];
        all += digits[static_cast<unsigned char>(c) & 15U];
    }
    return all;
}

void try_order_cursor(std::string_view text) {
    const auto id = OrderId::parse(text);
    if (!id) return;
    require(text.size() == 36, "an id is written in one form");
    require(OrderId::parse(id->to_string()) == id, "an id is written as it is read");
}

void try_ledger_cursor(std::string_view text) {
    const auto cursor = payments::parse_ledger_cursor(text);
    if (!cursor) return;
    require(cursor->posted_at_ms >= 0 && cursor->chain >= 0 && cursor->seq >= 0,
            "no cursor lies before the first");
    require(text.find_first_not_of("0123456789.") == std::string_view::npos,
            "a cursor has digits and dots only");
    require(payments::parse_ledger_cursor(payments::to_text(*cursor)) == cursor,
            "a cursor is written as it is read");
}

void try_product_cursor(std::string_view text) {
    const auto id = orders::parse_product_cursor(text);
    if (!id) return;
    require(!id->empty() && count_characters(*id) <= orders::max_product_id_characters,
            "a product's id has its limits");
    require(is_utf8(*id) && id->find('\0') == std::string::npos, "a product's id can be looked for");
    require(orders::to_product_cursor(*id) == text, "a cursor is written as it is read");
}

void try_value(std::string_view text) {
    require(is_utf8(text) && text.find('\0') == std::string_view::npos, "what is decoded can be stored");
    require(http::percent_decode(escaped(text)) == std::string(text), "what is escaped comes back");
    try_order_cursor(text);
    try_product_cursor(text);
    try_ledger_cursor(text);
}

void try_target(std::string_view text) {
    const auto target = http::split_target(text);
    if (!target) return;
    require(target->path == "*" || target->path.starts_with('/'), "a path begins with a slash");
    require(target->path.size() + target->query.size() <= text.size(), "a target does not grow");
    if (const auto path = http::percent_decode(target->path)) {
        require(path->size() <= target->path.size(), "decoding does not make longer");
        try_value(*path);
    }
    const auto query = http::parse_query(target->query);
    if (!query) return;
    std::string written;
    for (const auto& [name, value] : *query) {
        try_value(name);
        try_value(value);
        if (!written.empty()) written += '&';
        written += escaped(name) + "=" + escaped(value);
    }
    require(query->empty() || http::parse_query(written) == query,
            "a query says the same however it is escaped");
}

}  // namespace
}  // namespace quittance

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance;
    fuzz::Input input(data, size);
    switch (input.choice(3)) {
        case 0: try_target(input.rest()); break;
        case 1: try_order_cursor(input.rest()); break;
        default: try_ledger_cursor(input.rest());
    }
    return 0;
}
