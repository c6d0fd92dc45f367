// What a batch lane tells of itself.
#pragma once

#include <string>
#include <string_view>

#include "telemetry/log.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::telemetry {

/// For `Batcher`'s report: logs and counts each failed execution of the lane. Thread safe.
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
        log::warning(final ? "a batch failed" : "a batch failed and will be tried again",
                     {{"lane", lane_}, {"error", what}});
    }

private:
    std::string lane_;
    Counter& retried_;
    Counter& final_;
};

}  // namespace quittance::telemetry
