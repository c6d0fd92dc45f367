// Randomness as a port, so that tests and simulations decide it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace quittance {

/// Cryptographically strong bytes. Thread safe.
class Random {
public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::byte> bytes) = 0;

    /// Uniform over [0, bound); bound must be positive.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound);
    /// `byte_count` random bytes in base64url without padding.
    [[nodiscard]] std::string token(std::size_t byte_count);
};

/// The kernel's generator, read in blocks of one page per thread.
class SystemRandom final : public Random {
public:
    void fill(std::span<std::byte> bytes) override;
};

/// base64url without padding (RFC 4648 section 5).
[[nodiscard]] std::string to_base64url(std::span<const std::byte> bytes);

}  // namespace quittance
