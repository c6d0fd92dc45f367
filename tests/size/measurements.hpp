// What is run on large tables, each under the name of the function that runs the statement.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "db/database.hpp"

namespace quittance::size {

struct Measurement {
    std::string name;  ///< As in `statements`; in brackets what is special about this run.
    std::function<void(db::Session&)> run;
    /// Runs in a transaction that is rolled back, so that each run finds the same rows.
    bool rolled_back = false;
};

[[nodiscard]] std::vector<Measurement> measurements_of_orders(std::int64_t rows);
[[nodiscard]] std::vector<Measurement> measurements_of_payments(std::int64_t rows);

}  // namespace quittance::size
