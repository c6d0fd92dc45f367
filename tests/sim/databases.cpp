#include "tests/sim/databases.hpp"

#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>

#include <dlfcn.h>
#include <sqlite3.h>

#include "core/manual_clock.hpp"
#include "db/migrate.hpp"
#include "orders/catalogue.hpp"

namespace quittance::sim {

namespace {

/// Whose statements are running.
struct Current {
    Stage* stage = nullptr;
    int process = 0;
};

Current& current() {
    static Current current;
    return current;
}

/// How long a database stays away, or cuts statements: for longer than an event is delivered again.
constexpr milliseconds outage{2500};
constexpr milliseconds long_outage{900'000};

/// SQLite's own function, behind the one below that stands in front of it.
template <class Function>
Function* real(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int real_step(sqlite3_stmt* statement) {
    static auto* const step = real<int(sqlite3_stmt*)>("sqlite3_step");
    return step(statement);
}

/// Connections that a file turned read-only under: SQLite writes through none of them any more.
std::set<const sqlite3*>& read_only_connections() {
    static std::set<const sqlite3*> connections;
    return connections;
}

/// By the time, so that one seed always does the same.
DatabaseOutage::Kind next_outage(const Stage& stage) {
    using Kind = DatabaseOutage::Kind;
    static constexpr std::array kinds{Kind::unreachable, Kind::statements_cut, Kind::read_only};
    return kinds[static_cast<std::size_t>(to_ms(stage.clock.now())) % kinds.size()];
}

/// What the statement fails with because of an outage; SQLITE_OK when it does not.
int failure_by_outage(const Stage& stage, int process, sqlite3_stmt* statement) {
    const sqlite3* connection = sqlite3_db_handle(statement);
    const bool writes = sqlite3_stmt_readonly(statement) == 0;
    const auto found = stage.database_outages.find(process);
    if (found != stage.database_outages.end() && stage.clock.now() < found->second.until) {
        switch (found->second.kind) {
            case DatabaseOutage::Kind::unreachable: return SQLITE_IOERR;
            case DatabaseOutage::Kind::statements_cut: return SQLITE_INTERRUPT;
            case DatabaseOutage::Kind::read_only:
                if (writes) read_only_connections().insert(connection);
                break;
        }
    }
    return writes && read_only_connections().contains(connection) ? SQLITE_READONLY : SQLITE_OK;
}

int commit(Stage& stage, int process, sqlite3_stmt* statement) {
    const auto fault = stage.faults.pass(Border::commit, process);
    if (!fault) return real_step(statement);
    stage.history.note(std::string(to_string(*fault)));
    switch (*fault) {
        case FaultKind::crash_before_commit: throw Crash{process};
        case FaultKind::crash_after_commit: real_step(statement); throw Crash{process};
        case FaultKind::unknown_commit: real_step(statement); return SQLITE_IOERR;
        default: return SQLITE_IOERR;
    }
}

int execute(Stage& stage, int process, sqlite3_stmt* statement, std::string_view sql) {
    const auto fault = stage.faults.pass(Border::statement, process);
    if (!fault) return real_step(statement);
    stage.history.note(std::string(to_string(*fault)) + " at " + std::string(sql.substr(0, 60)));
    switch (*fault) {
        case FaultKind::crash_at_statement: throw Crash{process};
        case FaultKind::conflict: return SQLITE_BUSY;
        case FaultKind::rejection: return SQLITE_ERROR;
        case FaultKind::database_outage: {
            const auto kind = next_outage(stage);
            const bool is_long = kind == DatabaseOutage::Kind::statements_cut;
            stage.database_outages[process] = {kind, stage.clock.now() + (is_long ? long_outage : outage)};
            const int failure = failure_by_outage(stage, process, statement);
            return failure == SQLITE_OK ? real_step(statement) : failure;
        }
        default: return SQLITE_IOERR;
    }
}

/// Databases live in memory for as long as a connection to them is open. One thread, so no locks.
void prepare_sqlite() {
    static const bool prepared = [] {
        sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        sqlite3_initialize();
        return sqlite3_vfs_register(sqlite3_vfs_find("memdb"), 1) == SQLITE_OK;
    }();
    if (!prepared) throw std::runtime_error("SQLite has no databases in memory");
}

}  // namespace

int step_with_faults(sqlite3_stmt* statement) {
    Stage* stage = current().stage;
    // The rows of a result that was begun come from memory, and the end of a transaction cannot fail.
    if (stage == nullptr || sqlite3_stmt_busy(statement) != 0) return real_step(statement);
    // SQLite's own statements have no text, such as those that read the schema.
    const char* text = sqlite3_sql(statement);
    const std::string_view sql = text == nullptr ? "PRAGMA" : text;
    if (sql.starts_with("PRAGMA") || sql == "ROLLBACK") return real_step(statement);
    const int failure = failure_by_outage(*stage, current().process, statement);
    if (failure != SQLITE_OK) return failure;
    return sql == "COMMIT" ? commit(*stage, current().process, statement)
                           : execute(*stage, current().process, statement, sql);
}

int close_and_forget(sqlite3* connection) {
    // Another one may be opened at the same address.
    read_only_connections().erase(connection);
    static auto* const close = real<int(sqlite3*)>("sqlite3_close");
    return close(connection);
}

FaultyStatements::FaultyStatements(Stage& stage, int process) {
    current() = {&stage, process};
}

FaultyStatements::~FaultyStatements() {
    current() = {};
}

SoundStatements::SoundStatements() : stage_(std::exchange(current().stage, nullptr)) {}

SoundStatements::~SoundStatements() {
    current().stage = stage_;
}

struct Database::Statements {
    ~Statements() {
        for (const auto& [sql, statement] : prepared)
            sqlite3_finalize(statement);
    }
    std::map<std::string, sqlite3_stmt*> prepared;
};

Database::Database(const std::string& name) : name_("/" + name), statements_(std::make_unique<Statements>()) {
    prepare_sqlite();
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(name_.c_str(), &connection_, flags, nullptr) != SQLITE_OK) {
        throw std::runtime_error("SQLite opens no database in memory");
    }
}

Database::Database(const std::string& name, Database& empty) : Database(name) {
    sqlite3_backup* copy = sqlite3_backup_init(connection_, "main", empty.connection_, "main");
    if (copy == nullptr) throw std::runtime_error("SQLite copies no database");
    const int copied = sqlite3_backup_step(copy, -1);
    sqlite3_backup_finish(copy);
    if (copied != SQLITE_DONE) throw std::runtime_error("SQLite did not copy a database");
}

Database::~Database() {
    statements_.reset();
    sqlite3_close(connection_);
}

db::DatabaseOptions Database::options() const {
    return {db::Engine::sqlite, "dbname=" + name_ + " timeout=0", name_};
}

std::vector<Database::Row> Database::rows(const std::string& sql,
                                          const std::vector<std::string>& parameters) {
    const SoundStatements sound;
    sqlite3_stmt*& statement = statements_->prepared[sql];
    if (statement == nullptr &&
        sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
        throw Violation{"looked into an open transaction", sql + ": " + sqlite3_errmsg(connection_)};
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::string& text = parameters[i];
        sqlite3_bind_text(statement, static_cast<int>(i) + 1, text.data(), static_cast<int>(text.size()),
                          SQLITE_TRANSIENT);
    }
    std::vector<Row> rows;
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        Row& row = rows.emplace_back();
        for (int column = 0; column < sqlite3_column_count(statement); ++column) {
            const auto* text = sqlite3_column_text(statement, column);
            row.emplace_back(reinterpret_cast<const char*>(text),
                             static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
        }
    }
    sqlite3_reset(statement);
    if (result != SQLITE_DONE) {
        throw Violation{"looked into an open transaction", sql + ": " + sqlite3_errmsg(connection_)};
    }
    return rows;
}

std::int64_t Database::number(const std::string& sql, const std::vector<std::string>& parameters) {
    return std::stoll(rows(sql, parameters).at(0).at(0));
}

Templates::Templates() : orders("orders-template"), payments("payments-template") {
    const ManualClock clock;
    db::Session orders_session(orders.options());
    db::migrate(orders_session, db::orders_migrations(), clock.now());
    const orders::ProductStore products(orders_session.dialect());
    db::Transaction transaction(orders_session);
    for (const orders::Product& product : orders::demo_products())
        products.put(orders_session, product);
    const Currency currency = orders::demo_products().front().unit_price.currency;
    products.put(orders_session, {std::string(free_product), "Sample", {0, currency}, true});
    transaction.commit();
    db::Session payments_session(payments.options());
    db::migrate(payments_session, db::payments_migrations(), clock.now());
}

}  // namespace quittance::sim

/// These stand in front of SQLite's own for the whole program: SOCI's statements and connections pass here.
extern "C" int sqlite3_step(sqlite3_stmt* statement) {
    return quittance::sim::step_with_faults(statement);
}

extern "C" int sqlite3_close(sqlite3* connection) {
    return quittance::sim::close_and_forget(connection);
}
