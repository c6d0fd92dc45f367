// Schema migrations: versioned SQL files, carried by the program and applied once, in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "db/database.hpp"

namespace quittance::db {

/// One file of migrations/<service>/<engine>/. Each of its statements ends with a semicolon at the end of a
/// line that an empty line or the end of the file follows. Comments have lines of their own. MySQL commits
/// after each statement that changes the schema, so there each must be safe to run again after a crash.
struct Migration {
    Engine engine;
    int version;
    std::string_view name;
    std::string_view sql;
};

[[nodiscard]] const std::vector<Migration>& orders_migrations();
[[nodiscard]] const std::vector<Migration>& payments_migrations();

/// Applies what is missing for the session's engine and returns how many were applied. Safe when several
/// programs start at once: one applies, the others wait. Throws ConfigurationError when the database is
/// newer than the program, or another service's, and when MySQL or MariaDB needs another setting first.
int migrate(Session& session, const std::vector<Migration>& migrations, Timestamp now);

/// Changes nothing: how many migrations are missing; none where the database has no schema of ours at all.
/// Throws as `migrate`.
[[nodiscard]] std::optional<int> missing_migrations(Session& session,
                                                    const std::vector<Migration>& migrations);

}  // namespace quittance::db
