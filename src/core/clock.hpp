// Time as a port, so that tests and simulations decide it.
#pragma once

#include <chrono>
#include <string>

namespace quittance {

/// A moment in UTC with millisecond resolution: what is stored, sent and shown.
using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

[[nodiscard]] inline Timestamp timestamp_from_ms(std::int64_t ms) {
    return Timestamp(std::chrono::milliseconds(ms));
}
[[nodiscard]] inline std::int64_t to_ms(Timestamp time) {
    return time.time_since_epoch().count();
}

/// RFC 3339 in UTC with milliseconds: 2026-11-22T20:03:45.123Z.
[[nodiscard]] std::string to_rfc3339(Timestamp time);

/// Thread safe.
class Clock {
public:
    virtual ~Clock() = default;
    /// Wall time; may jump.
    [[nodiscard]] virtual Timestamp now() const = 0;
    /// Never goes back; for durations and deadlines.
    [[nodiscard]] virtual std::chrono::steady_clock::time_point steady_now() const = 0;
};

class SystemClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override;
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override;
};

}  // namespace quittance
