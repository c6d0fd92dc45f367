#include "db/failures.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "core/error.hpp"

namespace quittance::db {

namespace {

enum class Failure { unavailable, conflict, rejected };

// https://www.sqlite.org/rescode.html
constexpr int sqlite_busy = 5;
constexpr int sqlite_locked = 6;
constexpr int sqlite_io_error = 10;
constexpr int sqlite_full = 13;
constexpr int sqlite_cannot_open = 14;

Failure failure_of_sqlite(int result) {
    switch (result & 0xFF) {
        case sqlite_busy:
        case sqlite_locked: return Failure::conflict;
        case sqlite_io_error:
        case sqlite_full:
        case sqlite_cannot_open: return Failure::unavailable;
        default: return Failure::rejected;
    }
}

// https://www.postgresql.org/docs/15/errcodes-appendix.html
Failure failure_of_postgresql(std::string_view sqlstate) {
    static constexpr std::array<std::string_view, 3> conflicts{
        "40001",  // serialization_failure
        "40P01",  // deadlock_detected
        "55P03",  // lock_not_available: lock_timeout ran out
    };
    static constexpr std::array<std::string_view, 4> unavailable{
        "25006",  // read_only_sql_transaction: a standby, or one that is about to become one
        "26000",  // invalid_sql_statement_name: another server than the one that prepared it
        "40003",  // statement_completion_unknown
        "57014",  // query_canceled: statement_timeout ran out
    };
    static constexpr std::array<std::string_view, 4> unavailable_classes{
        "08",   // connection exceptions
        "53",   // insufficient resources: disk full, out of memory, too many connections
        "57P",  // the server shuts down, crashed, or cannot be connected to now
        "58",   // system errors
    };
    // SOCI's blank for "no answer at all".
    if (sqlstate.find_first_not_of(' ') == std::string_view::npos) return Failure::unavailable;
    if (std::ranges::find(conflicts, sqlstate) != conflicts.end()) return Failure::conflict;
    const auto is_class = [&](std::string_view prefix) { return sqlstate.starts_with(prefix); };
    if (std::ranges::find(unavailable, sqlstate) != unavailable.end() ||
        std::ranges::any_of(unavailable_classes, is_class)) {
        return Failure::unavailable;
    }
    return Failure::rejected;
}

// https://mariadb.com/kb/en/mariadb-error-code-reference/; MySQL's numbers are the same below 1900.
Failure failure_of_mysql(unsigned error) {
    static constexpr std::array<unsigned, 2> conflicts{
        1205,  // lock wait timeout
        1213,  // deadlock
    };
    static constexpr std::array<unsigned, 15> unavailable{
        1021,  // disk full
        1040,  // too many connections
        1047,  // a Galera node that is not ready
        1053,  // server shutdown in progress
        1114,  // the table is full
        1129,  // host blocked
        1180,  // error during COMMIT
        1203,  // the user has too many connections
        1226,  // the user's resources are used up
        1290,  // the server runs with --read-only
        1317,  // query interrupted
        1792,  // read-only transaction
        1836,  // read-only mode
        1927,  // connection killed
        4031,  // disconnected by the server because of inactivity
    };
    // Errors of the client library, all about the connection: https://mariadb.com/kb/en/mariadb-error-codes/
    static constexpr unsigned first_client_error = 2000;
    static constexpr unsigned last_client_error = 2999;
    if (std::ranges::find(conflicts, error) != conflicts.end()) return Failure::conflict;
    if ((error >= first_client_error && error <= last_client_error) ||
        std::ranges::find(unavailable, error) != unavailable.end()) {
        return Failure::unavailable;
    }
    return Failure::rejected;
}

[[noreturn]] void throw_failure(Failure failure, const std::string& what) {
    switch (failure) {
        case Failure::unavailable: throw StorageUnavailable(what);
        case Failure::conflict: throw StorageConflict(what);
        case Failure::rejected: break;
    }
    throw StorageRejected(what);
}

}  // namespace

void rethrow_as_storage_failure() {
    // Without SOCI's context, which repeats the statement and its parameters.
    try {
        throw;
    } catch (const soci::sqlite3_soci_error& error) {
        throw_failure(failure_of_sqlite(error.result()), error.get_error_message());
    } catch (const soci::postgresql_soci_error& error) {
        throw_failure(failure_of_postgresql(error.sqlstate()), error.get_error_message());
    } catch (const soci::mysql_soci_error& error) {
        throw_failure(failure_of_mysql(error.err_num_), error.get_error_message());
    } catch (const soci::soci_error& error) {
        throw_failure(Failure::rejected, error.get_error_message());
    }
}

}  // namespace quittance::db
