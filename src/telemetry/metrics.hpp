// Counters, gauges and histograms in Prometheus' text format.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace quittance::telemetry {

using Labels = std::map<std::string, std::string>;

/// Adds one, or more. Thread safe and cheap.
class Counter {
public:
    virtual ~Counter() = default;
    virtual void add(double amount = 1) = 0;
};

/// Sorts observations (seconds, or rows) into buckets. Thread safe.
class Histogram {
public:
    virtual ~Histogram() = default;
    virtual void observe(double value) = 0;
};

/// Owns every metric of a process; what it hands out lives as long as it does. Thread safe.
class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    /// Names follow https://prometheus.io/docs/practices/naming/; the same name and labels give the same
    /// metric again.
    Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
    Histogram& latency_histogram(const std::string& name, const std::string& help, const Labels& labels = {});
    Histogram& size_histogram(const std::string& name, const std::string& help, const Labels& labels = {});
    /// `read` is called at each scrape, on an I/O thread; it must not block.
    void gauge(const std::string& name, const std::string& help, const Labels& labels,
               std::function<double()> read);

    /// The exposition text, version 0.0.4.
    [[nodiscard]] std::string expose();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace quittance::telemetry
