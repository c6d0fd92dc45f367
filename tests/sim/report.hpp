// What the programs print.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "tests/sim/runner.hpp"

namespace quittance::sim {

/// How many seeds, how fast, and what went wrong in them by plan.
void print_summary(std::ostream& out, const Summary& summary);

/// Plays one seed and prints its plan and its history.
void print_story(std::ostream& out, std::uint64_t seed);

/// Plays the seed that failed, makes its story short and tells it.
void print_violation(std::ostream& out, std::uint64_t seed, const std::string& commit);

}  // namespace quittance::sim
