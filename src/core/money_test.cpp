#include "core/money.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace quittance {
namespace {

Money money(std::int64_t minor, std::string_view code) {
    return {minor, *Currency::parse(code)};
}

TEST(MoneyTest, currencies_are_the_active_codes_in_upper_case_only) {
    for (const char* code : {"EUR", "USD", "JPY", "KWD", "CLF", "ZWG", "AED", "BIF", "XPF", "XCG"}) {
        const auto currency = Currency::parse(code);
        ASSERT_TRUE(currency) << code;
        EXPECT_EQ(currency->code(), code);
    }
    for (const char* text : {"", "E", "EU", "EURO", "eur", "XXX", "XAU", "DEM", "HRK", "D A", "R E", "   "}) {
        EXPECT_FALSE(Currency::parse(text)) << text;
    }
}

TEST(MoneyTest, exponents_follow_iso_4217) {
    EXPECT_EQ(Currency::parse("EUR")->exponent(), 2);
    EXPECT_EQ(Currency::parse("JPY")->exponent(), 0);
    EXPECT_EQ(Currency::parse("JOD")->exponent(), 3);
    EXPECT_EQ(Currency::parse("UYW")->exponent(), 4);
}

TEST(MoneyTest, sums_stay_in_range_or_are_none) {
    EXPECT_EQ(add_amounts(0, 0), 0);
    EXPECT_EQ(add_amounts(max_amount_minor - 1, 1), max_amount_minor);
    EXPECT_EQ(add_amounts(max_amount_minor, 1), std::nullopt);
    EXPECT_EQ(add_amounts(5, -6), std::nullopt);
    EXPECT_EQ(add_amounts(std::numeric_limits<std::int64_t>::max(), 1), std::nullopt);
}

TEST(MoneyTest, products_stay_in_range_or_are_none) {
    EXPECT_EQ(multiply_amount(1999, 3), 5997);
    EXPECT_EQ(multiply_amount(0, std::numeric_limits<std::int64_t>::max()), 0);
    EXPECT_EQ(multiply_amount(max_amount_minor, 1), max_amount_minor);
    EXPECT_EQ(multiply_amount(max_amount_minor / 2 + 1, 2), std::nullopt);
    EXPECT_EQ(multiply_amount(-1, 2), std::nullopt);
    EXPECT_EQ(multiply_amount(std::int64_t{1} << 40, std::int64_t{1} << 40), std::nullopt);
}

TEST(MoneyTest, people_read_it_with_the_digits_of_its_currency) {
    EXPECT_EQ(to_string(money(1250, "EUR")), "12.50 EUR");
    EXPECT_EQ(to_string(money(5, "EUR")), "0.05 EUR");
    EXPECT_EQ(to_string(money(0, "EUR")), "0.00 EUR");
    EXPECT_EQ(to_string(money(500, "JPY")), "500 JPY");
    EXPECT_EQ(to_string(money(1250, "JOD")), "1.250 JOD");
    EXPECT_EQ(to_string(money(1, "CLF")), "0.0001 CLF");
    EXPECT_EQ(to_string(money(-1250, "EUR")), "-12.50 EUR");
    EXPECT_EQ(to_string(money(max_amount_minor, "EUR")), "90071992547409.91 EUR");
    EXPECT_EQ(to_string(money(std::numeric_limits<std::int64_t>::min(), "EUR")), "-92233720368547758.08 EUR");
}

}  // namespace
}  // namespace quittance
