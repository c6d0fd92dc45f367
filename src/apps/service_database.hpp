// A service's database with the threads that work on it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/sqlite_log.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"
#include "db/migrate.hpp"
#include "db/scheduler.hpp"
#include "db/sqlite_file.hpp"

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
    /// `service` is for the names of threads: "orders" or "payments". Throws ConfigurationError when the
    /// database cannot be opened or is newer than the program.
    ServiceDatabase(std::string service, db::DatabaseOptions options, DatabasePool pool,
                    const std::vector<db::Migration>& migrations, const Clock& clock, Random& random);

    [[nodiscard]] const db::Dialect& dialect() const { return dialect_; }
    /// Other programs may work on it too. The files of SQLite are in a folder that is ours alone.
    [[nodiscard]] bool is_shared() const { return options_.engine != db::Engine::sqlite; }
    [[nodiscard]] const db::DatabaseOptions& options() const { return options_; }
    [[nodiscard]] db::Scheduler& writers() { return writers_; }
    /// On a server the same as `writers`: every worker does both.
    [[nodiscard]] db::Scheduler& readers() { return has_readers() ? readers_ : writers_; }

    void start();
    /// Looks once a second whether the files of a SQLite database are still the ones that are open. If not,
    /// returns what happened, once; from then on all work is refused with StorageUnavailable, because what
    /// would be committed could never be read again. Called from one thread.
    [[nodiscard]] std::optional<std::string> look_for_replaced_files();
    /// Work that is due; returns at once. Called every few moments from one thread.
    void step();
    /// Finishes what is queued, then ends the threads. Idempotent.
    void end_threads();
    /// The same, then does `last`, if the database can be reached.
    void stop(const std::function<void(db::Session&)>& last);

private:
    struct LogCheck {};

    [[nodiscard]] bool has_readers() const { return !is_shared(); }
    void add_worker(db::Scheduler& scheduler, const std::string& suffix);

    const std::string service_;
    db::DatabaseOptions options_;
    const DatabasePool pool_;
    const Clock& clock_;
    db::Dialect dialect_;
    db::Scheduler writers_;
    db::Scheduler readers_;
    SqliteLog log_;
    db::Lane<LogCheck, Done> log_lane_;
    std::vector<std::jthread> threads_;
    std::optional<db::SqliteFileWatch> files_;
    std::chrono::steady_clock::time_point next_look_{};
};

/// Where SQLite keeps a database of its engine.
[[nodiscard]] std::filesystem::path sqlite_file_of(const db::DatabaseOptions& options);

/// Opens a database for a program's start and brings its schema up to date; returns how many migrations were
/// applied. Throws ConfigurationError with what is missing and how to make it.
int open_database(db::Session& session, const db::DatabaseOptions& options,
                  const std::vector<db::Migration>& migrations, const Clock& clock);

/// The same for a command that works on a shop: changes nothing, and makes no file. Throws ConfigurationError
/// when there is no shop, or when its schema is older than the program.
void open_existing_database(db::Session& session, const db::DatabaseOptions& options,
                            const std::vector<db::Migration>& migrations);

}  // namespace quittance::apps
