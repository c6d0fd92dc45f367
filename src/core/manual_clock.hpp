// For tests and fixed work: time that passes only when it is told to.
#pragma once

#include "core/clock.hpp"

namespace quittance {

/// Not thread safe.
class ManualClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return timestamp_from_ms(1'800'000'000'000) + passed_; }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
        return std::chrono::steady_clock::time_point(std::chrono::hours(1)) + passed_;
    }
    void advance(std::chrono::milliseconds by) { passed_ += by; }

private:
    std::chrono::milliseconds passed_{0};
};

}  // namespace quittance
