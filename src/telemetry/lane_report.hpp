// What a batch lane tells of itself.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "telemetry/log.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::telemetry {

/// For `Batcher`'s report: counts each failed execution of the lane, and logs at most one a second: while a
/// database is away, every request fails. Thread safe.
class LaneReport {
public:
    LaneReport(Metrics& metrics, std::string lane)
        : lane_(std::move(lane)),
          retried_(metrics.counter("batch_failures_total", "Batch executions that failed.",
                                   {{"lane", lane_}, {"final", "false"}})),
          final_(metrics.counter("batch_failures_total", "Batch executions that failed.",
                                 {{"lane", lane_}, {"final", "true"}})) {}

    void operator()(std::string_view what, bool final) const {
        (final ? final_ : retried_).add();
        const auto now = std::chrono::steady_clock::now();
        {
            const std::lock_guard lock(pause_->mutex);
            if (now < pause_->end) return;
            pause_->end = now + log_interval;
        }
        log::warning(final ? "a batch failed" : "a batch failed and will be tried again",
                     {{"lane", lane_}, {"error", what}});
    }

private:
    static constexpr std::chrono::seconds log_interval{1};

    struct Pause {
        std::mutex mutex;
        std::chrono::steady_clock::time_point end{};
    };
    // Shared, because a report is handed on by value.
    std::shared_ptr<Pause> pause_ = std::make_shared<Pause>();
    std::string lane_;
    Counter& retried_;
    Counter& final_;
};

}  // namespace quittance::telemetry
