#include "core/random.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include <sys/random.h>

#include "core/error.hpp"

namespace quittance {

namespace {

void read_kernel_random(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            throw std::system_error(errno, std::generic_category(), "getrandom");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
}

}  // namespace

std::uint64_t Random::below(std::uint64_t bound) {
    ensure(bound > 0, "Random::below needs a positive bound");
    // Values under `threshold` would make the low remainders more likely than the others.
    const std::uint64_t threshold = (0 - bound) % bound;
    while (true) {
        std::uint64_t value = 0;
        fill(std::as_writable_bytes(std::span(&value, 1)));
        if (value >= threshold) return value % bound;
    }
}

std::string Random::token(std::size_t byte_count) {
    std::vector<std::byte> bytes(byte_count);
    fill(bytes);
    return to_base64url(bytes);
}

void SystemRandom::fill(std::span<std::byte> bytes) {
    struct Block {
        std::array<std::byte, 4096> bytes{};
        std::size_t used = 4096;
    };
    static thread_local Block block;
    if (bytes.size() > block.bytes.size()) return read_kernel_random(bytes);
    if (block.bytes.size() - block.used < bytes.size()) {
        read_kernel_random(block.bytes);
        block.used = 0;
    }
    const auto source = std::span(block.bytes).subspan(block.used, bytes.size());
    std::memcpy(bytes.data(), source.data(), source.size());
    std::ranges::fill(source, std::byte{0});
    block.used += bytes.size();
}

std::string to_base64url(std::span<const std::byte> bytes) {
    static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    text.reserve((bytes.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    int bit_count = 0;
    for (const std::byte byte : bytes) {
        bits = (bits << 8) | std::to_integer<std::uint32_t>(byte);
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            text.push_back(alphabet[(bits >> bit_count) & 63]);
        }
    }
    if (bit_count > 0) text.push_back(alphabet[(bits << (6 - bit_count)) & 63]);
    return text;
}

}  // namespace quittance
