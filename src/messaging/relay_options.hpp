// What can be chosen about a relay.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/backoff.hpp"

namespace quittance::messaging {

struct RelayOptions {
    /// No other program publishes from this database: what one that died has left is taken over at once.
    bool alone = false;
    /// Rows held in memory, from their release until their removal. What comes beyond that stays in the table
    /// for a sweep.
    std::size_t max_in_flight = 4096;
    /// Looks for rows of nobody: those of instances that ended, replayed dead letters, and what follows on
    /// another instance's rows.
    std::chrono::milliseconds look_interval{100};
    /// Looks for rows of our own whose commit turned out to have succeeded long after nobody knew.
    std::chrono::milliseconds sweep_interval{1000};
    /// Pause before a message that could not be published, or a row that could not be removed, is tried
    /// again. A topic on which several messages failed in a row has one such pause for all of its messages.
    BackoffLimits retry{std::chrono::milliseconds(200), std::chrono::milliseconds(60'000)};
    /// Pause after the table could not be read. Shorter, because nothing goes on before it can.
    BackoffLimits read_retry{std::chrono::milliseconds(200), std::chrono::milliseconds(5'000)};
};

}  // namespace quittance::messaging
