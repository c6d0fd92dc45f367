#include "core/clock.hpp"

namespace quittance {

namespace {

/// Writes `value` with that many digits and returns where it ends.
char* put_digits(char* at, unsigned value, int digits) {
    for (int i = digits - 1; i >= 0; --i) {
        at[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

}  // namespace

// By hand, because every answer with an order has two of them, and printf's way takes ten times as long.
std::string to_rfc3339(Timestamp time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    std::string text("0000-00-00T00:00:00.000Z");
    char* at = put_digits(text.data(), static_cast<unsigned>(static_cast<int>(date.year())), 4);
    at = put_digits(at + 1, static_cast<unsigned>(date.month()), 2);
    at = put_digits(at + 1, static_cast<unsigned>(date.day()), 2);
    at = put_digits(at + 1, static_cast<unsigned>(clock.hours().count()), 2);
    at = put_digits(at + 1, static_cast<unsigned>(clock.minutes().count()), 2);
    at = put_digits(at + 1, static_cast<unsigned>(clock.seconds().count()), 2);
    put_digits(at + 1, static_cast<unsigned>(clock.subseconds().count()), 3);
    return text;
}

Timestamp SystemClock::now() const {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::chrono::steady_clock::time_point SystemClock::steady_now() const {
    return std::chrono::steady_clock::now();
}

}  // namespace quittance
