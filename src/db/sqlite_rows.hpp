// How a batch enters a statement on SQLite: a table over a JSON array of objects.
#pragma once

#include <cstddef>

// As <sqlite3.h> declares it.
struct sqlite3;

namespace quittance::db {

/// Columns that one batch may have at the most.
inline constexpr std::size_t max_json_rows_columns = 48;

/// Teaches a connection the table-valued function `json_rows(rows, names)`: one row for each object of the
/// JSON array `rows`, in order, with the members that `names` lists (separated by commas) as columns c0, c1,
/// and so on. A member that is missing is NULL; an array or an object is its JSON text. SQLite's own
/// `json_each` with `json_extract` means the same and costs some twenty times as much, because it writes and
/// reads the JSON of a row anew for each column. Throws StorageUnavailable.
void add_json_rows(sqlite3* connection);

}  // namespace quittance::db
