#include "telemetry/trace.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace quittance::telemetry {
namespace {

class SameBytes final : public Random {
public:
    explicit SameBytes(std::byte byte) : byte_(byte) {}
    void fill(std::span<std::byte> bytes) override { std::ranges::fill(bytes, byte_); }

private:
    std::byte byte_;
};

constexpr std::string_view example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, IsRead) {
    const auto parsed = parse_traceparent(example);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(parsed->parent_id, "00f067aa0ba902b7");
    EXPECT_TRUE(parsed->sampled);
    EXPECT_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02")->sampled);
    EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-future"));
}

TEST(Traceparent, IsRefusedWhenItIsMalformed) {
    for (const char* text : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                             "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                             "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                             "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
                             "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
        EXPECT_FALSE(parse_traceparent(text)) << text;
    }
}

TEST(ContinueTrace, TakesTheCallersElseGooglesElseANewOne) {
    SameBytes random(std::byte{0xAB});
    const std::string google = "105445AA7843BC8BF206B12000100000/1;o=1";
    EXPECT_EQ(continue_trace(example, google, random), example);
    EXPECT_EQ(continue_trace("bad", google, random),
              "00-105445aa7843bc8bf206b12000100000-0000000000000001-01");
    EXPECT_EQ(continue_trace("", "105445aa7843bc8bf206b12000100000", random),
              "00-105445aa7843bc8bf206b12000100000-abababababababab-00");
    EXPECT_EQ(continue_trace("", "105445aa7843bc8bf206b12000100000/18446744073709551615;o=0", random),
              "00-105445aa7843bc8bf206b12000100000-ffffffffffffffff-00");
    EXPECT_EQ(continue_trace("", "short/1", random),
              "00-abababababababababababababababab-abababababababab-00");
}

TEST(NewTraceparent, IsValidWhateverTheRandomnessIs) {
    SameBytes zero(std::byte{0});
    SystemRandom system;
    EXPECT_TRUE(parse_traceparent(new_traceparent(zero)));
    EXPECT_NE(new_traceparent(system), new_traceparent(system));
}

}  // namespace
}  // namespace quittance::telemetry
