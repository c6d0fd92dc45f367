#include "core/random.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace quittance {
namespace {

/// Hands out the given numbers, then throws.
class ListedRandom final : public Random {
public:
    explicit ListedRandom(std::vector<std::uint64_t> values) : values_(std::move(values)) {}
    void fill(std::span<std::byte> bytes) override {
        const std::uint64_t value = values_.at(next_++);
        std::memcpy(bytes.data(), &value, bytes.size());
    }
    [[nodiscard]] std::size_t used() const { return next_; }

private:
    std::vector<std::uint64_t> values_;
    std::size_t next_ = 0;
};

std::string base64url(std::string_view text) {
    return to_base64url(std::as_bytes(std::span(text)));
}

TEST(RandomTest, base64url_matches_the_vectors_of_rfc_4648_without_padding) {
    EXPECT_EQ(base64url(""), "");
    EXPECT_EQ(base64url("f"), "Zg");
    EXPECT_EQ(base64url("fo"), "Zm8");
    EXPECT_EQ(base64url("foo"), "Zm9v");
    EXPECT_EQ(base64url("foob"), "Zm9vYg");
    EXPECT_EQ(base64url("fooba"), "Zm9vYmE");
    EXPECT_EQ(base64url("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64url("\xff\xef\xfe"), "_-_-");
}

TEST(RandomTest, below_stays_below_and_meets_every_value) {
    SystemRandom random;
    std::array<int, 6> seen{};
    for (int i = 0; i < 6'000; ++i)
        ++seen.at(random.below(6));
    // Six standard deviations around a thousand: a fair die fails this once in a hundred million runs.
    for (const int count : seen)
        EXPECT_NEAR(count, 1'000, 175);
    EXPECT_EQ(random.below(1), 0U);
}

TEST(RandomTest, below_throws_away_what_would_favour_small_values) {
    // 2^64 mod 3 is 1: the value 0 must be drawn again.
    ListedRandom random({0, 7});
    EXPECT_EQ(random.below(3), 1U);
    EXPECT_EQ(random.used(), 2U);
    EXPECT_ANY_THROW(static_cast<void>(random.below(0)));
}

TEST(RandomTest, blocks_never_repeat_within_a_thread_nor_across_threads) {
    SystemRandom random;
    std::vector<std::vector<std::string>> made(3);
    std::vector<std::jthread> threads;
    for (auto& mine : made) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1'000; ++i)
                mine.push_back(random.token(32));
        });
    }
    threads.clear();
    std::set<std::string> all;
    for (const auto& mine : made)
        all.insert(mine.begin(), mine.end());
    EXPECT_EQ(all.size(), 3'000U);
    EXPECT_TRUE(std::ranges::all_of(all, [](const std::string& token) { return token.size() == 43; }));
}

TEST(RandomTest, more_than_one_block_is_filled_to_the_end) {
    SystemRandom random;
    std::vector<std::byte> bytes(100'000);
    random.fill(bytes);
    const auto zeros = std::ranges::count(bytes, std::byte{0});
    EXPECT_NEAR(static_cast<double>(zeros), 390.6, 120.0);
    EXPECT_NE(std::ranges::count(std::span(bytes).last(64), std::byte{0}), 64);
}

}  // namespace
}  // namespace quittance
