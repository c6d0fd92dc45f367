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

TEST(Utf8, code_points_are_counted) {
    EXPECT_EQ(count_characters(""), 0u);
    EXPECT_EQ(count_characters("a\u00e9\u20ac\U0001F600"), 4u);
    EXPECT_EQ(code_points("a\u00e9\u20ac\U0001F600"), U"a\u00e9\u20ac\U0001F600");
}

TEST(Utf8, nfc_composes_equivalent_texts) {
    EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
    EXPECT_EQ(to_nfc("\u1112\u1161\u11ab"), "\ud55c") << "Hangul";
    EXPECT_EQ(to_nfc("\u212b"), "\u00c5") << "the sign for \u00e5ngstr\u00f6m is a letter";
    EXPECT_EQ(to_nfc("q\u0307\u0323"), "q\u0323\u0307") << "marks have an order";
    EXPECT_EQ(to_nfc("\ufb01"), "\ufb01") << "compatibility forms stay: a ligature is not two letters";
    EXPECT_EQ(to_nfc("plain"), "plain");
    EXPECT_EQ(to_nfc(""), "");
}

}  // namespace
}  // namespace quittance
