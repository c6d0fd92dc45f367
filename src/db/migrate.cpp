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
const std::string lock_on_mysql = "SELECT COALESCE(GET_LOCK(SHA1(CONCAT('quittance ', DATABASE())), 20), 0)";
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
            session_.run("DO RELEASE_LOCK(SHA1(CONCAT('quittance ', DATABASE())))");
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

void apply(Session& session, const Migration& migration, Timestamp now) {
    for (const std::string& statement : statements_of(migration.sql))
        session.run(statement);
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
    Transaction transaction(session);
    if (engine == Engine::postgresql) {
        session.run("SET LOCAL lock_timeout = 60000");
        session.run("SET LOCAL statement_timeout = 0");
        session.run(lock_on_postgresql);
    }
    if (engine == Engine::mysql) session.run("SET SESSION lock_wait_timeout = 60");
    session.run(create_table);
    const std::vector<Migration> missing = missing_of(session, migrations);
    for (const Migration& migration : missing)
        apply(session, migration, now);
    transaction.commit();
    if (engine == Engine::mysql) session.run("SET SESSION lock_wait_timeout = 10");
    return static_cast<int>(missing.size());
}

}  // namespace quittance::db
