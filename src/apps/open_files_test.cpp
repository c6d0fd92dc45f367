#include "apps/open_files.hpp"

#include <algorithm>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace quittance::apps {
namespace {

TEST(OpenFilesTest, the_soft_limit_is_raised_to_the_hard_one) {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit low{std::min<rlim_t>(before.rlim_max, 256), before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    const auto expected = std::min<rlim_t>(before.rlim_max, 65'536);
    EXPECT_EQ(raise_open_files_limit(), expected);
    rlimit after{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
    EXPECT_EQ(after.rlim_cur, expected);
    EXPECT_EQ(after.rlim_max, before.rlim_max);
    setrlimit(RLIMIT_NOFILE, &before);
}

TEST(OpenFilesTest, clients_get_what_the_program_does_not_need_itself) {
    EXPECT_EQ(connections_within(65'536), 65'236U);
    EXPECT_EQ(connections_within(1024), 724U);
    EXPECT_EQ(connections_within(600), 300U);
    EXPECT_EQ(connections_within(100), 50U);
    EXPECT_EQ(connections_within(0), 0U);
}

}  // namespace
}  // namespace quittance::apps
