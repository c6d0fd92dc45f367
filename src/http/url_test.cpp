#include "http/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::http {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(SplitTarget, SeparatesPathAndQuery) {
    const auto target = split_target("/orders/1?limit=5&x=?#part");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->path, "/orders/1");
    EXPECT_EQ(target->query, "limit=5&x=?");
}

TEST(SplitTarget, AcceptsTheAbsoluteForm) {
    EXPECT_EQ(split_target("http://shop.example/orders?a=1")->path, "/orders");
    EXPECT_EQ(split_target("HTTPS://shop.example:8443")->path, "/");
    EXPECT_FALSE(split_target("http://shop.example?a=1"));
}

TEST(SplitTarget, RefusesWhatIsNoPath) {
    EXPECT_FALSE(split_target(""));
    EXPECT_FALSE(split_target("orders"));
    EXPECT_FALSE(split_target("shop.example:443"));
}

TEST(PercentDecode, UndoesEscapesAndLeavesPlusAlone) {
    EXPECT_EQ(percent_decode("/a%20b%2Fc+d%C3%BC"), "/a b/c+d\xC3\xBC");
}

TEST(PercentDecode, RefusesBadEscapesNulAndBadUtf8) {
    for (const char* text : {"%", "%4", "%4g", "%%41", "a%00b", "%C3", "\xFF", "%C0%AF"}) {
        EXPECT_FALSE(percent_decode(text)) << text;
    }
}

TEST(ParseQuery, KeepsOrderAndReadsPlusAsSpace) {
    const auto query = parse_query("a=1&b=x+y%2Bz&&c&=e&a=2");
    ASSERT_TRUE(query);
    EXPECT_THAT(*query, ElementsAre(Pair("a", "1"), Pair("b", "x y+z"), Pair("c", ""), Pair("", "e"),
                                    Pair("a", "2")));
    EXPECT_FALSE(parse_query("a=%zz"));
    EXPECT_FALSE(parse_query("a%00=1"));
}

}  // namespace
}  // namespace quittance::http
