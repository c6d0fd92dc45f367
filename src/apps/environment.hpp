// What every part of a program shares: time, randomness, identities, metrics, calls to others.
#pragma once

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "http/client.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

struct Environment {
    SystemClock clock;
    SystemRandom random;
    IdGenerator ids{clock, random};
    telemetry::Metrics metrics;
    http::Client client;
};

}  // namespace quittance::apps
