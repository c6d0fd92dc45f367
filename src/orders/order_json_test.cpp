#include "orders/order_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::orders {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

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
