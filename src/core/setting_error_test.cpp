#include "core/setting_error.hpp"

#include <gtest/gtest.h>

namespace quittance {
namespace {

TEST(SettingErrorTest, a_wrong_setting_is_named_with_its_value_what_is_wanted_and_an_example) {
    EXPECT_STREQ(wrong_setting("PORT", "abc", "a number", "PORT=8080").what(),
                 "PORT is \"abc\"; it must be a number, such as PORT=8080");
    EXPECT_STREQ(wrong_setting("PORT", "", "a number", "").what(), "PORT is \"\"; it must be a number");
}

TEST(SettingErrorTest, what_cannot_be_seen_in_a_value_is_shown) {
    EXPECT_EQ(quoted_value("a\nb\r\t\x01\"\\"), R"("a\nb\r\t\x01\"\\")");
    EXPECT_EQ(quoted_value(std::string(200, 'x')), "\"" + std::string(100, 'x') + "\"...");
}

}  // namespace
}  // namespace quittance
