#include "db/failures.hpp"

#include <algorithm>
#include <array>

#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "core/canary.hpp"
#include "core/error.hpp"

namespace quittance::db {

namespace {

template <class Codes, class Code>
bool contains(const Codes& codes, const Code& code) {
    return std::ranges::find(codes, code) != codes.end();
}

}  // namespace

// https://www.sqlite.org/rescode.html
Failure failure_of_sqlite(int result) {
    switch (result & 0xFF) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return Failure::conflict;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH: return Failure::data;
        case SQLITE_TOOBIG: return Failure::limit;
        case SQLITE_READONLY: return Failure::read_only;
        default: return planted(Canary::unknown_error_is_final) ? Failure::data : Failure::away;
    }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
Failure failure_of_postgresql(std::string_view sqlstate) {
    static constexpr std::array<std::string_view, 3> conflicts{
        "40001",  // serialization_failure
        "40P01",  // deadlock_detected
        "55P03",  // lock_not_available: lock_timeout ran out
    };
    static constexpr std::array<std::string_view, 6> data{
        "21000",  // cardinality_violation: two rows of a batch concern the same row
        "22",     // data exceptions
        "23",     // integrity constraint violations
        "40002",  // transaction_integrity_constraint_violation: found by the COMMIT
        "44",     // with_check_option_violation
        "P0001",  // raise_exception: by a trigger of ours
    };
    static constexpr std::array<std::string_view, 3> limits{
        "53200",  // out_of_memory: also of the table of locks
        "53400",  // configuration_limit_exceeded: temporary files
        "54",     // program limits: statement too complex, too many columns or arguments
    };
    static constexpr std::array<std::string_view, 4> lost{
        "08",     // connection exceptions
        "25P03",  // idle_in_transaction_session_timeout: the server closed the connection
        "26000",  // invalid_sql_statement_name: another server than the one that prepared it
        "57P",    // the server shuts down, crashed, or cannot be connected to now
    };
    const auto starts = [sqlstate](std::string_view prefix) { return sqlstate.starts_with(prefix); };
    // SOCI's blank for "no answer at all".
    if (sqlstate.find_first_not_of(' ') == std::string_view::npos) return Failure::lost;
    if (contains(conflicts, sqlstate)) return Failure::conflict;
    if (sqlstate == "25006") return Failure::read_only;
    if (std::ranges::any_of(data, starts)) return Failure::data;
    if (std::ranges::any_of(limits, starts)) return Failure::limit;
    if (std::ranges::any_of(lost, starts)) return Failure::lost;
    return Failure::away;
}

// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html and
// https://mariadb.com/kb/en/mariadb-error-code-reference/. Up to 1886 the numbers mean the same.
Failure failure_of_mysql(unsigned error) {
    static constexpr std::array<unsigned, 6> conflicts{
        1020,  // the row changed since it was read (MariaDB, innodb_snapshot_isolation)
        1205,  // lock wait timeout
        1213,  // deadlock
        1614,  // deadlock in a distributed transaction
        3058,  // deadlock between named locks (MySQL)
        3572,  // NOWAIT found a lock (MySQL)
    };
    static constexpr std::array<unsigned, 62> data{
        1022, 1062, 1169, 1557, 1586, 1761, 1762, 1859,  // duplicate keys
        1048, 1138, 1263, 3673,                          // NULL
        1216, 1217, 1451, 1452,                          // foreign keys
        1242,                                            // more than one row where one belongs
        1264, 1265, 1292, 1300, 1365, 1366, 1367, 1406, 1411, 1416, 1441, 1690,  // value, length, range
        1369,                                                                    // a view's CHECK OPTION
        1526, 1591, 1748,                                                        // no partition
        1644,              // SIGNAL: by a trigger of ours
        1916, 1917, 1918,  // value, length, range (MariaDB)
        3140, 3141, 3144, 3150, 3151, 3155, 3156, 3157, 3158, 3665, 3666, 3669, 3966, 3967,  // JSON (MySQL)
        3819,                                                                                // CHECK (MySQL)
        4025,                                                  // CHECK (MariaDB)
        4035, 4036, 4037, 4038, 4039, 4040, 4176, 4178, 4179,  // JSON (MariaDB)
    };
    static constexpr std::array<unsigned, 15> limits{
        1038,  // sort memory
        1104,  // max_join_size
        1118,  // row size
        1153,  // max_allowed_packet
        1162,  // max_allowed_packet, for a result
        1197,  // max_binlog_cache_size
        1206,  // the table of locks
        1301,  // max_allowed_packet, for the result of a function
        1390,  // placeholders
        1436,  // thread_stack
        1705,  // max_binlog_stmt_cache_size
        1713,  // undo record size
        2020,  // max_allowed_packet of the client library
        3170,  // range_optimizer_max_mem_size
        3231,  // group_replication_transaction_size_limit
    };
    static constexpr std::array<unsigned, 19> lost{
        1053, 1077, 1079, 1080,                          // the server shuts down
        1152, 1184, 1927, 3169, 4031,                    // the connection was closed or killed
        1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161,  // network errors
        1243,                                            // prepared on another server
        3168,                                            // server is not available (MySQL)
    };
    static constexpr std::array<unsigned, 4> read_only{
        1290,  // --read-only
        1792,  // a read-only transaction
        1836,  // --innodb-read-only
        3989,  // a schema that is read-only (MySQL)
    };
    // Errors of the client libraries, all about the connection. MySQL's own servers use no number in between.
    const bool from_client = (error >= 2000 && error <= 2999) || (error >= 5000 && error <= 5999);
    if (contains(conflicts, error)) return Failure::conflict;
    if (contains(data, error)) return Failure::data;
    if (contains(limits, error)) return Failure::limit;
    if (contains(read_only, error)) return Failure::read_only;
    if (from_client || contains(lost, error)) return Failure::lost;
    return Failure::away;
}

void throw_failure(Failure failure, const std::string& what) {
    switch (failure) {
        case Failure::data: throw StorageRejected(what);
        case Failure::conflict: throw StorageConflict(what);
        case Failure::limit: throw StorageLimitExceeded(what);
        case Failure::lost: throw StorageConnectionLost(what);
        case Failure::read_only: throw StorageReadOnly(what);
        case Failure::away: break;
    }
    throw StorageUnavailable(what);
}

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
        throw_failure(Failure::away, error.get_error_message());
    }
}

}  // namespace quittance::db
