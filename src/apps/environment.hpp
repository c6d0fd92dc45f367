// What every part of a program shares: time, randomness, identities, metrics.
#pragma once

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

struct Environment {
    SystemClock clock;
    SystemRandom random;
    IdGenerator ids{clock, random};
    telemetry::Metrics metrics;
};

}  // namespace quittance::apps
