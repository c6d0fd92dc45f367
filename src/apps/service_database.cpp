#include "apps/service_database.hpp"

#include <filesystem>
#include <string_view>

#include "apps/data_folder.hpp"
#include "core/thread_name.hpp"
#include "db/server_checks.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

/// Left to the operator's own tools, to migrations and to one-off commands.
constexpr std::int64_t spare_connections = 5;

constexpr std::chrono::seconds look_interval{1};

void sleep_for(std::chrono::milliseconds pause) {
    std::this_thread::sleep_for(pause);
}

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

namespace {

/// What the engines say, as something to do.
template <class Work>
auto opened(const db::DatabaseOptions& options, Work work) {
    try {
        db::check_server(options);
        return work();
    } catch (const StorageReadOnly& read_only) {
        throw ConfigurationError("the database " + options.label + " takes no writes: " + read_only.what());
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + options.label +
                                 " cannot be opened: " + unavailable.what() + advice(options));
    } catch (const StorageRejected& refused) {
        throw ConfigurationError("the schema of the database " + options.label +
                                 " cannot be brought up to date: " + refused.what());
    }
}

constexpr std::string_view how_to_make_a_shop =
    ": name the right one with --data, DATABASE_URL or DB_NAME; \"quittance serve\" and \"quittance "
    "migrate\" "
    "make new ones";

}  // namespace

std::filesystem::path sqlite_file_of(const db::DatabaseOptions& options) {
    return options.label.substr(options.label.find(':') + 1);
}

int open_database(db::Session& session, const db::DatabaseOptions& options,
                  const std::vector<db::Migration>& migrations, const Clock& clock) {
    return opened(options, [&] { return db::migrate(session, migrations, clock.now()); });
}

void open_existing_database(db::Session& session, const db::DatabaseOptions& options,
                            const std::vector<db::Migration>& migrations) {
    if (options.engine == db::Engine::sqlite) {
        const std::filesystem::path file = sqlite_file_of(options);
        std::error_code unknown;
        if (!std::filesystem::exists(file, unknown)) {
            const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
            throw ConfigurationError("no shop in " + folder + ", which has no " + file.filename().string() +
                                     std::string(how_to_make_a_shop));
        }
        act_as_owner_of(file.parent_path());
    }
    const auto missing = opened(options, [&] { return db::missing_migrations(session, migrations); });
    if (!missing) {
        throw ConfigurationError("no shop in the database " + options.label +
                                 ", which has no tables of ours" + std::string(how_to_make_a_shop));
    }
    if (*missing > 0) {
        throw ConfigurationError("the schema of the database " + options.label + " is " +
                                 std::to_string(*missing) +
                                 " migration(s) older than this program: start the new service, or run "
                                 "\"quittance migrate\"");
    }
}

ServiceDatabase::ServiceDatabase(std::string service, db::DatabaseOptions options, DatabasePool pool,
                                 const std::vector<db::Migration>& migrations, const Clock& clock,
                                 Random& random)
    : service_(std::move(service)),
      options_(std::move(options)),
      pool_(pool),
      clock_(clock),
      dialect_(options_.engine),
      writers_(clock, &random, sleep_for),
      readers_(clock, &random, sleep_for),
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
    options_.closed = std::make_shared<std::atomic<bool>>(false);
    db::Session session(options_);
    const int applied = open_database(session, options_, migrations, clock);
    if (applied > 0) {
        log::info("schema brought up to date", {{"database", options_.label}, {"migrations", applied}});
    }
    if (!has_readers()) warn_when_connections_are_few(session, options_, pool_);
}

std::optional<std::string> ServiceDatabase::look_for_replaced_files() {
    const auto now = clock_.steady_now();
    if (!files_ || now < next_look_) return std::nullopt;
    next_look_ = now + look_interval;
    auto what = files_->replaced();
    if (!what) return std::nullopt;
    *options_.closed = true;
    files_.reset();
    return what;
}

void ServiceDatabase::start() {
    if (!is_shared()) files_.emplace(options_.file);
    if (has_readers()) {
        // SQLite has one writer at a time; readers go on beside it.
        add_worker(writers_, "w");
        add_worker(readers_, "r");
        return;
    }
    for (int i = 0; i < pool_.size; ++i)
        add_worker(writers_, std::to_string(i));
}

void ServiceDatabase::step() {
    if (log_.is_due()) log_lane_.submit({}, [](const Result<Done>& /*reported by the lane*/) {});
}

void ServiceDatabase::add_worker(db::Scheduler& scheduler, const std::string& suffix) {
    threads_.emplace_back([this, &scheduler, suffix](const std::stop_token& stop) {
        name_this_thread("q-db-" + service_ + "-" + suffix);
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
