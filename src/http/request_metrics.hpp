// Counts and times the answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "http/router.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::http {

/// Remembers which metric belongs to which route and status, so that only the first answer of a kind looks
/// it up by name. Each I/O thread has its own; not thread safe.
class RequestMetrics {
public:
    RequestMetrics(const Router& router, telemetry::Metrics& metrics);

    /// `route` is a `Router::Match::route`.
    void record(Method method, std::size_t route, int status, double seconds);

private:
    struct KnownCounter {
        Method method;
        int status;
        telemetry::Counter* counter;
    };
    struct Route {
        std::string label;
        telemetry::Histogram* duration;
        std::vector<KnownCounter> counters;
    };

    telemetry::Counter& counter(Route& route, Method method, int status);

    telemetry::Metrics& metrics_;
    std::vector<Route> routes_;  // The last one is for what no route matched.
};

}  // namespace quittance::http
