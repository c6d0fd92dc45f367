#include "http/http_date.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace quittance::http {

namespace {

constexpr std::array<std::string_view, 7> weekdays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/// Digits stand for themselves, and all other characters as they are.
constexpr std::string_view shape = "Ddd, 00 Mmm 0000 00:00:00 GMT";

bool has_shape(std::string_view text) {
    if (text.size() != shape.size()) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == '0' && !is_digit) return false;
        const bool is_fixed = shape[i] == ',' || shape[i] == ' ' || shape[i] == ':' || i >= 26;
        if (is_fixed && text[i] != shape[i]) return false;
    }
    return true;
}

int number(std::string_view digits) {
    int value = 0;
    for (const char digit : digits)
        value = value * 10 + (digit - '0');
    return value;
}

}  // namespace

std::optional<Timestamp> parse_http_date(std::string_view text) {
    if (!has_shape(text)) return std::nullopt;
    const auto* month = std::ranges::find(months, text.substr(8, 3));
    if (month == months.end()) return std::nullopt;
    const std::chrono::year_month_day date(
        std::chrono::year(number(text.substr(12, 4))),
        std::chrono::month(static_cast<unsigned>(month - months.begin() + 1)),
        std::chrono::day(static_cast<unsigned>(number(text.substr(5, 2)))));
    const int hours = number(text.substr(17, 2));
    const int minutes = number(text.substr(20, 2));
    const int seconds = number(text.substr(23, 2));
    // 60 is a leap second.
    if (!date.ok() || hours > 23 || minutes > 59 || seconds > 60) return std::nullopt;
    const std::chrono::sys_days day(date);
    if (weekdays.at(std::chrono::weekday(day).c_encoding()) != text.substr(0, 3)) return std::nullopt;
    return day + std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(seconds);
}

}  // namespace quittance::http
