#include "db/migrate.hpp"

#include <algorithm>
#include <string>

namespace quittance::db {

namespace {

const std::string create_table =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, applied_at BIGINT NOT NULL)";

/// Splits a migration after each semicolon that ends a line before an empty one.
std::vector<std::string> statements_of(std::string_view sql) {
    static constexpr std::string_view end_of_statement = ";\n\n";
    std::vector<std::string> statements;
    while (!sql.empty()) {
        const std::size_t end = sql.find(end_of_statement);
        std::string statement(sql.substr(0, end));
        sql = end == std::string_view::npos ? std::string_view() : sql.substr(end + end_of_statement.size());
        const std::size_t last = statement.find_last_not_of(" \n;");
        if (last != std::string::npos) statements.push_back(statement.substr(0, last + 1));
    }
    return statements;
}

void apply(Session& session, const Migration& migration, Timestamp now) {
    // A trigger's body has semicolons of its own and ends with END; SQLite wants that last one back.
    for (const std::string& statement : statements_of(migration.sql))
        session.execute(statement + ";");
    session.execute("INSERT INTO schema_migrations (version, name, applied_at) VALUES (:version, :name, :at)",
                    {std::int64_t{migration.version}, std::string(migration.name), to_ms(now)});
}

}  // namespace

int migrate(Session& session, const std::vector<Migration>& migrations, Timestamp now) {
    session.execute(create_table);
    Transaction transaction(session);
    const auto applied =
        session.select<std::int64_t>("SELECT version FROM schema_migrations ORDER BY version");
    const auto is_applied = [&](int version) {
        return std::ranges::any_of(applied, [&](const auto& row) { return std::get<0>(row) == version; });
    };
    int newest = 0;
    int count = 0;
    for (const Migration& migration : migrations) {
        if (migration.engine != session.dialect().engine()) continue;
        newest = std::max(newest, migration.version);
        if (is_applied(migration.version)) continue;
        apply(session, migration, now);
        ++count;
    }
    if (!applied.empty() && std::get<0>(applied.back()) > newest) {
        throw ConfigurationError(
            "the database has schema version " + std::to_string(std::get<0>(applied.back())) +
            ", newer than this program's " + std::to_string(newest) + ": start the newer program instead");
    }
    transaction.commit();
    return count;
}

int open_and_migrate(Session& session, const std::string& label, const std::vector<Migration>& migrations,
                     Timestamp now) {
    try {
        return migrate(session, migrations, now);
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + label + " cannot be opened: " + unavailable.what());
    } catch (const StorageRejected& rejected) {
        throw ConfigurationError("the database " + label + " cannot be used; is it one of quittance's? " +
                                 rejected.what());
    }
}

}  // namespace quittance::db
