// A service's database with the threads that work on it.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "apps/sqlite_log.hpp"
#include "core/clock.hpp"
#include "db/migrate.hpp"
#include "db/scheduler.hpp"

namespace quittance::apps {

/// How many connections to a database server are good for, and what they may use of it.
struct DatabasePool {
    /// Worker threads, each with a connection of its own. SQLite has one writer and one reader whatever is
    /// said here.
    int size = 4;
    /// How many programs like this one may run at once; to warn when the server has too few connections.
    int instances = 1;
};

/// Brings the schema up to date when made; executes batches from `start` to `stop`. The lanes of the
/// schedulers end before it does, so their owner calls `end_threads` first, also where `stop` was never
/// reached.
class ServiceDatabase {
public:
    /// Throws ConfigurationError when the database cannot be opened or is newer than the program.
    ServiceDatabase(db::DatabaseOptions options, DatabasePool pool,
                    const std::vector<db::Migration>& migrations, const Clock& clock);

    [[nodiscard]] const db::Dialect& dialect() const { return dialect_; }
    /// Other programs may work on it too. The files of SQLite are in a folder that is ours alone.
    [[nodiscard]] bool is_shared() const { return options_.engine != db::Engine::sqlite; }
    [[nodiscard]] const db::DatabaseOptions& options() const { return options_; }
    [[nodiscard]] db::Scheduler& writers() { return writers_; }
    /// On a server the same as `writers`: every worker does both.
    [[nodiscard]] db::Scheduler& readers() { return has_readers() ? readers_ : writers_; }

    void start();
    /// Work that is due; returns at once. Called every few moments from one thread.
    void step();
    /// Finishes what is queued, then ends the threads. Idempotent.
    void end_threads();
    /// The same, then does `last`, if the database can be reached.
    void stop(const std::function<void(db::Session&)>& last);

private:
    struct LogCheck {};

    [[nodiscard]] bool has_readers() const { return !is_shared(); }
    void add_worker(db::Scheduler& scheduler);

    db::DatabaseOptions options_;
    const DatabasePool pool_;
    db::Dialect dialect_;
    db::Scheduler writers_;
    db::Scheduler readers_;
    SqliteLog log_;
    db::Lane<LogCheck, Done> log_lane_;
    std::vector<std::jthread> threads_;
};

/// Opens a database for a program's start and brings its schema up to date; returns how many migrations were
/// applied. Throws ConfigurationError with what is missing and how to make it.
int open_database(db::Session& session, const db::DatabaseOptions& options,
                  const std::vector<db::Migration>& migrations, const Clock& clock);

}  // namespace quittance::apps
