// Numbers that follow from the seed alone: the same on every machine and with every standard library.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/random.hpp"

namespace quittance::sim {

/// xoshiro256**, started by SplitMix64: https://prng.di.unimi.it/. The streams of one seed are independent,
/// so that drawing more from one leaves the others as they are.
class Prng {
public:
    enum class Stream : std::uint64_t { plan, ids, bus, provider, clients, world };

    Prng(std::uint64_t seed, Stream stream) {
        std::uint64_t x = seed * 0x2545F4914F6CDD1DULL + static_cast<std::uint64_t>(stream);
        for (std::uint64_t& word : state_) {
            x += 0x9E3779B97F4A7C15ULL;
            std::uint64_t z = x;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
            word = z ^ (z >> 31);
        }
    }

    std::uint64_t next() {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    /// Of [0, bound); the bounds here are small, so that the bias of the remainder does not matter.
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
    bool chance(unsigned percent) { return below(100) < percent; }
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    std::chrono::milliseconds milliseconds(std::int64_t low, std::int64_t high) {
        return std::chrono::milliseconds(between(low, high));
    }
    template <class Choices>
    const auto& pick(const Choices& choices) {
        return choices[below(std::size(choices))];
    }

private:
    static std::uint64_t rotate(std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

    std::array<std::uint64_t, 4> state_{};
};

/// The product's port to randomness.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : prng_(seed, Prng::Stream::ids) {}

    void fill(std::span<std::byte> bytes) override {
        while (!bytes.empty()) {
            const std::uint64_t word = prng_.next();
            const std::size_t count = std::min(bytes.size(), sizeof word);
            std::memcpy(bytes.data(), &word, count);
            bytes = bytes.subspan(count);
        }
    }

private:
    Prng prng_;
};

}  // namespace quittance::sim
