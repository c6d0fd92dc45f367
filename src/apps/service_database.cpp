#include "apps/service_database.hpp"

#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

/// Left to the operator's own tools, to migrations and to one-off commands.
constexpr std::int64_t spare_connections = 5;

std::int64_t connection_limit(db::Session& session) {
    const std::string sql = session.dialect().engine() == db::Engine::mysql
                                ? "SELECT @@max_connections"
                                : "SELECT CAST(current_setting('max_connections') AS bigint)";
    return std::get<0>(session.select<std::int64_t>(sql).at(0));
}

void warn_when_connections_are_few(db::Session& session, const db::DatabaseOptions& options,
                                   const DatabasePool& pool) {
    const std::int64_t limit = connection_limit(session);
    const std::int64_t wanted = std::int64_t{pool.size} * pool.instances;
    if (wanted + spare_connections <= limit) return;
    log::warning(
        "the database server allows too few connections: raise max_connections, or lower DB_POOL_SIZE "
        "or the number of instances",
        {{"database", options.label},
         {"max_connections", limit},
         {"pool_size", pool.size},
         {"instances", pool.instances}});
}

std::string advice(const db::DatabaseOptions& options) {
    switch (options.engine) {
        case db::Engine::sqlite: return "";
        case db::Engine::postgresql:
            return "\nIs the server running, and are user and password right? As the server's "
                   "administrator,\n"
                   "  CREATE ROLE shop LOGIN PASSWORD '...';\n  CREATE DATABASE orders OWNER shop;\n"
                   "makes a user and a database, here named shop and orders.";
        case db::Engine::mysql:
            return "\nIs the server running, and are user and password right? As the server's "
                   "administrator,\n"
                   "  CREATE DATABASE orders CHARACTER SET utf8mb4;\n"
                   "  CREATE USER shop IDENTIFIED BY '...';\n  GRANT ALL ON orders.* TO shop;\n"
                   "makes a database and a user, here named orders and shop.";
    }
    return "";
}

}  // namespace

int open_database(db::Session& session, const db::DatabaseOptions& options,
                  const std::vector<db::Migration>& migrations, const Clock& clock) {
    try {
        return db::migrate(session, migrations, clock.now());
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + options.label +
                                 " cannot be opened: " + unavailable.what() + advice(options));
    } catch (const StorageRejected& refused) {
        throw ConfigurationError("the schema of the database " + options.label +
                                 " cannot be brought up to date: " + refused.what());
    }
}

ServiceDatabase::ServiceDatabase(db::DatabaseOptions options, DatabasePool pool,
                                 const std::vector<db::Migration>& migrations, const Clock& clock)
    : options_(std::move(options)),
      pool_(pool),
      dialect_(options_.engine),
      writers_(clock),
      readers_(clock),
      log_(options_, clock),
      log_lane_(
          writers_, {.max_batch = 1, .max_queued = 1},
          [this](db::Session& session, std::span<LogCheck>) {
              log_.cut_back(session);
              return std::vector<Result<Done>>{Done{}};
          },
          [](std::string_view what, bool) {
              log::warning("the write-ahead log could not be cut back", {{"reason", what}});
          }) {
    db::Session session(options_);
    const int applied = open_database(session, options_, migrations, clock);
    if (applied > 0) {
        log::info("schema brought up to date", {{"database", options_.label}, {"migrations", applied}});
    }
    if (!has_readers()) warn_when_connections_are_few(session, options_, pool_);
}

void ServiceDatabase::start() {
    if (has_readers()) {
        // SQLite has one writer at a time; readers go on beside it.
        add_worker(writers_);
        add_worker(readers_);
        return;
    }
    for (int i = 0; i < pool_.size; ++i)
        add_worker(writers_);
}

void ServiceDatabase::step() {
    if (log_.is_due()) log_lane_.submit({}, [](const Result<Done>& /*reported by the lane*/) {});
}

void ServiceDatabase::add_worker(db::Scheduler& scheduler) {
    threads_.emplace_back([this, &scheduler](const std::stop_token& stop) {
        db::Session session(options_);
        scheduler.run(session, stop);
    });
}

void ServiceDatabase::end_threads() {
    for (std::jthread& thread : threads_)
        thread.request_stop();
    threads_.clear();
}

void ServiceDatabase::stop(const std::function<void(db::Session&)>& last) {
    end_threads();
    try {
        db::Session session(options_);
        last(session);
    } catch (const std::exception& failure) {
        log::warning("the end of this program could not be noted in the database",
                     {{"database", options_.label}, {"reason", failure.what()}});
    }
}

}  // namespace quittance::apps
