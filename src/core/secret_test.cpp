#include "core/secret.hpp"

#include <algorithm>
#include <sstream>
#include <type_traits>

#include <gtest/gtest.h>

namespace quittance {
namespace {

template <class T>
concept Streamable = requires(std::ostream& stream, const T& value) {
    stream << value;
};

static_assert(!Streamable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<std::string, Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);

TEST(SecretTest, it_reveals_what_it_holds) {
    const Secret secret("hunter2");
    EXPECT_EQ(secret.reveal(), "hunter2");
    EXPECT_FALSE(secret.empty());
    EXPECT_TRUE(Secret().empty());
}

TEST(SecretTest, copies_hold_the_same_and_live_on_their_own) {
    const std::string long_text(200, 'k');
    Secret original(long_text);
    Secret copy(original);
    original = Secret("other");
    EXPECT_EQ(copy.reveal(), long_text);
    EXPECT_EQ(original.reveal(), "other");
    Secret& alias = copy;
    copy = alias;
    EXPECT_EQ(copy.reveal(), long_text);
}

TEST(SecretTest, a_secret_that_was_moved_away_leaves_no_character_behind) {
    for (const std::size_t length : {7U, 15U, 200U}) {
        Secret source(std::string(length, 'k'));
        const Secret target(std::move(source));
        EXPECT_EQ(target.reveal(), std::string(length, 'k'));
        const std::string& rest = source.reveal();
        EXPECT_TRUE(rest.empty());
        // Looking behind the end of the text is the point: the buffer is the string's own.
        const char* buffer = rest.data();
        EXPECT_TRUE(std::all_of(buffer, buffer + rest.capacity(), [](char c) { return c == '\0'; }));
    }
}

}  // namespace
}  // namespace quittance
