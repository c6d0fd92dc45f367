// How long a message is leased: as long as messages take to be handled, and not much longer.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace quittance::messaging {

/// Follows the time in which 99 of 100 messages are answered, within Pub/Sub's 10 to 600 seconds, as Google's
/// clients do. A longer lease costs fewer extensions; a shorter one gives the messages of a program that died
/// to another one sooner. Not thread safe.
class PubsubLeaseTime {
public:
    static constexpr std::chrono::seconds shortest{10};
    static constexpr std::chrono::seconds longest{600};

    /// A message was answered so long after it came.
    void observe(std::chrono::steady_clock::duration took);
    [[nodiscard]] std::chrono::seconds current() const;

private:
    /// Once so many were counted, older ones begin to weigh less.
    static constexpr std::uint64_t remembered = 10'000;

    std::array<std::uint64_t, static_cast<std::size_t>(longest.count()) + 1> by_seconds_{};
    std::uint64_t count_ = 0;
};

}  // namespace quittance::messaging
