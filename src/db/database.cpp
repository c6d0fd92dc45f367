#include "db/database.hpp"

#include <deque>
#include <unordered_map>

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

namespace quittance::db {

namespace {

/// Rows fetched from SOCI at a time.
constexpr std::size_t fetch_rows = 256;

// https://www.sqlite.org/rescode.html
constexpr int sqlite_busy = 5;
constexpr int sqlite_locked = 6;
constexpr int sqlite_io_error = 10;
constexpr int sqlite_full = 13;
constexpr int sqlite_cannot_open = 14;

/// Rethrows what SOCI threw as one of the three storage failures.
[[noreturn]] void rethrow_as_storage_failure() {
    try {
        throw;
    } catch (const soci::sqlite3_soci_error& error) {
        switch (error.result() & 0xFF) {
            case sqlite_busy:
            case sqlite_locked: throw StorageConflict(error.what());
            case sqlite_io_error:
            case sqlite_full:
            case sqlite_cannot_open: throw StorageUnavailable(error.what());
            default: throw StorageRejected(error.what());
        }
    } catch (const soci::soci_error& error) {
        throw StorageRejected(error.what());
    }
}

const soci::backend_factory& factory_of(Engine engine) {
    switch (engine) {
        case Engine::sqlite: return *soci::factory_sqlite3();
        case Engine::postgresql:
        case Engine::mysql: break;
    }
    throw ConfigurationError("this program is built without support for that database");
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
    if (text.starts_with(sqlite_scheme) && text.size() > sqlite_scheme.size()) {
        const std::string path = text.substr(sqlite_scheme.size());
        if (path.find_first_of("'\" ") != std::string::npos) {
            throw ConfigurationError("the path of a SQLite database must have no space and no quote: " +
                                     path);
        }
        return {Engine::sqlite, "dbname=" + path + " timeout=5 synchronous=full", text};
    }
    throw ConfigurationError("a database address must look like sqlite:PATH");
}

struct Session::Connection {
    explicit Connection(const DatabaseOptions& options)
        : session(factory_of(options.engine), options.connection) {
        // Write-ahead logging lets readers go on beside the writer.
        if (options.engine == Engine::sqlite) session << "PRAGMA journal_mode=WAL";
    }

    Prepared& prepared(const std::string& sql, const std::vector<Parameter>& parameters,
                       const std::vector<ColumnTarget>& targets) {
        auto& entry = statements[sql];
        if (!entry) entry = std::make_unique<Prepared>(session, sql, parameters, targets);
        return *entry;
    }

    soci::session session;
    std::unordered_map<std::string, std::unique_ptr<Prepared>> statements;
};

Session::Session(DatabaseOptions options) : options_(std::move(options)), dialect_(options_.engine) {}
Session::~Session() = default;

const Dialect& Session::dialect() const {
    return dialect_;
}

template <class Work>
auto Session::with_connection(Work work) {
    try {
        if (!connection_) connection_ = std::make_unique<Connection>(options_);
        return work(*connection_);
    } catch (const soci::soci_error&) {
        try {
            rethrow_as_storage_failure();
        } catch (const StorageUnavailable&) {
            connection_.reset();
            throw;
        }
    }
}

std::int64_t Session::execute(const std::string& sql, const std::vector<Parameter>& parameters) {
    return with_connection(
        [&](Connection& connection) { return connection.prepared(sql, parameters, {}).execute(parameters); });
}

void Session::query(const std::string& sql, const std::vector<Parameter>& parameters,
                    const std::vector<ColumnTarget>& targets) {
    with_connection([&](Connection& connection) {
        connection.prepared(sql, parameters, targets).query(parameters, targets);
    });
}

Transaction::Transaction(Session& session) : session_(session) {
    session_.execute(session.dialect().engine() == Engine::sqlite ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
    if (!open_ || !session_.connection_) return;
    try {
        session_.execute("ROLLBACK");
    } catch (const std::exception&) {
        // A connection that cannot even roll back is not used again; the server rolls back for us.
        session_.connection_.reset();
    }
}

void Transaction::commit() {
    // A connection that broke since the last statement took the transaction with it.
    if (!session_.connection_) throw StorageUnavailable("the connection broke before the commit");
    session_.execute("COMMIT");
    open_ = false;
}

}  // namespace quittance::db
