#include "db/sqlite_rows.hpp"

#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <sqlite3.h>

#include "core/error.hpp"

namespace quittance::db {

namespace {

namespace json = boost::json;

// The hidden columns that hold the arguments stand behind the others: the rows, then the names.
constexpr int rows_argument = static_cast<int>(max_json_rows_columns);

struct Table : sqlite3_vtab {};

struct Cursor : sqlite3_vtab_cursor {
    std::vector<std::string> names;
    json::monotonic_resource memory;
    std::optional<json::value> rows;  ///< An array of objects in `memory`, which forgets it as a whole.
    std::size_t at = 0;
};

int fail(sqlite3_vtab* table, std::string_view why) {
    sqlite3_free(table->zErrMsg);
    table->zErrMsg = sqlite3_mprintf("json_rows: %.*s", static_cast<int>(why.size()), why.data());
    // The rows are the data's fault, unlike SQLITE_ERROR.
    return SQLITE_MISMATCH;
}

int connect(sqlite3* connection, void* /*unused*/, int /*argc*/, const char* const* /*argv*/,
            sqlite3_vtab** table, char** /*error*/) {
    std::string schema = "CREATE TABLE json_rows(";
    for (std::size_t i = 0; i < max_json_rows_columns; ++i)
        schema += "c" + std::to_string(i) + ", ";
    schema += "rows HIDDEN, names HIDDEN)";
    if (const int code = sqlite3_declare_vtab(connection, schema.c_str()); code != SQLITE_OK) return code;
    *table = new (std::nothrow) Table{};
    return *table == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
    delete static_cast<Table*>(table);
    return SQLITE_OK;
}

/// Both arguments have to be known before the first row; a plan that joins the other way round is no plan.
int best_index(sqlite3_vtab* /*table*/, sqlite3_index_info* plan) {
    int found = 0;
    for (int i = 0; i < plan->nConstraint; ++i) {
        const auto& constraint = plan->aConstraint[i];
        if (constraint.iColumn < rows_argument) continue;
        if (constraint.op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
        if (constraint.usable == 0) return SQLITE_CONSTRAINT;
        plan->aConstraintUsage[i].argvIndex = constraint.iColumn == rows_argument ? 1 : 2;
        plan->aConstraintUsage[i].omit = 1;
        ++found;
    }
    // SQLite also asks about parts of a condition, which do not name both.
    if (found != 2) return SQLITE_CONSTRAINT;
    plan->estimatedCost = 1;
    plan->estimatedRows = 25;
    return SQLITE_OK;
}

int open_cursor(sqlite3_vtab* /*table*/, sqlite3_vtab_cursor** cursor) {
    *cursor = new (std::nothrow) Cursor();
    return *cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
    delete static_cast<Cursor*>(cursor);
    return SQLITE_OK;
}

std::string_view text_of(sqlite3_value* value) {
    const unsigned char* text = sqlite3_value_text(value);
    if (text == nullptr) return {};
    return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

std::vector<std::string> split(std::string_view names) {
    std::vector<std::string> parts;
    while (true) {
        const auto comma = names.find(',');
        parts.emplace_back(names.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        names.remove_prefix(comma + 1);
    }
}

int read_rows(Cursor& cursor, std::string_view names, std::string_view rows) {
    cursor.at = 0;
    cursor.rows.reset();
    cursor.memory.release();
    cursor.names = split(names);
    boost::system::error_code error;
    json::value parsed = json::parse(rows, error, &cursor.memory);
    if (error) return fail(cursor.pVtab, error.message());
    if (!parsed.is_array()) return fail(cursor.pVtab, "the rows are not an array");
    for (const json::value& row : parsed.get_array()) {
        if (!row.is_object()) return fail(cursor.pVtab, "a row is not an object");
    }
    cursor.rows.emplace(std::move(parsed));
    return SQLITE_OK;
}

// No exception may cross SQLite's C code.
int filter(sqlite3_vtab_cursor* base, int /*plan*/, const char* /*plan_name*/, int /*argc*/,
           sqlite3_value** arguments) {
    auto& cursor = *static_cast<Cursor*>(base);
    try {
        return read_rows(cursor, text_of(arguments[1]), text_of(arguments[0]));
    } catch (const std::bad_alloc&) {
        return SQLITE_NOMEM;
    } catch (const std::exception& error) {
        return fail(cursor.pVtab, error.what());
    }
}

int next(sqlite3_vtab_cursor* cursor) {
    ++static_cast<Cursor*>(cursor)->at;
    return SQLITE_OK;
}

int at_end(sqlite3_vtab_cursor* base) {
    const auto& cursor = *static_cast<Cursor*>(base);
    return !cursor.rows || cursor.at >= cursor.rows->get_array().size() ? 1 : 0;
}

/// The members of every row stand in the same order, which is mostly that of the columns.
const json::value* member(const json::object& row, std::size_t position, std::string_view name) {
    if (position < row.size()) {
        const auto guess = row.begin() + position;
        if (guess->key() == name) return &guess->value();
    }
    return row.if_contains(name);
}

void answer_text(sqlite3_context* context, std::string_view text) {
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void answer(sqlite3_context* context, const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return sqlite3_result_null(context);
        case json::kind::bool_: return sqlite3_result_int(context, value.get_bool() ? 1 : 0);
        case json::kind::int64: return sqlite3_result_int64(context, value.get_int64());
        case json::kind::uint64:
            sqlite3_result_error(context, "json_rows: too large a number", -1);
            return sqlite3_result_error_code(context, SQLITE_MISMATCH);
        case json::kind::double_: return sqlite3_result_double(context, value.get_double());
        case json::kind::string: return answer_text(context, value.get_string());
        case json::kind::array:
        case json::kind::object: return answer_text(context, json::serialize(value));
    }
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* context, int index) {
    const auto& cursor = *static_cast<Cursor*>(base);
    const auto position = static_cast<std::size_t>(index);
    if (position >= cursor.names.size()) return SQLITE_OK;
    const json::object& row = cursor.rows->get_array()[cursor.at].get_object();
    try {
        if (const json::value* value = member(row, position, cursor.names[position])) answer(context, *value);
    } catch (const std::bad_alloc&) {
        return SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* base, sqlite3_int64* id) {
    *id = static_cast<sqlite3_int64>(static_cast<Cursor*>(base)->at);
    return SQLITE_OK;
}

sqlite3_module make_module() {
    sqlite3_module module{};
    // No xCreate: the table is there by its name and cannot be created by anyone.
    module.xConnect = connect;
    module.xBestIndex = best_index;
    module.xDisconnect = disconnect;
    module.xOpen = open_cursor;
    module.xClose = close_cursor;
    module.xFilter = filter;
    module.xNext = next;
    module.xEof = at_end;
    module.xColumn = column;
    module.xRowid = row_id;
    return module;
}

}  // namespace

void add_json_rows(sqlite3* connection) {
    static const sqlite3_module module = make_module();
    if (sqlite3_create_module(connection, "json_rows", &module, nullptr) != SQLITE_OK) {
        throw StorageUnavailable(sqlite3_errmsg(connection));
    }
}

}  // namespace quittance::db
