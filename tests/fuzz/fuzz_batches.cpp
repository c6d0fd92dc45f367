// Nothing that a user sends breaks out of the parameter that brings a batch to the database: as JSON, and as
// SQLite reads it.
#include <memory>
#include <vector>

#include <boost/json.hpp>
#include <sqlite3.h>

#include "core/utf8.hpp"
#include "db/batch.hpp"
#include "db/sqlite_rows.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::db {
namespace {

using fuzz::require;

struct Row {
    std::string text;
    std::int64_t number = 0;
    std::string note;
};

class Database {
public:
    Database() {
        require(sqlite3_open(":memory:", &connection_) == SQLITE_OK, "SQLite opens a database");
        add_json_rows(connection_);
        require(sqlite3_prepare_v2(connection_, "SELECT c0, c1, c2 FROM json_rows(?, 'text,number,note')", -1,
                                   &statement_, nullptr) == SQLITE_OK,
                "SQLite takes the statement");
    }
    ~Database() {
        sqlite3_finalize(statement_);
        sqlite3_close(connection_);
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    std::vector<Row> read(const std::string& batch) {
        sqlite3_bind_text64(statement_, 1, batch.data(), batch.size(), SQLITE_STATIC, SQLITE_UTF8);
        std::vector<Row> rows;
        while (sqlite3_step(statement_) == SQLITE_ROW)
            rows.push_back({text(0), sqlite3_column_int64(statement_, 1), text(2)});
        require(sqlite3_reset(statement_) == SQLITE_OK, "SQLite reads the batch to its end");
        return rows;
    }

private:
    std::string text(int column) {
        const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        require(bytes != nullptr, "no value is lost");
        return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }

    sqlite3* connection_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;
};

/// What may reach a batch: everything in it was checked to be UTF-8 on its way in.
std::string admitted(std::string_view text) {
    std::string kept;
    while (!text.empty()) {
        const std::size_t size = utf8_character_bytes(text);
        kept += size == 0 ? std::string_view("?") : text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return kept;
}

std::vector<Row> rows_of(fuzz::Input& input) {
    std::vector<Row> rows;
    while (!input.empty() && rows.size() < 16) {
        Row row{.text = admitted(input.line()), .note = admitted(input.line())};
        for (int i = 0; i < 8; ++i)
            row.number =
                static_cast<std::int64_t>(static_cast<std::uint64_t>(row.number) << 8U | input.byte());
        rows.push_back(std::move(row));
    }
    return rows;
}

void require_equal(const Row& row, std::string_view text, std::int64_t number, std::string_view note) {
    require(row.text == text && row.number == number && row.note == note, "a row comes out as it went in");
}

}  // namespace
}  // namespace quittance::db

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance;
    using namespace quittance::db;
    fuzz::Input input(data, size);
    const std::vector<Row> rows = rows_of(input);
    const std::string written = batch(rows, [](ObjectWriter& writer, const Row& row) {
        writer.add("text", row.text);
        writer.add("number", row.number);
        writer.add("note", row.note);
    });

    const auto parsed = parse_json(written);
    fuzz::require(parsed && parsed->is_array(), "a batch is a JSON array");
    const json::array& read = parsed->get_array();
    fuzz::require(read.size() == rows.size(), "a batch has as many rows as went in");
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const json::object& row = read[i].as_object();
        fuzz::require(row.size() == 3, "a row has the members that were written");
        require_equal(rows[i], row.at("text").as_string(), row.at("number").as_int64(),
                      row.at("note").as_string());
    }

    static Database database;
    const std::vector<Row> stored = database.read(written);
    fuzz::require(stored.size() == rows.size(), "SQLite sees as many rows as went in");
    for (std::size_t i = 0; i < rows.size(); ++i)
        require_equal(rows[i], stored[i].text, stored[i].number, stored[i].note);
    return 0;
}
