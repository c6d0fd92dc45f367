#include "db/dialect.hpp"

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
        case ColumnType::text: return "LONGTEXT";
        case ColumnType::integer: return "BIGINT";
        case ColumnType::uuid: return "CHAR(36)";
        case ColumnType::json: return "JSON";
    }
    return {};
}

template <class Piece>
std::string join(const std::vector<Column>& columns, std::string_view separator, Piece piece) {
    std::string text;
    for (const Column& column : columns) {
        if (!text.empty()) text += separator;
        text += piece(column);
    }
    return text;
}

std::string names(const std::vector<Column>& columns, std::string_view prefix) {
    return join(columns, ", ", [&](const Column& c) { return std::string(prefix) + std::string(c.name); });
}

}  // namespace

std::string Dialect::rows(std::string_view parameter, std::string_view alias,
                          const std::vector<Column>& columns) const {
    const std::string source(parameter);
    const std::string name(alias);
    switch (engine_) {
        case Engine::sqlite:
            return "(SELECT " +
                   join(columns, ", ",
                        [](const Column& c) {
                            const std::string column(c.name);
                            return "json_extract(value, '$." + column + "') AS " + column;
                        }) +
                   " FROM json_each(" + source + ")) AS " + name;
        case Engine::postgresql:
            return "json_to_recordset(CAST(" + source + " AS json)) AS " + name + "(" +
                   join(columns, ", ",
                        [](const Column& c) { return std::string(c.name) + " " + postgresql_type(c.type); }) +
                   ")";
        case Engine::mysql:
            return "JSON_TABLE(" + source + ", '$[*]' COLUMNS (" +
                   join(columns, ", ",
                        [](const Column& c) {
                            const std::string column(c.name);
                            return column + " " + mysql_type(c.type) + " PATH '$." + column + "'";
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
    const std::string insert = insert_rows(table, columns);
    if (engine_ == Engine::mysql) {
        // Assigning a key column to itself skips taken keys without hiding other errors as IGNORE would.
        const std::string key(columns.front().name);
        return insert + " ON DUPLICATE KEY UPDATE " + std::string(table) + "." + key + " = " +
               std::string(table) + "." + key;
    }
    // SQLite's grammar needs a WHERE between SELECT ... FROM and ON.
    return insert + " WHERE true ON CONFLICT DO NOTHING";
}

std::string Dialect::update_rows(std::string_view table, const std::vector<Column>& key,
                                 const std::vector<Column>& assigned) const {
    const std::string target(table);
    std::vector<Column> all = key;
    all.insert(all.end(), assigned.begin(), assigned.end());
    const std::string source = rows(":rows", "b", all);
    const std::string same_key = join(key, " AND ", [&](const Column& c) {
        const std::string column(c.name);
        return target + "." + column + " = b." + column;
    });
    const std::string prefix = engine_ == Engine::mysql ? target + "." : "";
    const std::string assignments = join(assigned, ", ", [&](const Column& c) {
        const std::string column(c.name);
        return prefix + column + " = b." + column;
    });
    if (engine_ == Engine::mysql) {
        return "UPDATE " + target + " JOIN " + source + " ON " + same_key + " SET " + assignments;
    }
    return "UPDATE " + target + " SET " + assignments + " FROM " + source + " WHERE " + same_key;
}

std::string_view Dialect::for_update() const {
    return engine_ == Engine::sqlite ? "" : " FOR UPDATE";
}

}  // namespace quittance::db
