#include "http/request_metrics.hpp"

#include <algorithm>

namespace quittance::http {

namespace {

/// One label for all unknown paths: a scanner that tries thousands must not make thousands of series.
constexpr const char* unmatched_label = "unmatched";

}  // namespace

RequestMetrics::RequestMetrics(const Router& router, telemetry::Metrics& metrics) : metrics_(metrics) {
    for (std::size_t i = 0; i <= router.route_count(); ++i) {
        std::string label = i < router.route_count() ? router.pattern(i) : unmatched_label;
        auto& duration = metrics.latency_histogram(
            "http_request_duration_seconds", "From the whole request to its answer.", {{"route", label}});
        routes_.push_back({.label = std::move(label), .duration = &duration, .counters = {}});
    }
}

telemetry::Counter& RequestMetrics::counter(Route& route, Method method, int status) {
    for (const KnownCounter& known : route.counters) {
        if (known.method == method && known.status == status) return *known.counter;
    }
    auto& added = metrics_.counter("http_requests_total", "Requests that were answered.",
                                   {{"method", std::string(to_string(method))},
                                    {"route", route.label},
                                    {"status", std::to_string(status)}});
    route.counters.push_back({method, status, &added});
    return added;
}

void RequestMetrics::record(Method method, std::size_t route, int status, double seconds) {
    Route& entry = routes_[std::min(route, routes_.size() - 1)];
    counter(entry, method, status).add();
    entry.duration->observe(seconds);
}

}  // namespace quittance::http
