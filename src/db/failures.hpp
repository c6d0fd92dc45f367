// What the engines' errors mean for whoever asked. Private to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quittance::db {

/// The data's faults, conflicts and limits are listed; every code that is not is `away`. The tables in
/// tests/engine_errors have each code that the engines document with its class.
enum class Failure : std::uint8_t {
    data,       ///< StorageRejected: a value, a duplicate, a broken constraint.
    conflict,   ///< StorageConflict
    limit,      ///< StorageLimitExceeded
    lost,       ///< StorageConnectionLost
    read_only,  ///< StorageReadOnly
    away,       ///< StorageUnavailable
};

/// Of a result code of SQLite, primary or extended.
[[nodiscard]] Failure failure_of_sqlite(int result);
/// Of a SQLSTATE of PostgreSQL; blank where the server did not answer.
[[nodiscard]] Failure failure_of_postgresql(std::string_view sqlstate);
/// Of an error number of MySQL, MariaDB or their client libraries. Where both use a number for different
/// errors, only one of them can meet the statements of a service.
[[nodiscard]] Failure failure_of_mysql(unsigned error);

/// Throws the exception of this class.
[[noreturn]] void throw_failure(Failure failure, const std::string& what);

/// Rethrows the soci::soci_error in flight as what its code means.
[[noreturn]] void rethrow_as_storage_failure();

}  // namespace quittance::db
