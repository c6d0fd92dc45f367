// What differs between the SQL engines, in one place. Pure text; no I/O.
#pragma once

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

    /// As `insert_rows`, but leaves out rows whose key is taken.
    [[nodiscard]] std::string insert_new_rows(std::string_view table,
                                              const std::vector<Column>& columns) const;

    /// UPDATE table SET `assigned` from the row `b` with the same `key` columns.
    [[nodiscard]] std::string update_rows(std::string_view table, const std::vector<Column>& key,
                                          const std::vector<Column>& assigned) const;

    /// " FOR UPDATE" where rows are locked one by one; empty where a writer has the database to itself.
    [[nodiscard]] std::string_view for_update() const;

private:
    Engine engine_;
};

}  // namespace quittance::db
