#include "db/sqlite_rows.hpp"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sqlite3.h>

namespace quittance::db {
namespace {

/// SQLite alone, to see types and errors that SOCI does not show.
class SqliteRowsTest : public testing::Test {
protected:
    SqliteRowsTest() {
        sqlite3_open(":memory:", &connection_);
        add_json_rows(connection_);
    }
    ~SqliteRowsTest() override { sqlite3_close(connection_); }

    /// Each row as "type:value" of its columns, separated by spaces; the message where it fails.
    std::vector<std::string> rows(const std::string& sql, const std::optional<std::string>& parameter) {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
            return {sqlite3_errmsg(connection_)};
        }
        if (parameter) sqlite3_bind_text(statement, 1, parameter->c_str(), -1, SQLITE_STATIC);
        std::vector<std::string> found;
        int code = SQLITE_ROW;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW)
            found.push_back(row(statement));
        if (code != SQLITE_DONE) found.emplace_back(sqlite3_errmsg(connection_));
        sqlite3_finalize(statement);
        return found;
    }

private:
    static std::string row(sqlite3_stmt* statement) {
        std::string text;
        for (int i = 0; i < sqlite3_column_count(statement); ++i) {
            if (i > 0) text += ' ';
            const int type = sqlite3_column_type(statement, i);
            if (type == SQLITE_NULL) {
                text += "null";
                continue;
            }
            text += type == SQLITE_INTEGER ? "integer:" : type == SQLITE_FLOAT ? "float:" : "text:";
            text += reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        }
        return text;
    }

    sqlite3* connection_ = nullptr;
};

using Rows = std::vector<std::string>;

TEST_F(SqliteRowsTest, each_object_is_a_row_and_each_named_member_a_column) {
    EXPECT_EQ(rows("SELECT c0, c1 FROM json_rows(?, 'id,size')",
                   R"([{"id":"a","size":1},{"size":2,"id":"b","more":0},{"id":"c"}])"),
              (Rows{"text:a integer:1", "text:b integer:2", "text:c null"}));
    EXPECT_EQ(rows("SELECT c0 FROM json_rows(?, 'id')", "[]"), Rows{});
}

TEST_F(SqliteRowsTest, values_keep_their_type) {
    EXPECT_EQ(rows("SELECT c0, c1, c2, c3, c4, c5, c6 FROM json_rows(?, 'a,b,c,d,e,f,g')",
                   R"([{"a":-9223372036854775808,"b":1.5,"c":true,"d":null,"e":"'; é",)"
                   R"("f":[1,{"x":"y"}],"g":{"h":[]}}])"),
              (Rows{"integer:-9223372036854775808 float:1.5 integer:1 null text:'; é "
                    R"(text:[1,{"x":"y"}] text:{"h":[]})"}));
}

TEST_F(SqliteRowsTest, a_text_with_a_zero_byte_keeps_what_is_behind_it) {
    EXPECT_EQ(rows("SELECT hex(c0) FROM json_rows(?, 'a')", R"([{"a":"x\u0000y"}])"), (Rows{"text:780079"}));
}

TEST_F(SqliteRowsTest, what_is_no_array_of_objects_is_an_error) {
    for (const char* wrong : {"", "{", "{}", "[1]", "[{}] x", R"([{"a":"\ud800"}])"}) {
        const auto found = rows("SELECT c0 FROM json_rows(?, 'a')", wrong);
        ASSERT_EQ(found.size(), 1U) << wrong;
        EXPECT_TRUE(found[0].starts_with("json_rows: ")) << wrong << " gives " << found[0];
    }
    EXPECT_EQ(rows("SELECT c0 FROM json_rows(?, 'a')", R"([{"a":9223372036854775808}])"),
              (Rows{"json_rows: too large a number"}));
}

TEST_F(SqliteRowsTest, a_table_without_its_arguments_is_refused) {
    EXPECT_EQ(rows("SELECT c0 FROM json_rows", std::nullopt), (Rows{"no query solution"}));
    EXPECT_EQ(rows("SELECT c0 FROM json_rows(?)", "[]"), (Rows{"no query solution"}));
}

TEST_F(SqliteRowsTest, a_join_reads_the_batch_once_and_looks_up_the_table_by_its_key) {
    EXPECT_EQ(rows("CREATE TABLE notes (id TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID", std::nullopt),
              Rows{});
    EXPECT_EQ(rows("INSERT INTO notes VALUES ('a', 1), ('b', 2), ('c', 3)", std::nullopt), Rows{});
    const std::string join =
        "SELECT n.id, n.size FROM (SELECT c0 AS id FROM json_rows(?, 'id')) AS b "
        "JOIN notes n ON n.id = b.id";
    EXPECT_EQ(rows(join, R"([{"id":"c"},{"id":"a"},{"id":"zz"}])"),
              (Rows{"text:c integer:3", "text:a integer:1"}));
    const auto plan = rows("EXPLAIN QUERY PLAN " + join, "[]");
    ASSERT_EQ(plan.size(), 2U);
    EXPECT_NE(plan[0].find("SCAN json_rows"), std::string::npos) << plan[0];
    EXPECT_NE(plan[1].find("SEARCH n USING PRIMARY KEY (id=?)"), std::string::npos) << plan[1];
}

TEST_F(SqliteRowsTest, one_statement_runs_again_with_another_batch) {
    EXPECT_EQ(rows("CREATE TABLE notes (id TEXT)", std::nullopt), Rows{});
    EXPECT_EQ(rows("INSERT INTO notes SELECT a.c0 || b.c0 FROM json_rows(?1, 'id') a, json_rows(?1, 'n') b",
                   R"([{"id":"a","n":1},{"id":"b","n":2}])"),
              Rows{});
    EXPECT_EQ(rows("SELECT id FROM notes ORDER BY id", std::nullopt),
              (Rows{"text:a1", "text:a2", "text:b1", "text:b2"}));
}

}  // namespace
}  // namespace quittance::db
