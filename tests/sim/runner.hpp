// Plays many seeds on several processors, and adds up what came of them.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/sim/faults.hpp"

namespace quittance::sim {

struct Range {
    std::uint64_t first = 1;
    std::uint64_t count = 1;
    unsigned jobs = 1;
};

struct Summary {
    std::uint64_t seeds = 0;
    std::uint64_t orders = 0;
    std::uint64_t crashes = 0;
    /// Over the histories of all seeds, whatever the number of jobs.
    std::uint64_t digest = 0;
    FaultCounts injected{};
    double seconds = 0;
    /// The lowest seed that a worker stopped at; it broke a promise, or took the worker down.
    std::optional<std::uint64_t> failed_seed;
};

/// Each worker stops at its first violation. Throws std::runtime_error when the system gives no workers.
[[nodiscard]] Summary play_all(const Range& range);

}  // namespace quittance::sim
