// What MySQL 8 refuses in our migrations and MariaDB, on which the tests run, does not.
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "db/migrate.hpp"

namespace quittance::db {
namespace {

/// The columns that a table's own text defines: a name, and then a type in capitals.
std::set<std::string> columns_of(const std::string& sql) {
    static const std::regex column(
        R"((?:^|\n|ADD COLUMN)\s*([a-z_]+)\s+(?:BIGINT|CHAR|VARCHAR|TEXT|JSON)\b)");
    std::set<std::string> columns;
    for (std::sregex_iterator at(sql.begin(), sql.end(), column), end; at != end; ++at)
        columns.insert((*at)[1]);
    return columns;
}

/// Error 3813: "Column check constraint '...' references other column."
void expect_checks_of_their_own_column(const std::string& name, const std::string& sql) {
    static const std::regex checked(
        R"((?:^|\n|ADD COLUMN)\s*([a-z_]+)\s+(?:BIGINT|CHAR|VARCHAR|TEXT|JSON)\b[^,;]*?CHECK\s*\(([^;]*?)\)\s*(?=,\s*\n|\n\)|'))");
    static const std::regex word("[a-z_]+");
    const auto columns = columns_of(sql);
    EXPECT_FALSE(columns.empty());
    for (std::sregex_iterator at(sql.begin(), sql.end(), checked), end; at != end; ++at) {
        const std::string own = (*at)[1];
        const std::string condition = (*at)[2];
        for (std::sregex_iterator one(condition.begin(), condition.end(), word); one != end; ++one) {
            const std::string named = one->str();
            EXPECT_TRUE(named == own || !columns.contains(named))
                << name << ": the CHECK of " << own << " names " << named;
        }
    }
}

TEST(MigrationsForMySql, HaveChecksOfSeveralColumnsAtTheTable) {
    for (const auto* migrations : {&orders_migrations(), &payments_migrations()}) {
        for (const Migration& migration : *migrations) {
            const std::string sql(migration.sql);
            if (migration.engine != Engine::mysql || sql.find("CHECK") == std::string::npos) continue;
            expect_checks_of_their_own_column(std::string(migration.name), sql);
        }
    }
}

}  // namespace
}  // namespace quittance::db
