#include "core/money.hpp"

#include <algorithm>

namespace quittance {

namespace {

// ISO 4217 list one, active funds without the precious metals and testing codes; grouped by minor unit.
constexpr std::string_view without_minor_unit =
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
constexpr std::string_view with_three_digits = "BHD IQD JOD KWD LYD OMR TND";
constexpr std::string_view with_four_digits = "CLF UYW";
constexpr std::string_view with_two_digits =
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ "
    "GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD "
    "MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON "
    "RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS "
    "UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG";

constexpr std::size_t stride = 4;  // Three letters and a space.

constexpr bool is_sorted(std::string_view codes) {
    for (std::size_t at = stride; at < codes.size(); at += stride) {
        if (codes.substr(at - stride, 3) >= codes.substr(at, 3)) return false;
    }
    return true;
}
static_assert(is_sorted(without_minor_unit) && is_sorted(with_two_digits) && is_sorted(with_three_digits) &&
              is_sorted(with_four_digits));

bool lists(std::string_view codes, std::string_view code) {
    std::size_t first = 0;
    std::size_t end = (codes.size() + 1) / stride;
    while (first < end) {
        const std::size_t middle = first + (end - first) / 2;
        const int order = codes.compare(middle * stride, 3, code);
        if (order == 0) return true;
        (order < 0 ? first : end) = order < 0 ? middle + 1 : middle;
    }
    return false;
}

}  // namespace

std::optional<Currency> Currency::parse(std::string_view code) {
    if (code.size() != 3) return std::nullopt;
    if (!lists(with_two_digits, code) && !lists(without_minor_unit, code) &&
        !lists(with_three_digits, code) && !lists(with_four_digits, code)) {
        return std::nullopt;
    }
    Currency currency;
    std::ranges::copy(code, currency.code_.begin());
    return currency;
}

int Currency::exponent() const {
    if (lists(without_minor_unit, code())) return 0;
    if (lists(with_three_digits, code())) return 3;
    if (lists(with_four_digits, code())) return 4;
    return 2;
}

std::optional<std::int64_t> add_amounts(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum) || sum < 0 || sum > max_amount_minor) return std::nullopt;
    return sum;
}

std::optional<std::int64_t> multiply_amount(std::int64_t unit, std::int64_t quantity) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(unit, quantity, &product) || product < 0 || product > max_amount_minor) {
        return std::nullopt;
    }
    return product;
}

std::string to_string(const Money& money) {
    const auto exponent = static_cast<std::size_t>(money.currency.exponent());
    // Negated as unsigned, because the most negative value has no positive counterpart.
    const auto bits = static_cast<std::uint64_t>(money.minor);
    std::string digits = std::to_string(money.minor < 0 ? 0 - bits : bits);
    if (digits.size() <= exponent) digits.insert(0, exponent + 1 - digits.size(), '0');
    if (exponent > 0) digits.insert(digits.size() - exponent, 1, '.');
    return (money.minor < 0 ? "-" : "") + digits + " " + std::string(money.currency.code());
}

}  // namespace quittance
