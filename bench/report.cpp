#include "bench/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include <boost/json.hpp>

namespace quittance::bench {

namespace json = boost::json;

namespace {

double rate(std::uint64_t count, std::chrono::duration<double> time) {
    return time.count() > 0 ? static_cast<double>(count) / time.count() : 0;
}

std::string fixed(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

/// The latency below which `share` (0 to 1) of them stayed, in milliseconds; nearest rank.
double percentile_ms(const std::vector<std::uint32_t>& sorted_us, double share) {
    if (sorted_us.empty()) return 0;
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted_us.size())));
    return sorted_us[std::max<std::size_t>(rank, 1) - 1] / 1000.0;
}

std::string percentiles_text(const std::vector<std::uint32_t>& sorted_us) {
    return "p50 " + fixed(percentile_ms(sorted_us, 0.5), 2) + " ms, p99 " +
           fixed(percentile_ms(sorted_us, 0.99), 2) + " ms, max " + fixed(percentile_ms(sorted_us, 1), 2) +
           " ms\n";
}

json::object percentiles_json(const std::vector<std::uint32_t>& sorted_us) {
    return {{"p50", percentile_ms(sorted_us, 0.5)},
            {"p90", percentile_ms(sorted_us, 0.9)},
            {"p99", percentile_ms(sorted_us, 0.99)},
            {"p999", percentile_ms(sorted_us, 0.999)},
            {"max", percentile_ms(sorted_us, 1)}};
}

}  // namespace

std::uint64_t Report::error_count() const {
    std::uint64_t total = 0;
    for (const auto& [kind, count] : errors)
        total += count;
    return total;
}

void Report::sort_latencies() {
    std::ranges::sort(latencies_us);
    std::ranges::sort(busy_latencies_us);
    std::ranges::sort(paid_after_us);
}

std::string Report::to_text() const {
    std::ostringstream text;
    text << "accepted       " << accepted_ids.size() << " orders in " << fixed(seconds.count(), 1) << " s, "
         << fixed(rate(accepted_ids.size(), seconds), 0) << "/s\n"
         << "latency        " << percentiles_text(latencies_us);
    if (!busy_latencies_us.empty()) {
        text << "turned away    " << busy_latencies_us.size() << " orders with 503, "
             << percentiles_text(busy_latencies_us);
    }
    if (verified) {
        text << "carried to PAID " << paid << " orders, " << fixed(rate(paid, seconds_to_last_payment), 0)
             << "/s; unpaid " << unpaid << ", missing " << missing << "\n";
    }
    if (replayed > 0) text << "replayed       " << replayed << "\n";
    if (unresolved > 0) text << "unresolved     " << unresolved << "\n";
    text << "errors         " << error_count() << "\n";
    for (const auto& [kind, count] : errors)
        text << "  " << kind << ": " << count << "\n";
    return text.str();
}

std::string Report::to_json() const {
    json::object kinds;
    for (const auto& [kind, count] : errors)
        kinds[kind] = count;
    json::object document{
        {"seconds", seconds.count()},
        {"accepted", accepted_ids.size()},
        {"acceptedPerSecond", rate(accepted_ids.size(), seconds)},
        {"latencyMs", percentiles_json(latencies_us)},
        {"busy", busy_latencies_us.size()},
        {"busyLatencyMs", percentiles_json(busy_latencies_us)},
        {"replayed", replayed},
        {"unresolved", unresolved},
        {"errors", error_count()},
        {"errorsByKind", std::move(kinds)},
    };
    if (verified) {
        document["paid"] = paid;
        document["paidPerSecond"] = rate(paid, seconds_to_last_payment);
        document["paidAfterMs"] = percentiles_json(paid_after_us);
        document["unpaid"] = unpaid;
        document["missing"] = missing;
    }
    return json::serialize(document);
}

}  // namespace quittance::bench
