#include "apps/secrets.hpp"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace quittance::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string refusal_of(const std::string& value) {
    try {
        static_cast<void>(clean_secret("STRIPE_API_KEY", value));
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return {};
}

TEST(SecretsTest, a_single_line_break_at_the_end_is_cut) {
    EXPECT_EQ(clean_secret("KEY", "hunter2").reveal(), "hunter2");
    EXPECT_EQ(clean_secret("KEY", "hunter2\n").reveal(), "hunter2");
    EXPECT_EQ(clean_secret("KEY", "hunter2\r\n").reveal(), "hunter2");
    EXPECT_EQ(clean_secret("KEY", "three blue kettles").reveal(), "three blue kettles");
    EXPECT_TRUE(clean_secret("KEY", "\n").empty());
}

TEST(SecretsTest, other_white_space_at_the_ends_is_refused_by_the_settings_name_without_the_value) {
    for (const char* value :
         {" ", "hunter2 ", " hunter2", "hunter2\n\n", "hunter2 \n", "\nhunter2", "hunter2\t", "hun\nter2"}) {
        const std::string message = refusal_of(value);
        EXPECT_THAT(message, HasSubstr("STRIPE_API_KEY")) << value;
        EXPECT_THAT(message, HasSubstr("printf"));
        EXPECT_THAT(message, Not(HasSubstr("ter2")));
    }
}

TEST(SecretsTest, the_environment_goes_by_the_same_rule) {
    ::setenv("QUITTANCE_TEST_SECRET", "hunter2\n", 1);
    EXPECT_EQ(secret_from_environment("QUITTANCE_TEST_SECRET")->reveal(), "hunter2");
    ::setenv("QUITTANCE_TEST_SECRET", " ", 1);
    EXPECT_THROW(static_cast<void>(secret_from_environment("QUITTANCE_TEST_SECRET")), ConfigurationError);
    ::unsetenv("QUITTANCE_TEST_SECRET");
    EXPECT_FALSE(secret_from_environment("QUITTANCE_TEST_SECRET").has_value());
}

}  // namespace
}  // namespace quittance::apps
