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

}  // namespace

std::uint64_t Report::error_count() const {
    std::uint64_t total = 0;
    for (const auto& [kind, count] : errors)
        total += count;
    return total;
}

void Report::sort_latencies() {
    std::ranges::sort(latencies_us);
}

double Report::latency_ms(double share) const {
    if (latencies_us.empty()) return 0;
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(latencies_us.size())));
    return latencies_us[std::max<std::size_t>(rank, 1) - 1] / 1000.0;
}

std::string Report::to_text() const {
    std::ostringstream text;
    text << "accepted       " << accepted_ids.size() << " orders in " << fixed(seconds.count(), 1) << " s, "
         << fixed(rate(accepted_ids.size(), seconds), 0) << "/s\n"
         << "latency        p50 " << fixed(latency_ms(0.5), 2) << " ms, p99 " << fixed(latency_ms(0.99), 2)
         << " ms, max " << fixed(latency_ms(1), 2) << " ms\n";
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
        {"latencyMs", {{"p50", latency_ms(0.5)}, {"p99", latency_ms(0.99)}, {"max", latency_ms(1)}}},
        {"replayed", replayed},
        {"unresolved", unresolved},
        {"errors", error_count()},
        {"errorsByKind", std::move(kinds)},
    };
    if (verified) {
        document["paid"] = paid;
        document["paidPerSecond"] = rate(paid, seconds_to_last_payment);
        document["unpaid"] = unpaid;
        document["missing"] = missing;
    }
    return json::serialize(document);
}

}  // namespace quittance::bench
