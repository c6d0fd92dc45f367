#include "db/database.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "db/migrate.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::db {
namespace {

class DatabaseTest : public testing::Test {
protected:
    test_support::TestDatabase database_;
    const DatabaseOptions options_ = database_.options();
};

TEST_F(DatabaseTest, sqlite_keeps_what_it_has_committed) {
    if (options_.engine != Engine::sqlite) GTEST_SKIP() << "the server's settings decide";
    constexpr std::int64_t full = 2;
    Session session(options_);
    EXPECT_EQ(session.select<std::int64_t>("SELECT synchronous FROM pragma_synchronous"),
              (std::vector{std::tuple(full)}));
    EXPECT_EQ(session.select<std::string>("SELECT journal_mode FROM pragma_journal_mode"),
              (std::vector{std::tuple(std::string("wal"))}));
}

TEST_F(DatabaseTest, a_row_that_others_refer_to_takes_them_with_it) {
    Session session(options_);
    migrate(session, orders_migrations(), Timestamp{});
    const std::string user = "00000000-0000-7000-8000-000000000001";
    session.run("INSERT INTO users (id, name, email, role, password_hash, created_at) VALUES ('" + user +
                "', 'Ada', 'ada@example.com', 'CUSTOMER', 'x', 1)");
    const auto insert_token = [&](const std::string& hash, const std::string& of) {
        session.run(
            "INSERT INTO refresh_tokens (family_hash, token_hash, user_id, created_at, expires_at) "
            "VALUES ('" +
            hash + "', '" + hash + "', '" + of + "', 1, 2)");
    };
    insert_token(std::string(43, 'a'), user);
    EXPECT_THROW(insert_token(std::string(43, 'b'), "00000000-0000-7000-8000-000000000002"), StorageRejected);
    session.run("DELETE FROM users");
    EXPECT_TRUE(session.select<std::string>("SELECT family_hash FROM refresh_tokens").empty());
}

TEST_F(DatabaseTest, a_sqlite_migration_may_rebuild_a_table_that_others_refer_to) {
    if (options_.engine != Engine::sqlite) GTEST_SKIP() << "the servers change tables in place";
    Session session(options_);
    std::vector<Migration> migrations{
        {Engine::sqlite, 1, "notes",
         "CREATE TABLE notes (id TEXT PRIMARY KEY);\n\nCREATE TABLE tags (name TEXT PRIMARY KEY, note TEXT "
         "NOT "
         "NULL REFERENCES notes (id) ON DELETE CASCADE);\n\nINSERT INTO notes VALUES ('a');\n\n"
         "INSERT INTO tags VALUES ('t', 'a');\n"},
        {Engine::sqlite, 2, "sizes",
         "CREATE TABLE new_notes (id TEXT PRIMARY KEY, size BIGINT NOT NULL);\n\n"
         "INSERT INTO new_notes SELECT id, 1 FROM notes;\n\nDROP TABLE notes;\n\n"
         "ALTER TABLE new_notes RENAME TO notes;\n"}};
    EXPECT_EQ(migrate(session, migrations, Timestamp{}), 2);
    EXPECT_EQ(session.select<std::string>("SELECT note FROM tags").size(), 1U);
    EXPECT_THROW(session.execute("INSERT INTO tags VALUES ('u', 'b')"), StorageRejected);

    migrations.push_back({Engine::sqlite, 3, "loses_notes", "DELETE FROM notes;\n"});
    EXPECT_THROW(migrate(session, migrations, Timestamp{}), StorageRejected);
    EXPECT_EQ(session.select<std::string>("SELECT id FROM notes").size(), 1U);
}

const std::vector<Column> note_columns{{"id"}, {"size", ColumnType::integer}, {"tags", ColumnType::json}};

TEST_F(DatabaseTest, a_batch_enters_as_one_parameter_and_comes_back_as_typed_rows) {
    Session session(options_);
    session.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY, size BIGINT, tags TEXT)");
    const std::string insert = session.dialect().insert_rows("notes", note_columns);
    const std::string rows =
        R"([{"id":"a'); DROP TABLE notes; --","size":1,"tags":["x",{"y":2}]},{"id":"b","size":9007199254740991,"tags":[]}])";
    EXPECT_EQ(session.execute(insert, {rows}), 2);
    auto found = session.select<std::string, std::int64_t, std::string>(
        "SELECT id, size, tags FROM notes ORDER BY id");
    ASSERT_EQ(found.size(), 2U);
    // MySQL's own form of JSON has some.
    std::erase(std::get<2>(found[0]), ' ');
    EXPECT_EQ(found[0], std::make_tuple("a'); DROP TABLE notes; --", 1, R"(["x",{"y":2}])"));
    EXPECT_EQ(found[1], std::make_tuple("b", 9'007'199'254'740'991, "[]"));
}

TEST_F(DatabaseTest, insert_new_rows_leaves_out_taken_keys_and_says_how_many_are_new) {
    Session session(options_);
    session.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY, size BIGINT, tags TEXT)");
    const std::string insert = session.dialect().insert_new_rows("notes", note_columns);
    EXPECT_EQ(session.execute(insert, {R"([{"id":"a","size":1,"tags":[]}])"}), 1);
    EXPECT_EQ(session.execute(insert, {R"([{"id":"a","size":2,"tags":[]},{"id":"b","size":3,"tags":[]}])"}),
              1);
    EXPECT_EQ(session.execute(insert, {R"([{"id":"a","size":4,"tags":[]}])"}), 0);
}

TEST_F(DatabaseTest, update_rows_assigns_each_row_its_own_values) {
    Session session(options_);
    session.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY, size BIGINT, tags TEXT)");
    session.execute("INSERT INTO notes VALUES ('a', 1, ''), ('b', 2, ''), ('c', 3, '')");
    const std::string update =
        session.dialect().update_rows("notes", {{"id"}}, {{"size", ColumnType::integer}});
    EXPECT_EQ(
        session.execute(update, {R"([{"id":"a","size":10},{"id":"c","size":30},{"id":"zz","size":0}])"}), 2);
    const auto sizes = session.select<std::int64_t>("SELECT size FROM notes ORDER BY id");
    EXPECT_EQ(sizes, (std::vector<std::tuple<std::int64_t>>{{10}, {2}, {30}}));
}

TEST_F(DatabaseTest, a_query_returns_more_rows_than_one_fetch_holds) {
    Session session(options_);
    const std::string series =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :last) SELECT i FROM n";
    for (const std::int64_t last : {1, 255, 256, 257, 1000, 512}) {
        const auto rows = session.select<std::int64_t>(series, {last});
        ASSERT_EQ(rows.size(), static_cast<std::size_t>(last));
        EXPECT_EQ(std::get<0>(rows.back()), last);
    }
}

TEST_F(DatabaseTest, a_transaction_without_commit_leaves_no_trace) {
    Session session(options_);
    session.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY)");
    {
        const Transaction transaction(session);
        session.execute("INSERT INTO notes VALUES ('a')");
    }
    EXPECT_TRUE(session.select<std::string>("SELECT id FROM notes").empty());
    Transaction transaction(session);
    session.execute("INSERT INTO notes VALUES ('b')");
    transaction.commit();
    EXPECT_EQ(session.select<std::string>("SELECT id FROM notes").size(), 1U);
}

TEST_F(DatabaseTest, a_reader_sees_what_a_writer_committed_meanwhile) {
    Session writer(options_);
    Session reader(options_);
    writer.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY)");
    EXPECT_TRUE(reader.select<std::string>("SELECT id FROM notes").empty());
    writer.execute("INSERT INTO notes VALUES ('a')");
    EXPECT_EQ(reader.select<std::string>("SELECT id FROM notes").size(), 1U);
}

TEST_F(DatabaseTest, who_opens_a_locked_sqlite_database_waits_for_it) {
    if (options_.engine != Engine::sqlite) GTEST_SKIP() << "servers lock no database as a whole";
    auto holder = std::make_unique<Session>(options_);
    holder->run("PRAGMA locking_mode=EXCLUSIVE");
    holder->run("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY)");
    const std::jthread release([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        holder.reset();
    });
    Session opener(options_);
    EXPECT_TRUE(opener.select<std::string>("SELECT id FROM notes").empty());
}

TEST_F(DatabaseTest, failures_are_told_apart) {
    Session session(options_);
    session.execute("CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY)");
    session.execute("INSERT INTO notes VALUES ('a')");
    EXPECT_THROW(session.execute("INSERT INTO notes VALUES ('a')"), StorageRejected);
    // Not the data's fault: perhaps a newer program is changing the schema.
    EXPECT_THROW(session.execute("NOT SQL"), StorageUnavailable);
    EXPECT_THROW(session.execute("INSERT INTO none VALUES ('a')"), StorageUnavailable);
    Session nowhere(DatabaseOptions::parse(Secret("sqlite:/nonexistent/folder/file.db")));
    EXPECT_THROW(nowhere.execute("SELECT 1"), StorageUnavailable);
    EXPECT_EQ(session.select<std::string>("SELECT id FROM notes").size(), 1U);
}

TEST_F(DatabaseTest, an_address_that_is_not_understood_is_refused_without_repeating_it) {
    for (const char* url : {"", "sqlite:", "oracle://scott:tiger@db", "sqlite:with space.db"}) {
        try {
            static_cast<void>(DatabaseOptions::parse(Secret(url)));
            FAIL() << url;
        } catch (const ConfigurationError& error) {
            EXPECT_EQ(std::string(error.what()).find("tiger"), std::string::npos);
        }
    }
}

TEST_F(DatabaseTest, migrations_are_applied_once_and_a_newer_database_is_refused) {
    Session session(options_);
    const Engine engine = options_.engine;
    const Engine other = engine == Engine::sqlite ? Engine::mysql : Engine::sqlite;
    const std::vector<Migration> first{{engine, 1, "notes",
                                        "-- Notes: one each.\nCREATE TABLE notes (\n    -- Any: text.\n    "
                                        "id VARCHAR(99) PRIMARY KEY\n);\n\n"
                                        "CREATE INDEX notes_by_id ON notes (id);\n"},
                                       {other, 1, "notes", "NOT FOR THIS ENGINE;\n"}};
    EXPECT_EQ(migrate(session, first, Timestamp{}), 1);
    EXPECT_EQ(migrate(session, first, Timestamp{}), 0);
    session.execute("INSERT INTO notes VALUES ('a')");

    std::vector<Migration> second = first;
    second.push_back({engine, 2, "more", "CREATE TABLE more (id VARCHAR(99) PRIMARY KEY);\n"});
    EXPECT_EQ(migrate(session, second, Timestamp{}), 1);
    EXPECT_THROW(migrate(session, first, Timestamp{}), ConfigurationError);
    second[0].name = "letters";
    EXPECT_THROW(migrate(session, second, Timestamp{}), ConfigurationError);
}

TEST_F(DatabaseTest, a_trigger_is_one_statement_of_a_migration) {
    if (options_.engine != Engine::sqlite) GTEST_SKIP() << "no other engine has one";
    Session session(options_);
    const std::vector<Migration> migrations{
        {Engine::sqlite, 1, "notes",
         "CREATE TABLE notes (id TEXT PRIMARY KEY);\n\nCREATE TRIGGER keep BEFORE DELETE ON notes BEGIN\n"
         "    SELECT RAISE(ABORT, 'kept');\nEND;\n"}};
    EXPECT_EQ(migrate(session, migrations, Timestamp{}), 1);
    session.execute("INSERT INTO notes VALUES ('a')");
    EXPECT_THROW(session.execute("DELETE FROM notes"), StorageRejected);
}

TEST_F(DatabaseTest, a_migration_that_fails_leaves_the_schema_as_it_was) {
    if (options_.engine == Engine::mysql) GTEST_SKIP() << "each statement commits";
    Session session(options_);
    const std::vector<Migration> broken{
        {options_.engine, 1, "broken", "CREATE TABLE notes (id VARCHAR(99) PRIMARY KEY);\n\nNOT SQL;\n"}};
    EXPECT_THROW(migrate(session, broken, Timestamp{}), StorageUnavailable);
    EXPECT_THROW(session.execute("SELECT id FROM notes"), StorageUnavailable);
}

TEST_F(DatabaseTest, programs_that_start_at_once_migrate_once) {
    if (options_.engine == Engine::sqlite) GTEST_SKIP() << "a data folder lets one program in";
    std::atomic<int> applied = 0;
    {
        std::vector<std::jthread> programs;
        for (int i = 0; i < 6; ++i) {
            programs.emplace_back([&] {
                Session session(options_);
                applied += migrate(session, orders_migrations(), Timestamp{});
            });
        }
    }
    const auto of_this_engine =
        std::ranges::count(orders_migrations(), options_.engine, [](const auto& one) { return one.engine; });
    EXPECT_EQ(applied, of_this_engine);
}

TEST_F(DatabaseTest, migrations_on_mysql_can_be_run_again_after_a_crash_in_their_middle) {
    if (options_.engine != Engine::mysql) GTEST_SKIP() << "the other engines roll back";
    Session session(options_);
    for (const auto* migrations : {&orders_migrations(), &payments_migrations()}) {
        const int applied = migrate(session, *migrations, Timestamp{});
        session.run("DELETE FROM schema_migrations");
        EXPECT_EQ(migrate(session, *migrations, Timestamp{}), applied);
        session.run("DELETE FROM schema_migrations");
    }
}

}  // namespace
}  // namespace quittance::db
