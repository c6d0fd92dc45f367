// How long to wait before the next attempt: exponential backoff with an upper bound and jitter. Pure: the
// time and the randomness are the caller's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "core/random.hpp"

namespace quittance {

/// The pause doubles with each failure in a row, from `first` to `longest`. Both positive, first <= longest.
struct BackoffLimits {
    std::chrono::milliseconds first{200};
    std::chrono::milliseconds longest{30'000};
};

/// The pause after `failures` failures in a row, without jitter. Zero failures: no pause.
[[nodiscard]] constexpr std::chrono::milliseconds backoff_without_jitter(BackoffLimits limits, int failures) {
    if (failures <= 0) return std::chrono::milliseconds{0};
    std::chrono::milliseconds pause = limits.first;
    for (int i = 1; i < failures && pause < limits.longest; ++i)
        pause *= 2;
    return std::min(pause, limits.longest);
}

/// The same with jitter: uniform over the upper half of it, so that clients that failed together do not
/// come back together.
[[nodiscard]] inline std::chrono::milliseconds backoff(BackoffLimits limits, int failures, Random& random) {
    const std::chrono::milliseconds pause = backoff_without_jitter(limits, failures);
    if (pause.count() <= 0) return pause;
    const auto half = static_cast<std::uint64_t>(pause.count() / 2);
    return pause - std::chrono::milliseconds(random.below(half + 1));
}

/// Counts the failures in a row of one thing that is tried again (a server, a queue, a message) and knows
/// when the next attempt is due. Not thread safe.
class Backoff {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    explicit Backoff(BackoffLimits limits) : limits_(limits) {}

    /// An attempt failed at `now`. Returns the pause that begins then.
    std::chrono::milliseconds failed(TimePoint now, Random& random) {
        count_failure();
        return begin_pause(now, backoff(limits_, failures_, random));
    }
    /// The same without jitter, where only one client exists.
    std::chrono::milliseconds failed(TimePoint now) {
        count_failure();
        return begin_pause(now, backoff_without_jitter(limits_, failures_));
    }
    /// An attempt succeeded: the next one is due at once, and the next pause is the first again.
    void succeeded() {
        failures_ = 0;
        not_before_ = {};
    }

    [[nodiscard]] int failures() const { return failures_; }
    [[nodiscard]] TimePoint not_before() const { return not_before_; }
    [[nodiscard]] bool due(TimePoint now) const { return now >= not_before_; }

private:
    /// More failures than this do not make the pause longer, whatever the limits are.
    static constexpr int max_failures = 1'000'000;

    void count_failure() {
        if (failures_ < max_failures) ++failures_;
    }
    std::chrono::milliseconds begin_pause(TimePoint now, std::chrono::milliseconds pause) {
        not_before_ = now + pause;
        return pause;
    }

    BackoffLimits limits_;
    int failures_ = 0;
    TimePoint not_before_{};
};

}  // namespace quittance
