// What a load run found, for people and for programs.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace quittance::bench {

struct Report {
    std::chrono::duration<double> seconds{0};  ///< From the first request to the last answer.
    std::uint64_t replayed = 0;                ///< Accepted answers that were replays of a lost one.
    std::uint64_t unresolved = 0;              ///< Orders whose answer never came before the run ended.
    std::vector<std::string> accepted_ids;
    std::vector<std::uint32_t> latencies_us;       ///< Of accepted orders, from when they were due.
    std::vector<std::uint32_t> busy_latencies_us;  ///< Of orders that were turned away with 503.
    std::vector<std::uint32_t> paid_after_us;      ///< From when they were due until they were PAID.
    std::map<std::string, std::uint64_t> errors;

    bool verified = false;
    std::uint64_t paid = 0;
    std::uint64_t unpaid = 0;
    std::uint64_t missing = 0;
    /// On the server's clock: from the first order's creation to the last one's payment.
    std::chrono::duration<double> seconds_to_last_payment{0};

    void count_error(const std::string& kind) { ++errors[kind]; }
    [[nodiscard]] std::uint64_t error_count() const;
    /// Before the percentiles of the texts below can be told.
    void sort_latencies();

    [[nodiscard]] std::string to_text() const;
    [[nodiscard]] std::string to_json() const;
};

}  // namespace quittance::bench
