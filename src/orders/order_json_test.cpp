#include "orders/order_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::orders {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

TEST(ProductCursorTest, leads_back_to_the_product) {
    const std::string longest(max_product_id_bytes, 'x');
    for (const std::string& id :
         {std::string("a"), std::string("ceramic-mug"), std::string("Kännchen / 2"), longest})
        EXPECT_EQ(parse_product_cursor(to_product_cursor(id)), id);
}

TEST(ProductCursorTest, what_we_did_not_give_out_is_none) {
    const std::string nul("a\0b", 3);
    for (const std::string& cursor :
         {std::string(), std::string("nonsense"), std::string("ceramic-mug"), std::string("YQ=="),
          std::string("YR"), std::string(" YQ"),
          to_product_cursor(std::string(max_product_id_bytes + 1, 'x')), to_product_cursor(nul)})
        EXPECT_EQ(parse_product_cursor(cursor), std::nullopt) << cursor;
}

TEST(IfMatchTest, every_version_of_a_list_is_read) {
    EXPECT_THAT(parse_if_match("\"2\""), Optional(ElementsAre(2)));
    EXPECT_THAT(parse_if_match(R"("2", "3")"), Optional(ElementsAre(2, 3)));
    EXPECT_THAT(parse_if_match("\"2\",\t\"10\" ,, \"4\""), Optional(ElementsAre(2, 10, 4)));
    EXPECT_THAT(parse_if_match(R"(W/"2", "other", "3")"), Optional(ElementsAre(3)));
}

TEST(IfMatchTest, without_a_condition_any_version_will_do) {
    EXPECT_EQ(parse_if_match(""), std::nullopt);
    EXPECT_EQ(parse_if_match("*"), std::nullopt);
}

TEST(IfMatchTest, tags_that_are_none_of_ours_match_no_version) {
    for (const char* header :
         {"2", "W/\"2\"", "\"\"", "\"2x\"", "\"2", "\"", ",", " ", "\"99999999999999\"", "\"x,2\""})
        EXPECT_THAT(parse_if_match(header), Optional(IsEmpty())) << header;
}

}  // namespace
}  // namespace quittance::orders
