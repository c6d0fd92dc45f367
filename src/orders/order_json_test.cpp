#include "orders/order_json.hpp"

#include <set>

#include <gtest/gtest.h>

namespace quittance::orders {
namespace {

TEST(ProductCursorTest, leads_back_to_the_product) {
    const std::string longest(max_product_id_characters, 'x');
    for (const std::string& id :
         {std::string("a"), std::string("ceramic-mug"), std::string("Kännchen / 2"), longest})
        EXPECT_EQ(parse_product_cursor(to_product_cursor(id)), id);
}

TEST(ProductCursorTest, what_we_did_not_give_out_is_none) {
    const std::string nul("a\0b", 3);
    for (const std::string& cursor :
         {std::string(), std::string("nonsense"), std::string("ceramic-mug"), std::string("YQ=="),
          std::string("YR"), std::string(" YQ"),
          to_product_cursor(std::string(max_product_id_characters + 1, 'x')), to_product_cursor(nul)})
        EXPECT_EQ(parse_product_cursor(cursor), std::nullopt) << cursor;
}

TEST(ProductETagTest, differs_for_whatever_of_the_product_differs) {
    const Product mug{"mug", "Mug", {1250, *Currency::parse("EUR")}, true};
    std::set<std::string> tags{to_etag(mug)};
    for (const auto& other :
         {Product{"cup", "Mug", mug.unit_price, true}, Product{"mug", "Mugs", mug.unit_price, true},
          Product{"mug", "Mug", {1251, mug.unit_price.currency}, true},
          Product{"mug", "Mug", {1250, *Currency::parse("USD")}, true},
          Product{"mug", "Mug", mug.unit_price, false}})
        tags.insert(to_etag(other));
    EXPECT_EQ(tags.size(), 6U);
    EXPECT_EQ(to_etag(mug), to_etag(Product(mug)));
}

TEST(OrderBodies, count_characters_and_not_bytes) {
    const std::string thai = "\u0e01";
    std::string longest;
    for (std::size_t i = 0; i < max_product_name_characters; ++i)
        longest += thai;
    const auto body = [](const std::string& name) {
        return R"({"name":")" + name + R"(","unitPrice":1,"currency":"EUR"})";
    };
    EXPECT_TRUE(parse_product(body(longest), "x"));
    const auto refused = parse_product(body(longest + thai), "x");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().faults.front().detail, "must have at most 200 characters");
}

TEST(OrderBodies, take_every_spelling_of_an_integer) {
    for (const char* quantity : {"2", "2.0", "2.00", "20e-1", "0.2E1", "2e0"}) {
        const std::string body = R"({"items":[{"productId":"mug","quantity":)" + std::string(quantity) +
                                 R"(}],"paymentMethod":"pm_card_visa"})";
        const auto order = parse_create_order(body, {});
        ASSERT_TRUE(order) << quantity;
        EXPECT_EQ(order->request.items.front().quantity, 2) << quantity;
    }
    EXPECT_FALSE(parse_create_order(
        R"({"items":[{"productId":"mug","quantity":2.5}],"paymentMethod":"pm_card_visa"})", {}));
}

}  // namespace
}  // namespace quittance::orders
