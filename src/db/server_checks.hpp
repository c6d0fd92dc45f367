// What a database server must be like, and what stands before it.
#pragma once

#include "db/database.hpp"

namespace quittance::db {

/// For a program's start, before the first `Session`: leaves no setting behind where it finds fault. Throws
/// ConfigurationError with what to do when the database does not store UTF-8, or when a connection pooler
/// gives each transaction another connection (PgBouncer's pool_mode = transaction), for prepared statements
/// and session settings would then end up with others. Throws StorageUnavailable when it cannot be reached.
/// SQLite has nothing to check.
void check_server(const DatabaseOptions& options);

}  // namespace quittance::db
