// Makes a story short: the fewest clients, wishes and faults with which the same promise is still broken.
#pragma once

#include "tests/sim/world.hpp"

namespace quittance::sim {

struct Shrunk {
    Plan plan;
    Outcome outcome;
    int plays = 0;
};

/// `plan` must break a promise.
[[nodiscard]] Shrunk shrink(const Plan& plan, Templates& templates);

}  // namespace quittance::sim
