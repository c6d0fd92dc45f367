#include "db/migrate.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>

namespace quittance::db {

namespace {

const std::string create_table =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, applied_at BIGINT NOT NULL)";

/// Any number that no other program uses for a lock in the same database.
const std::string lock_on_postgresql = "SELECT pg_advisory_xact_lock(7118264935115)";

/// A minute in all, in steps that are shorter than the client's time limit. Locks are the server's, not the
/// database's, so the name holds the database.
/// A name has at most 64 characters, and MySQL 9 has no SHA1().
const std::string lock_on_mysql =
    "SELECT COALESCE(GET_LOCK(SHA2(CONCAT('quittance ', DATABASE()), 256), 20), 0)";
const std::string unlock_on_mysql = "DO RELEASE_LOCK(SHA2(CONCAT('quittance ', DATABASE()), 256))";
constexpr int mysql_lock_attempts = 3;

/// Splits a migration after each semicolon that ends a line before an empty one. Lines that are comments are
/// left out: a colon in one would be taken for a placeholder.
std::vector<std::string> statements_of(std::string_view sql) {
    std::vector<std::string> statements(1);
    while (!sql.empty()) {
        const std::size_t end = sql.find('\n');
        const std::string_view line = sql.substr(0, end);
        sql = end == std::string_view::npos ? std::string_view() : sql.substr(end + 1);
        const std::size_t first = line.find_first_not_of(' ');
        if (first == std::string_view::npos) {
            if (statements.back().ends_with(";\n")) statements.emplace_back();
        } else if (!line.substr(first).starts_with("--")) {
            statements.back().append(line).append("\n");
        }
    }
    std::erase(statements, "");
    return statements;
}

/// Keeps other programs from migrating the same database at the same time.
class MigrationLock {
public:
    /// On the other engines, part of the transaction.
    explicit MigrationLock(Session& session) : session_(session) {
        if (session.dialect().engine() != Engine::mysql) return;
        for (int attempt = 0; attempt < mysql_lock_attempts && !held_; ++attempt)
            held_ = std::get<0>(session.select<std::int64_t>(lock_on_mysql).at(0)) == 1;
        if (!held_) throw StorageUnavailable("another program has been migrating the database for a minute");
    }
    ~MigrationLock() {
        if (!held_) return;
        try {
            session_.run(unlock_on_mysql);
        } catch (const std::exception&) {
            // The lock ends with the connection.
        }
    }
    MigrationLock(const MigrationLock&) = delete;
    MigrationLock& operator=(const MigrationLock&) = delete;

private:
    Session& session_;
    bool held_ = false;
};

/// To rebuild a table is to drop it, which would remove what refers to its rows: SQLite's foreign keys are
/// off during migrations. They cannot be switched within a transaction.
class ForeignKeysOff {
public:
    explicit ForeignKeysOff(Session& session) : session_(session) {
        if (is_sqlite()) session_.run("PRAGMA foreign_keys=OFF");
    }
    ~ForeignKeysOff() {
        try {
            if (is_sqlite()) session_.run("PRAGMA foreign_keys=ON");
        } catch (const std::exception&) {
            // A new connection has them on.
        }
    }
    ForeignKeysOff(const ForeignKeysOff&) = delete;
    ForeignKeysOff& operator=(const ForeignKeysOff&) = delete;

private:
    [[nodiscard]] bool is_sqlite() const { return session_.dialect().engine() == Engine::sqlite; }

    Session& session_;
};

using Applied = std::vector<std::tuple<std::int64_t, std::string>>;

/// Throws when the database was made by a newer program, or for another purpose.
void check_applied(const Applied& applied, const std::vector<Migration>& migrations) {
    int newest = 0;
    for (const Migration& migration : migrations)
        newest = std::max(newest, migration.version);
    for (const auto& [version, name] : applied) {
        if (version > newest) {
            throw ConfigurationError("the database has schema version " + std::to_string(version) +
                                     ", newer than this program's " + std::to_string(newest) +
                                     ": start the newer program instead");
        }
        const auto ours = std::ranges::find_if(migrations, [version = version](const Migration& migration) {
            return migration.version == version;
        });
        if (ours != migrations.end() && ours->name != name) {
            throw ConfigurationError("the database holds something else: its schema version " +
                                     std::to_string(version) + " is named " + name + " and not " +
                                     std::string(ours->name) + "; each service needs a database of its own");
        }
    }
}

/// MySQL and MariaDB refuse triggers of those who are not administrators while they write a binary log.
void run_statement(Session& session, const std::string& statement) {
    static constexpr std::string_view setting = "log_bin_trust_function_creators";
    try {
        session.run(statement);
    } catch (const std::exception& refused) {
        if (session.dialect().engine() != Engine::mysql) throw;
        if (std::string_view(refused.what()).find(setting) == std::string_view::npos) throw;
        throw ConfigurationError(
            "the server writes a binary log and lets only administrators make triggers, of which the schema "
            "has some: set log_bin_trust_function_creators to ON (as an administrator: SET PERSIST "
            "log_bin_trust_function_creators = ON; on MariaDB SET GLOBAL, and the same in its configuration; "
            "on Cloud SQL the database flag of that name), and start again");
    }
}

void apply(Session& session, const Migration& migration, Timestamp now) {
    for (const std::string& statement : statements_of(migration.sql))
        run_statement(session, statement);
    session.execute("INSERT INTO schema_migrations (version, name, applied_at) VALUES (:version, :name, :at)",
                    {std::int64_t{migration.version}, std::string(migration.name), to_ms(now)});
}

/// Those of them that the database does not have yet.
std::vector<Migration> missing_of(Session& session, const std::vector<Migration>& migrations) {
    const Applied applied = session.select<std::int64_t, std::string>(
        "SELECT version, name FROM schema_migrations ORDER BY version");
    check_applied(applied, migrations);
    std::vector<Migration> missing;
    std::ranges::copy_if(migrations, std::back_inserter(missing), [&](const Migration& migration) {
        const auto is_this = [&](const auto& row) { return std::get<0>(row) == migration.version; };
        return std::ranges::none_of(applied, is_this);
    });
    return missing;
}

std::vector<Migration> of_engine(const std::vector<Migration>& all, Engine engine) {
    std::vector<Migration> migrations;
    std::ranges::copy_if(all, std::back_inserter(migrations),
                         [&](const Migration& migration) { return migration.engine == engine; });
    return migrations;
}

std::string count_of_our_table(Engine engine) {
    switch (engine) {
        case Engine::sqlite:
            return "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'";
        case Engine::postgresql: return "SELECT CAST(COUNT(to_regclass('schema_migrations')) AS bigint)";
        case Engine::mysql:
            return "SELECT COUNT(*) FROM information_schema.tables "
                   "WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'";
    }
    return {};
}

/// Rows of SQLite that refer to rows that do not exist. Servers refuse to make them.
std::int64_t broken_references(Session& session) {
    if (session.dialect().engine() != Engine::sqlite) return 0;
    return std::get<0>(session.select<std::int64_t>("SELECT COUNT(*) FROM pragma_foreign_key_check").at(0));
}

int apply_missing(Session& session, const std::vector<Migration>& migrations, Timestamp now) {
    const std::vector<Migration> missing = missing_of(session, migrations);
    if (missing.empty()) return 0;
    const std::int64_t broken_before = broken_references(session);
    for (const Migration& migration : missing)
        apply(session, migration, now);
    if (broken_references(session) > broken_before)
        throw StorageRejected("the migrations leave rows that refer to rows that do not exist");
    return static_cast<int>(missing.size());
}

}  // namespace

std::optional<int> missing_migrations(Session& session, const std::vector<Migration>& all) {
    const Engine engine = session.dialect().engine();
    if (std::get<0>(session.select<std::int64_t>(count_of_our_table(engine)).at(0)) == 0) return std::nullopt;
    return static_cast<int>(missing_of(session, of_engine(all, engine)).size());
}

int migrate(Session& session, const std::vector<Migration>& all, Timestamp now) {
    const Engine engine = session.dialect().engine();
    const std::vector<Migration> migrations = of_engine(all, engine);
    const MigrationLock lock(session);
    const ForeignKeysOff foreign_keys_off(session);
    Transaction transaction(session);
    if (engine == Engine::postgresql) {
        session.run("SET LOCAL lock_timeout = 60000");
        session.run("SET LOCAL statement_timeout = 0");
        session.run(lock_on_postgresql);
    }
    if (engine == Engine::mysql) session.run("SET SESSION lock_wait_timeout = 60");
    session.run(create_table);
    const int count = apply_missing(session, migrations, now);
    transaction.commit();
    if (engine == Engine::mysql) session.run("SET SESSION lock_wait_timeout = 10");
    return count;
}

}  // namespace quittance::db
