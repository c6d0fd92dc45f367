#include "telemetry/metrics.hpp"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
    Metrics metrics;
    Counter& counter = metrics.counter("orders_total", "Orders.", {{"status", "PAID"}});
    EXPECT_EQ(&counter, &metrics.counter("orders_total", "Orders.", {{"status", "PAID"}}));
    EXPECT_NE(&counter, &metrics.counter("orders_total", "Orders.", {{"status", "FAILED"}}));
    EXPECT_EQ(&metrics.latency_histogram("wait_seconds", "Wait."),
              &metrics.latency_histogram("wait_seconds", "Wait."));
}

TEST(Metrics, ExposesCountersHistogramsAndGauges) {
    Metrics metrics;
    metrics.counter("orders_total", "Orders taken.", {{"status", "PAID"}}).add(2);
    metrics.latency_histogram("wait_seconds", "Wait.").observe(0.003);
    metrics.size_histogram("batch_rows", "Rows.").observe(100);
    double queue = 1;
    metrics.gauge("queue_length", "Waiting.", {}, [&] { return queue; });
    queue = 7;
    const std::string text = metrics.expose();
    EXPECT_THAT(text, HasSubstr("# HELP orders_total Orders taken.\n# TYPE orders_total counter\n"));
    EXPECT_THAT(text, HasSubstr("orders_total{status=\"PAID\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"0.002\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"0.005\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("batch_rows_bucket{le=\"128\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("queue_length 7\n"));
}

TEST(Metrics, AGaugeReadsWhatWasGivenLast) {
    Metrics metrics;
    metrics.gauge("queue_length", "Waiting.", {}, [] { return 1.0; });
    metrics.gauge("queue_length", "Waiting.", {}, [] { return 2.0; });
    EXPECT_THAT(metrics.expose(), HasSubstr("queue_length 2\n"));
    EXPECT_THAT(metrics.expose(), Not(HasSubstr("queue_length 1\n")));
}

TEST(Metrics, AreSharedBetweenThreads) {
    Metrics metrics;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 1000; ++n) {
                metrics.counter("events_total", "Events.").add();
                metrics.size_histogram("sizes", "Sizes.").observe(1);
                if (n % 200 == 0) static_cast<void>(metrics.expose());
            }
        });
    }
    threads.clear();
    EXPECT_THAT(metrics.expose(), HasSubstr("events_total 4000\n"));
}

}  // namespace
}  // namespace quittance::telemetry
