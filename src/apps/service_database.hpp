// A service's database with the threads that work on it.
#pragma once

#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "db/migrate.hpp"
#include "db/scheduler.hpp"

namespace quittance::apps {

/// Brings the schema up to date when made; executes batches from `start` to `stop`.
class ServiceDatabase {
public:
    /// Throws ConfigurationError when the database cannot be opened or is newer than the program.
    ServiceDatabase(db::DatabaseOptions options, const std::vector<db::Migration>& migrations,
                    const Clock& clock);

    [[nodiscard]] const db::Dialect& dialect() const { return dialect_; }
    [[nodiscard]] const db::DatabaseOptions& options() const { return options_; }
    [[nodiscard]] db::Scheduler& writers() { return writers_; }
    [[nodiscard]] db::Scheduler& readers() { return readers_; }

    void start();
    /// Finishes what is queued, then ends the threads.
    void stop();

private:
    db::DatabaseOptions options_;
    db::Dialect dialect_;
    db::Scheduler writers_;
    db::Scheduler readers_;
    std::vector<std::jthread> threads_;
};

}  // namespace quittance::apps
