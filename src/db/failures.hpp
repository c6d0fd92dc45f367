// What the engines' errors mean for whoever asked. Private to this folder.
#pragma once

namespace quittance::db {

/// Rethrows the soci::soci_error in flight as StorageUnavailable, StorageConflict or StorageRejected, told
/// apart by SQLite's result code, PostgreSQL's SQLSTATE or MySQL's error number.
[[noreturn]] void rethrow_as_storage_failure();

}  // namespace quittance::db
