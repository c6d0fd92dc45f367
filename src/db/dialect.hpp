// What differs between the SQL engines, in one place. Pure text; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quittance::db {

enum class Engine { sqlite, postgresql, mysql };

enum class ColumnType { text, integer, uuid, json };

struct Column {
    std::string_view name;
    ColumnType type = ColumnType::text;
};

/// How MySQL's form of `Dialect::insert_new_rows` begins.
inline constexpr std::string_view insert_ignore = "INSERT IGNORE ";

/// Builds the parts of statements that the engines write differently.
class Dialect {
public:
    explicit Dialect(Engine engine) : engine_(engine) {}

    [[nodiscard]] Engine engine() const { return engine_; }

    /// A table expression named `alias` over one parameter that holds a JSON array of objects: the way a
    /// whole batch enters a statement. `parameter` includes its colon.
    [[nodiscard]] std::string rows(std::string_view parameter, std::string_view alias,
                                   const std::vector<Column>& columns) const;

    /// INSERT INTO table (columns) SELECT columns FROM rows; in the order of the rows.
    [[nodiscard]] std::string insert_rows(std::string_view table, const std::vector<Column>& columns) const;

    /// As `insert_rows`, but leaves out rows whose key is taken. On MySQL this is INSERT IGNORE, which lets
    /// through far more than taken keys: `Session` refuses the rest.
    [[nodiscard]] std::string insert_new_rows(std::string_view table,
                                              const std::vector<Column>& columns) const;

    /// UPDATE table SET `assigned` from the row `b` with the same `key` columns. `index` is that of the key:
    /// MySQL reads a small table as a whole unless it is named, and waits for every row that is locked.
    [[nodiscard]] std::string update_rows(std::string_view table, const std::vector<Column>& key,
                                          const std::vector<Column>& assigned,
                                          std::string_view index = {}) const;

    /// DELETE FROM table the rows with the `key` columns of the batch; `index` as in `update_rows`.
    [[nodiscard]] std::string delete_rows(std::string_view table, const std::vector<Column>& key,
                                          std::string_view index = {}) const;

    /// DELETE FROM table the `limit` rows that come first by `age`, an indexed column of integers, and are
    /// below its one parameter, `:before`. Reads no others, whatever the planner knows of the table. `key`
    /// are the columns of the primary key.
    [[nodiscard]] std::string delete_oldest(std::string_view table, const std::vector<Column>& key,
                                            std::string_view age, std::int64_t limit) const;

    /// The rows `b` joined with the rows of `table` that have the same `key` columns; to stand after FROM.
    /// Where locks are taken while reading, they are taken in the order of the batch; `index` as in
    /// `update_rows`.
    [[nodiscard]] std::string matching(std::string_view table, const std::vector<Column>& key,
                                       std::string_view index = {}) const;

    /// As `matching` by one column that holds UUIDs, for a parameter of `batch_of_ids`: a text is read faster
    /// than an object around it.
    [[nodiscard]] std::string matching_ids(std::string_view table, std::string_view column) const;

    /// " FOR UPDATE" of the table's rows where rows are locked one by one; empty where a writer has the
    /// database to itself.
    [[nodiscard]] std::string for_update(std::string_view table) const;

    /// As `for_update`, but passes over rows that somebody else has locked.
    [[nodiscard]] std::string for_update_of_unlocked(std::string_view table) const;

    /// Behind a table's name: MySQL and MariaDB read it by this index, whatever they take its size for.
    /// Nothing elsewhere.
    [[nodiscard]] std::string forced(std::string_view index) const;

private:
    /// As `rows` with one column of UUIDs, from the text of `batch_of_ids`.
    [[nodiscard]] std::string ids(std::string_view parameter, std::string_view alias,
                                  const Column& column) const;
    /// " JOIN ", with the left side read first.
    [[nodiscard]] std::string_view join() const;

    Engine engine_;
};

}  // namespace quittance::db
