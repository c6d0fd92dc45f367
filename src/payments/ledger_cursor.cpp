#include "payments/ledger_cursor.hpp"

#include <array>
#include <charconv>

namespace quittance::payments {

std::string to_text(const LedgerCursor& cursor) {
    return std::to_string(cursor.posted_at_ms) + "." + std::to_string(cursor.chain) + "." +
           std::to_string(cursor.seq);
}

std::optional<LedgerCursor> parse_ledger_cursor(std::string_view text) {
    std::array<std::int64_t, 3> numbers{};
    for (std::int64_t& number : numbers) {
        const bool is_last = &number == &numbers.back();
        const std::size_t dot = text.find('.');
        if ((dot == std::string_view::npos) != is_last) return std::nullopt;
        const auto parsed = parse_whole_number(text.substr(0, dot));
        if (!parsed) return std::nullopt;
        number = *parsed;
        if (!is_last) text.remove_prefix(dot + 1);
    }
    return LedgerCursor{numbers[0], numbers[1], numbers[2]};
}

std::optional<std::int64_t> parse_whole_number(std::string_view text) {
    // "-0" would be read as 0.
    if (text.starts_with('-')) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace quittance::payments
