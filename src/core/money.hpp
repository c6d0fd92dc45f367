// Money: whole minor units of an ISO 4217 currency. No floating point anywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quittance {

/// The largest amount we accept: the largest integer that every JSON client reads exactly (2^53 - 1).
inline constexpr std::int64_t max_amount_minor = 9'007'199'254'740'991;

/// An active ISO 4217 currency code, such as EUR.
class Currency {
public:
    Currency() = default;
    /// Upper-case codes of the ISO 4217 list only.
    [[nodiscard]] static std::optional<Currency> parse(std::string_view code);

    [[nodiscard]] std::string_view code() const { return {code_.data(), code_.size()}; }
    /// Digits after the decimal point: EUR 2, JPY 0, JOD 3.
    [[nodiscard]] int exponent() const;

    auto operator<=>(const Currency&) const = default;

private:
    std::array<char, 3> code_{'X', 'X', 'X'};
};

struct Money {
    std::int64_t minor = 0;
    Currency currency;

    bool operator==(const Money&) const = default;
};

/// Sum and product within [0, max_amount_minor]; nullopt when the result leaves that range.
[[nodiscard]] std::optional<std::int64_t> add_amounts(std::int64_t a, std::int64_t b);
[[nodiscard]] std::optional<std::int64_t> multiply_amount(std::int64_t unit, std::int64_t quantity);

/// For people: "12.50 EUR", "500 JPY", "1.250 JOD".
[[nodiscard]] std::string to_string(const Money& money);

}  // namespace quittance
