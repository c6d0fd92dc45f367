#include "db/database.hpp"

#include <deque>
#include <unordered_map>

#include <poll.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "core/canary.hpp"
#include "db/failures.hpp"
#include "db/sqlite_file.hpp"
#include "db/sqlite_rows.hpp"

namespace quittance::db {

namespace {

/// Rows fetched from SOCI at a time.
constexpr std::size_t fetch_rows = 64;

/// A server that cannot be reached may take seconds to say so: those who come meanwhile are told at once.
constexpr std::chrono::milliseconds reconnect_pause{500};

/// A connection that rested for longer is looked at before it is used again.
constexpr std::chrono::seconds idle_unchecked{1};

/// PostgreSQL keeps the plan of a prepared statement as long as it does not look at the table again, which it
/// may do minutes after the table has grown from a few rows, that are best read as a whole, to many.
constexpr std::chrono::seconds longest_use_of_a_plan{4};

/// Batches look up keys or follow an index, and are mostly far smaller than the 100 rows that PostgreSQL's
/// planner takes a parameter for: left alone, it joins them with all of a table of ten thousand rows. Such
/// settings are for one transaction, so that they reach neither other statements nor whoever has the
/// connection next.
const std::string begin_on_postgresql =
    "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = "
    "off";

/// What MySQL says instead of "taken" of a row that INSERT IGNORE left out.
constexpr std::int64_t mysql_duplicate_key = 1062;

/// A connection is one thread's at a time and needs no mutex; neither do figures about memory that nobody
/// reads. Has to be said before the first connection, and is in vain (and harmless) after it.
void configure_sqlite() {
    static const bool configured = sqlite_api::sqlite3_config(SQLITE_CONFIG_MULTITHREAD) == SQLITE_OK &&
                                   sqlite_api::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK;
    static_cast<void>(configured);
}

const soci::backend_factory& factory_of(Engine engine) {
    switch (engine) {
        case Engine::sqlite: configure_sqlite(); return *soci::factory_sqlite3();
        case Engine::postgresql: return *soci::factory_postgresql();
        case Engine::mysql: return *soci::factory_mysql();
    }
    throw std::logic_error("an engine without a factory");
}

/// What holds for every connection to an engine.
std::vector<std::string> settings_of(Engine engine) {
    switch (engine) {
        case Engine::sqlite:
            // Write-ahead logging lets readers go on beside the writer. The second could be said to SOCI as
            // well, which would then ask for it before it waits for whoever has the database locked.
            // The log may grow to 32 MB instead of 4 before it is carried into the database: pages that many
            // transactions change are then carried over once, and the disk waited for less often.
            // A log that a reader made larger is cut back to 64 MB when it begins anew. A connection checks
            // foreign keys only when told to.
            return {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=8000",
                    "PRAGMA journal_size_limit=67108864", "PRAGMA foreign_keys=ON"};
        case Engine::postgresql:
            return {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
                    "SET statement_timeout = 30000", "SET lock_timeout = 10000",
                    "SET idle_in_transaction_session_timeout = 60000", "SET client_min_messages = warning",
                    // It would plan the first five uses of each statement, and knows nothing of a batch in a
                    // parameter.
                    "SET plan_cache_mode = force_generic_plan", "SET jit = off"};
        case Engine::mysql:
            return {
                "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES'",
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET SESSION innodb_lock_wait_timeout = 10",
                // The same for a table that is being changed or locked as a whole: a day by default.
                "SET SESSION lock_wait_timeout = 10",
                // The locks of a transaction whose client is gone are released after a minute. MySQL has no
                // such limit for transactions alone; a connection that it ended while idle is replaced.
                // MariaDB keeps 64 warnings unless told to keep all of a batch; MySQL, which takes that for a
                // comment, keeps 1024, and lets nobody but administrators set the number.
                "SET SESSION wait_timeout = 60 /*M!100300 , SESSION max_error_count = 1024 */"};
    }
    return {};
}

std::string begin_on(Engine engine) {
    switch (engine) {
        case Engine::sqlite: return "BEGIN IMMEDIATE";
        case Engine::postgresql: return begin_on_postgresql;
        case Engine::mysql: return "BEGIN";
    }
    return {};
}

/// A prepared statement and the variables that it is bound to, at addresses that stay.
class Prepared {
public:
    Prepared(soci::session& session, const std::string& sql, const std::vector<Parameter>& parameters,
             const std::vector<ColumnTarget>& targets)
        : statement_(session) {
        for (const Parameter& parameter : parameters)
            bind(parameter);
        for (const ColumnTarget& target : targets)
            add_column(target);
        statement_.alloc();
        statement_.prepare(sql);
        statement_.define_and_bind();
    }

    std::int64_t execute(const std::vector<Parameter>& parameters) {
        assign(parameters);
        statement_.execute(true);
        return statement_.get_affected_rows();
    }

    void query(const std::vector<Parameter>& parameters, const std::vector<ColumnTarget>& targets) {
        assign(parameters);
        resize_columns();
        bool more = statement_.execute(true);
        while (more) {
            const std::size_t fetched = append_rows(targets);
            if (fetched < fetch_rows) break;
            resize_columns();
            more = statement_.fetch();
        }
    }

private:
    void bind(const Parameter& parameter) {
        if (std::holds_alternative<std::string>(parameter)) {
            statement_.exchange(soci::use(texts_.emplace_back()));
            slots_.emplace_back(&texts_.back());
        } else {
            statement_.exchange(soci::use(integers_.emplace_back()));
            slots_.emplace_back(&integers_.back());
        }
    }

    void add_column(const ColumnTarget& target) {
        if (std::holds_alternative<std::vector<std::string>*>(target)) {
            statement_.exchange(soci::into(text_columns_.emplace_back(fetch_rows)));
            columns_.emplace_back(&text_columns_.back());
        } else {
            statement_.exchange(soci::into(integer_columns_.emplace_back(fetch_rows)));
            columns_.emplace_back(&integer_columns_.back());
        }
    }

    void assign(const std::vector<Parameter>& parameters) {
        ensure(parameters.size() == slots_.size(), "a statement takes the same parameters each time");
        for (std::size_t i = 0; i < slots_.size(); ++i) {
            if (auto* text = std::get_if<std::string*>(&slots_[i])) {
                **text = std::get<std::string>(parameters[i]);
            } else {
                *std::get<long long*>(slots_[i]) = std::get<std::int64_t>(parameters[i]);
            }
        }
    }

    void resize_columns() {
        for (const ColumnTarget& column : columns_) {
            std::visit([](auto* values) { values->resize(fetch_rows); }, column);
        }
    }

    std::size_t append_rows(const std::vector<ColumnTarget>& targets) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            std::visit(
                [&](auto* values) {
                    auto* target = std::get<std::remove_reference_t<decltype(values)>>(targets[i]);
                    count = values->size();
                    target->insert(target->end(), std::make_move_iterator(values->begin()),
                                   std::make_move_iterator(values->end()));
                },
                columns_[i]);
        }
        return count;
    }

    // The statement refers to the variables, so they are declared, and destroyed, around it.
    std::deque<std::string> texts_;
    std::deque<long long> integers_;
    std::deque<std::vector<std::string>> text_columns_;
    std::deque<std::vector<long long>> integer_columns_;
    std::vector<std::variant<std::string*, long long*>> slots_;
    std::vector<ColumnTarget> columns_;
    soci::statement statement_;
};

}  // namespace

DatabaseOptions DatabaseOptions::parse(const Secret& url) {
    static constexpr std::string_view sqlite_scheme = "sqlite:";
    const std::string& text = url.reveal();
    if (!text.starts_with(sqlite_scheme) || text.size() == sqlite_scheme.size()) {
        return server(parse_server_address(url));
    }
    const std::string path = text.substr(sqlite_scheme.size());
    if (path.find_first_of("'\" ") != std::string::npos) {
        throw ConfigurationError("the path of a SQLite database must have no space and no quote: " + path);
    }
    return {Engine::sqlite, "dbname=" + path + " timeout=5", text, path, nullptr};
}

DatabaseOptions DatabaseOptions::server(const ServerAddress& address) {
    check(address);
    return {address.engine, connection_text(address), db::label(address), {}, nullptr};
}

struct Session::Connection {
    using Moment = std::chrono::steady_clock::time_point;

    explicit Connection(const DatabaseOptions& options)
        : engine(options.engine), session(factory_of(options.engine), options.connection) {
        if (options.engine == Engine::sqlite) prepare_sqlite(options.file);
        if (options.engine == Engine::postgresql) {
            // libpq would write notices to standard error, past the log.
            auto* backend = static_cast<soci::postgresql_session_backend*>(session.get_backend());
            PQsetNoticeProcessor(
                backend->conn_, [](void*, const char*) {}, nullptr);
        }
        for (const std::string& setting : settings_of(options.engine))
            session << setting;
        if (!options.file.empty()) {
            // Maps it; until then it is not there.
            session << "PRAGMA schema_version";
            reserve_shared_memory(options.file);
        }
    }

    void prepare_sqlite(const std::string& file) {
        auto* backend = static_cast<soci::sqlite3_session_backend*>(session.get_backend());
        // SQLite opens read-only without a word what it cannot open for writing.
        if (sqlite_api::sqlite3_db_readonly(backend->conn_, "main") != 0)
            throw StorageReadOnly("the file " + file + " cannot be written to");
        if (!file.empty()) require_room_for_shared_memory(file);
        // SOCI keeps its own declaration of the same type in a namespace.
        add_json_rows(reinterpret_cast<sqlite3*>(backend->conn_));
    }

    Prepared& prepared(const std::string& sql, const std::vector<Parameter>& parameters,
                       const std::vector<ColumnTarget>& targets) {
        auto& [statement, prepared_at] = statements[sql];
        const bool plan_may_be_old =
            engine == Engine::postgresql && !in_transaction && used_at - prepared_at >= longest_use_of_a_plan;
        if (plan_may_be_old) statement.reset();
        if (!statement) {
            statement = std::make_unique<Prepared>(session, sql, parameters, targets);
            prepared_at = used_at;
        }
        return *statement;
    }

    void query(const std::string& sql, const std::vector<Parameter>& parameters,
               const std::vector<ColumnTarget>& targets) {
        prepared(sql, parameters, targets).query(parameters, targets);
    }

    /// After INSERT IGNORE: its warnings are errors, but for the one that was asked for.
    void refuse_warnings() {
        auto* backend = static_cast<soci::mysql_session_backend*>(session.get_backend());
        const std::size_t count = mysql_warning_count(backend->conn_);
        if (count == 0) return;
        std::vector<std::string> levels;
        std::vector<long long> codes;
        std::vector<std::string> messages;
        query("SHOW WARNINGS", {}, {&levels, &codes, &messages});
        for (std::size_t i = 0; i < codes.size(); ++i) {
            if (codes[i] != mysql_duplicate_key)
                throw_failure(failure_of_mysql(static_cast<unsigned>(codes[i])), messages[i]);
        }
        if (codes.size() < count) {
            throw StorageRejected("the server kept only " + std::to_string(codes.size()) +
                                  " warnings of a batch: set its max_error_count to 1024 or more");
        }
    }

    /// Whether MySQL or MariaDB has ended the connection, as they do when it rests for a minute: then the end
    /// of the stream, or a last message, can be read while no answer is due.
    [[nodiscard]] bool ended_while_idle() {
        if (engine != Engine::mysql || std::chrono::steady_clock::now() - used_at < idle_unchecked)
            return false;
        auto* backend = static_cast<soci::mysql_session_backend*>(session.get_backend());
        pollfd socket{mysql_get_socket(backend->conn_), POLLIN, 0};
        return ::poll(&socket, 1, 0) != 0;
    }

    const Engine engine;
    soci::session session;
    std::unordered_map<std::string, std::pair<std::unique_ptr<Prepared>, Moment>> statements;
    Moment used_at = std::chrono::steady_clock::now();
    bool in_transaction = false;  ///< Where plans are made for tables of any size.
};

Session::Session(DatabaseOptions options) : options_(std::move(options)), dialect_(options_.engine) {}
Session::~Session() = default;

const Dialect& Session::dialect() const {
    return dialect_;
}

void Session::connect() {
    // A transaction ends with its connection; what is left of it must not run by itself.
    if (in_transaction_) throw StorageConnectionLost("the connection broke during the transaction");
    if (std::chrono::steady_clock::now() < no_connect_before_) std::rethrow_exception(connect_failure_);
    try {
        connection_ = std::make_unique<Connection>(options_);
        return;
    } catch (const soci::soci_error& error) {
        connect_failure_ = std::make_exception_ptr(StorageConnectionLost(error.get_error_message()));
    } catch (const StorageUnavailable&) {
        connect_failure_ = std::current_exception();
    }
    no_connect_before_ = std::chrono::steady_clock::now() + reconnect_pause;
    std::rethrow_exception(connect_failure_);
}

template <class Work>
auto Session::with_connection(Work work) {
    if (options_.closed && *options_.closed) {
        connection_.reset();
        throw StorageUnavailable("the database is closed: its file was replaced or removed");
    }
    try {
        if (connection_ && !in_transaction_ && connection_->ended_while_idle()) connection_.reset();
        if (!connection_) connect();
        connection_->used_at = std::chrono::steady_clock::now();
        connection_->in_transaction = in_transaction_;
        return work(*connection_);
    } catch (const soci::soci_error&) {
        try {
            rethrow_as_storage_failure();
        } catch (const StorageUnavailable&) {
            if (!planted(Canary::connection_outlives_failure)) connection_.reset();
            throw;
        }
    }
}

template <class Work>
auto Session::with_live_connection(Work work) {
    const bool may_be_stale = connection_ != nullptr && !in_transaction_;
    try {
        return with_connection(work);
    } catch (const StorageConnectionLost&) {
        if (!may_be_stale) throw;
    }
    return with_connection(work);
}

std::int64_t Session::execute(const std::string& sql, const std::vector<Parameter>& parameters) {
    return with_connection([&](Connection& connection) {
        const std::int64_t changed = connection.prepared(sql, parameters, {}).execute(parameters);
        if (sql.starts_with(insert_ignore)) connection.refuse_warnings();
        return changed;
    });
}

void Session::run(const std::string& sql) {
    with_connection([&](Connection& connection) { connection.session << sql; });
}

void Session::query(const std::string& sql, const std::vector<Parameter>& parameters,
                    const std::vector<ColumnTarget>& targets) {
    with_live_connection([&](Connection& connection) {
        // A connection that broke half-way has left rows in them.
        for (const ColumnTarget& target : targets)
            std::visit([](auto* values) { values->clear(); }, target);
        connection.query(sql, parameters, targets);
    });
}

// Not through prepared statements: a transaction that has failed on PostgreSQL prepares nothing any more, not
// even its own end.
Transaction::Transaction(Session& session) : session_(session) {
    ensure(!session_.in_transaction_, "a session has one transaction at a time");
    const std::string begin = begin_on(session.dialect().engine());
    session_.with_live_connection([&](Session::Connection& connection) { connection.session << begin; });
    session_.in_transaction_ = true;
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        if (session_.connection_) session_.run("ROLLBACK");
    } catch (const std::exception&) {
        // A connection that cannot even roll back is not used again; the server rolls back for us.
        session_.connection_.reset();
    }
    session_.in_transaction_ = false;
}

void Transaction::commit() {
    session_.run("COMMIT");
    ++session_.commits_;
    session_.in_transaction_ = false;
    open_ = false;
}

}  // namespace quittance::db
