#include "core/utf8.hpp"

#include <string>

#include <gtest/gtest.h>

namespace quittance {
namespace {

TEST(Utf8, AcceptsCharactersOfEveryLength) {
    EXPECT_TRUE(is_utf8(""));
    EXPECT_TRUE(is_utf8("plain"));
    EXPECT_TRUE(is_utf8("\xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"));
    EXPECT_EQ(utf8_character_bytes("\xE2\x82\xAC"
                                   "rest"),
              3u);
}

TEST(Utf8, RefusesWhatOnlyLooksLikeIt) {
    EXPECT_FALSE(is_utf8("\x80")) << "a continuation byte alone";
    EXPECT_FALSE(is_utf8("\xC0\xAF")) << "overlong slash, two bytes";
    EXPECT_FALSE(is_utf8("\xE0\x80\xAF")) << "overlong slash, three bytes";
    EXPECT_FALSE(is_utf8("\xF0\x80\x80\xAF")) << "overlong slash, four bytes";
    EXPECT_FALSE(is_utf8("\xED\xA0\x80")) << "a surrogate";
    EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80")) << "above U+10FFFF";
    EXPECT_FALSE(is_utf8("\xF5\x80\x80\x80"));
    EXPECT_FALSE(is_utf8("\xE2\x82")) << "cut short";
    EXPECT_FALSE(is_utf8("\xE2\x28\xA1"));
    EXPECT_FALSE(is_utf8("\xFF"));
}

}  // namespace
}  // namespace quittance
