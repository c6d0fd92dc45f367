#include "telemetry/metrics.hpp"

#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace quittance::telemetry {

namespace {

/// Seconds. Dense between 1 ms and 100 ms, where a batch commit and an HTTP answer lie; up to the 10 s after
/// which callers have given up.
const std::vector<double> latency_buckets{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                          0.1,    0.2,   0.5,   1,     2,    5,    10};
/// Rows: powers of two up to the largest batch and beyond.
const std::vector<double> size_buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

class PrometheusCounter final : public Counter {
public:
    explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
    void add(double amount) override { counter_.Increment(amount); }

private:
    prometheus::Counter& counter_;
};

class PrometheusHistogram final : public Histogram {
public:
    explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
    void observe(double value) override { histogram_.Observe(value); }

private:
    prometheus::Histogram& histogram_;
};

using Key = std::pair<std::string, Labels>;

}  // namespace

struct Metrics::State {
    struct ReadGauge {
        prometheus::Gauge* gauge;
        std::function<double()> read;
    };

    Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels,
                         const std::vector<double>& buckets) {
        const std::lock_guard lock(mutex);
        auto& known = histograms[{name, labels}];
        if (!known) {
            auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
            known = std::make_unique<PrometheusHistogram>(family.Add(labels, buckets));
        }
        return *known;
    }

    std::mutex mutex;
    prometheus::Registry registry;
    std::map<Key, std::unique_ptr<Counter>> counters;
    std::map<Key, std::unique_ptr<Histogram>> histograms;
    std::map<Key, ReadGauge> gauges;
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(state_->mutex);
    auto& known = state_->counters[{name, labels}];
    if (!known) {
        auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(state_->registry);
        known = std::make_unique<PrometheusCounter>(family.Add(labels));
    }
    return *known;
}

Histogram& Metrics::latency_histogram(const std::string& name, const std::string& help,
                                      const Labels& labels) {
    return state_->histogram(name, help, labels, latency_buckets);
}

Histogram& Metrics::size_histogram(const std::string& name, const std::string& help, const Labels& labels) {
    return state_->histogram(name, help, labels, size_buckets);
}

void Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels,
                    std::function<double()> read) {
    const std::lock_guard lock(state_->mutex);
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(state_->registry);
    state_->gauges[{name, labels}] = {&family.Add(labels), std::move(read)};
}

std::string Metrics::expose() {
    {
        const std::lock_guard lock(state_->mutex);
        for (auto& [key, entry] : state_->gauges)
            entry.gauge->Set(entry.read());
    }
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, state_->registry.Collect());
    return std::move(text).str();
}

}  // namespace quittance::telemetry
