#include "db/dialect.hpp"

#include "core/error.hpp"
#include "db/sqlite_rows.hpp"

namespace quittance::db {

namespace {

std::string postgresql_type(ColumnType type) {
    switch (type) {
        case ColumnType::text: return "text";
        case ColumnType::integer: return "bigint";
        case ColumnType::uuid: return "uuid";
        case ColumnType::json: return "json";
    }
    return {};
}

std::string mysql_type(ColumnType type) {
    switch (type) {
        // Without a word about it, MariaDB takes the character set of the database.
        case ColumnType::text: return "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        case ColumnType::integer: return "BIGINT";
        case ColumnType::uuid: return "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin";
        case ColumnType::json: return "JSON";
    }
    return {};
}

/// Some names are reserved words somewhere, such as `key`.
std::string quoted(const Column& column) {
    return '"' + std::string(column.name) + '"';
}

template <class Piece>
std::string list(const std::vector<Column>& columns, std::string_view separator, Piece piece) {
    std::string text;
    for (const Column& column : columns) {
        if (!text.empty()) text += separator;
        text += piece(column);
    }
    return text;
}

std::string names(const std::vector<Column>& columns, std::string_view prefix) {
    return list(columns, ", ", [&](const Column& c) { return std::string(prefix) + quoted(c); });
}

/// See db/sqlite_rows.hpp.
std::string sqlite_rows(const std::string& parameter, const std::vector<Column>& columns) {
    ensure(columns.size() <= max_json_rows_columns, "a batch has no more columns than json_rows can show");
    std::string renamed;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) renamed += ", ";
        renamed += "c" + std::to_string(i) + " AS " + quoted(columns[i]);
    }
    const std::string members = list(columns, ",", [](const Column& c) { return std::string(c.name); });
    return "(SELECT " + renamed + " FROM json_rows(" + parameter + ", '" + members + "'))";
}

/// The condition under which a row of the table and one of the batch have the same key.
std::string same_key(std::string_view table, const std::vector<Column>& key) {
    return list(key, " AND ",
                [&](const Column& c) { return std::string(table) + "." + quoted(c) + " = b." + quoted(c); });
}

}  // namespace

std::string Dialect::rows(std::string_view parameter, std::string_view alias,
                          const std::vector<Column>& columns) const {
    const std::string source(parameter);
    const std::string name(alias);
    switch (engine_) {
        case Engine::sqlite: return sqlite_rows(source, columns) + " AS " + name;
        case Engine::postgresql:
            return "json_to_recordset(CAST(" + source + " AS json)) AS " + name + "(" +
                   list(columns, ", ",
                        [](const Column& c) { return quoted(c) + " " + postgresql_type(c.type); }) +
                   ")";
        case Engine::mysql:
            return "JSON_TABLE(" + source + ", '$[*]' COLUMNS (" +
                   list(columns, ", ",
                        [](const Column& c) {
                            return quoted(c) + " " + mysql_type(c.type) + " PATH '$." + std::string(c.name) +
                                   "'";
                        }) +
                   ")) AS " + name;
    }
    return {};
}

std::string Dialect::insert_rows(std::string_view table, const std::vector<Column>& columns) const {
    return "INSERT INTO " + std::string(table) + " (" + names(columns, "") + ") SELECT " +
           names(columns, "b.") + " FROM " + rows(":rows", "b", columns);
}

std::string Dialect::insert_new_rows(std::string_view table, const std::vector<Column>& columns) const {
    static constexpr std::string_view verb = "INSERT ";
    const std::string insert = insert_rows(table, columns);
    if (engine_ == Engine::mysql) return std::string(insert_ignore) + insert.substr(verb.size());
    // SQLite's grammar needs a WHERE between SELECT ... FROM and ON.
    return insert + " WHERE true ON CONFLICT DO NOTHING";
}

std::string Dialect::update_rows(std::string_view table, const std::vector<Column>& key,
                                 const std::vector<Column>& assigned, std::string_view index) const {
    const std::string target(table);
    std::vector<Column> all = key;
    all.insert(all.end(), assigned.begin(), assigned.end());
    const std::string source = rows(":rows", "b", all);
    const std::string prefix = engine_ == Engine::mysql ? target + "." : "";
    const std::string assignments =
        list(assigned, ", ", [&](const Column& c) { return prefix + quoted(c) + " = b." + quoted(c); });
    if (engine_ == Engine::mysql) {
        return "UPDATE " + source + std::string(join()) + target + forced(index) + " ON " +
               same_key(table, key) + " SET " + assignments;
    }
    return "UPDATE " + target + " SET " + assignments + " FROM " + source + " WHERE " + same_key(table, key);
}

std::string Dialect::delete_rows(std::string_view table, const std::vector<Column>& key,
                                 std::string_view index) const {
    const std::string target(table);
    if (engine_ == Engine::mysql) return "DELETE " + target + " FROM " + matching(table, key, index);
    const std::string source = rows(":rows", "b", key);
    // A semi-join on the key, which both engines look up in the index of the key.
    return "DELETE FROM " + target + " WHERE (" + names(key, "") + ") IN (SELECT " + names(key, "b.") +
           " FROM " + source + ")";
}

std::string Dialect::delete_oldest(std::string_view table, const std::vector<Column>& key,
                                   std::string_view age, std::int64_t limit) const {
    const std::string target(table);
    const std::string column(age);
    const std::string oldest = " FROM " + target + " WHERE " + column + " < :before ORDER BY " + column +
                               " LIMIT " + std::to_string(limit);
    switch (engine_) {
        case Engine::sqlite:
            return "DELETE FROM " + target + " WHERE (" + names(key, "") + ") IN (SELECT " + names(key, "") +
                   oldest + ")";
        // By their places, which needs no join. Rows that another instance removes are passed over.
        case Engine::postgresql:
            return "DELETE FROM " + target + " WHERE ctid = ANY(ARRAY(SELECT ctid" + oldest +
                   " FOR UPDATE SKIP LOCKED))";
        // MariaDB would look up each row of the table in a subquery.
        case Engine::mysql: return "DELETE" + oldest;
    }
    return {};
}

std::string Dialect::matching(std::string_view table, const std::vector<Column>& key,
                              std::string_view index) const {
    return rows(":rows", "b", key) + std::string(join()) + std::string(table) + forced(index) + " ON " +
           same_key(table, key);
}

std::string Dialect::ids(std::string_view parameter, std::string_view alias, const Column& column) const {
    const std::string source(parameter);
    const std::string name(alias);
    switch (engine_) {
        case Engine::sqlite:
            return "(SELECT value AS " + quoted(column) + " FROM json_each('[' || " + source +
                   " || ']')) AS " + name;
        case Engine::postgresql:
            return "unnest(CAST('{' || " + source + " || '}' AS uuid[])) AS " + name + "(" + quoted(column) +
                   ")";
        case Engine::mysql:
            return "JSON_TABLE(CONCAT('[', " + source + ", ']'), '$[*]' COLUMNS (" + quoted(column) + " " +
                   mysql_type(ColumnType::uuid) + " PATH '$')) AS " + name;
    }
    return {};
}

std::string Dialect::matching_ids(std::string_view table, std::string_view column) const {
    const Column key{column, ColumnType::uuid};
    return ids(":rows", "b", key) + std::string(join()) + std::string(table) + " ON " +
           same_key(table, {key});
}

std::string Dialect::for_update(std::string_view table) const {
    switch (engine_) {
        case Engine::sqlite: return {};
        case Engine::postgresql: return " FOR UPDATE OF " + std::string(table);
        // MySQL cannot lock JSON_TABLE, and refuses without OF. MariaDB does not know OF, and leaves out what
        // stands in such a comment with a number from 50700 to 99999.
        case Engine::mysql: return " FOR UPDATE /*!80001 OF " + std::string(table) + " */";
    }
    return {};
}

std::string Dialect::for_update_of_unlocked(std::string_view table) const {
    return engine_ == Engine::sqlite ? std::string() : for_update(table) + " SKIP LOCKED";
}

std::string Dialect::forced(std::string_view index) const {
    if (engine_ != Engine::mysql || index.empty()) return {};
    return " FORCE INDEX (" + std::string(index) + ")";
}

std::string_view Dialect::join() const {
    switch (engine_) {
        // Might read the table first where a column of it is compared with a constant, and the batch for
        // each of its rows; of a CROSS JOIN it reads the left side first.
        case Engine::sqlite: return " CROSS JOIN ";
        case Engine::postgresql: return " JOIN ";
        // Locks while it reads, and might read the table first.
        case Engine::mysql: return " STRAIGHT_JOIN ";
    }
    return " JOIN ";
}

}  // namespace quittance::db
