// What only a database server does: locks between connections, going away, refusing what it is not made for.
#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

#include <gtest/gtest.h>

#include "db/database.hpp"
#include "db/migrate.hpp"
#include "db/server_checks.hpp"
#include "tests/support/database_server.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::db {
namespace {

class ServerTest : public testing::Test {
protected:
    void SetUp() override {
        if (test_support::engine_under_test() == Engine::sqlite) GTEST_SKIP() << "SQLite has no server";
        static_cast<void>(test_support::shared_server());
    }
};

TEST_F(ServerTest, of_two_transactions_that_wait_for_each_other_one_is_told_to_try_again) {
    const test_support::TestDatabase database;
    database.connect()->run("CREATE TABLE notes (id INT PRIMARY KEY, size INT)");
    database.connect()->run("INSERT INTO notes VALUES (1, 0), (2, 0)");
    std::latch both_hold_one(2);
    std::atomic<int> conflicts = 0;
    const auto update = [&](int first, int second) {
        const auto session = database.connect();
        const std::string sql = "UPDATE notes SET size = size + 1 WHERE id = ";
        try {
            Transaction transaction(*session);
            session->execute(sql + std::to_string(first));
            both_hold_one.arrive_and_wait();
            session->execute(sql + std::to_string(second));
            transaction.commit();
        } catch (const StorageConflict&) {
            ++conflicts;
        }
        EXPECT_EQ(session->select<std::int64_t>("SELECT 1").size(), 1U);
    };
    {
        const std::jthread one(update, 1, 2);
        const std::jthread other(update, 2, 1);
    }
    EXPECT_EQ(conflicts, 1);
    EXPECT_EQ(std::get<0>(database.connect()->select<std::int64_t>("SELECT SUM(size) FROM notes").at(0)), 2);
}

TEST_F(ServerTest, a_connection_that_broke_while_idle_is_replaced_unnoticed_and_one_at_work_is_not) {
    test_support::DatabaseServer server(test_support::server_under_test());
    Session session(server.administration());
    EXPECT_EQ(session.select<std::int64_t>("SELECT 1").size(), 1U);
    server.stop();
    EXPECT_THROW(static_cast<void>(session.select<std::int64_t>("SELECT 1")), StorageUnavailable);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i)
        EXPECT_THROW(session.run("SELECT 1"), StorageUnavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    server.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    EXPECT_EQ(session.select<std::int64_t>("SELECT 1").size(), 1U);

    server.stop();
    server.start();
    EXPECT_EQ(session.select<std::int64_t>("SELECT 1").size(), 1U);
    {
        Transaction transaction(session);
        server.stop();
        server.start();
        EXPECT_THROW(transaction.commit(), StorageUnavailable);
        EXPECT_THROW(session.run("SELECT 1"), StorageUnavailable);
    }
    EXPECT_EQ(session.select<std::int64_t>("SELECT 1").size(), 1U);
}

TEST_F(ServerTest, a_transaction_that_stands_still_is_ended_after_a_minute) {
    const test_support::TestDatabase database;
    const auto session = database.connect();
    const bool postgresql = test_support::engine_under_test() == Engine::postgresql;
    const auto limit =
        session->select<std::string>(postgresql ? "SHOW idle_in_transaction_session_timeout"
                                                : "SELECT CAST(@@SESSION.wait_timeout AS CHAR)");
    EXPECT_EQ(std::get<0>(limit.at(0)), postgresql ? "1min" : "60");
}

TEST_F(ServerTest, a_database_that_is_not_utf8_is_refused_with_the_statement_that_makes_one) {
    const bool postgresql = test_support::engine_under_test() == Engine::postgresql;
    test_support::DatabaseServer& server = test_support::shared_server();
    Session(server.administration())
        .run(postgresql ? "CREATE DATABASE old_shop ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
                        : "CREATE DATABASE old_shop CHARACTER SET latin1");
    if (!postgresql) Session(server.administration()).run("GRANT ALL ON old_shop.* TO shop");
    try {
        check_server(DatabaseOptions::server(server.address("old_shop")));
        ADD_FAILURE() << "not refused";
    } catch (const ConfigurationError& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find(postgresql ? "LATIN1" : "latin1"), std::string::npos) << message;
        const auto statement = message.find("CREATE DATABASE old_shop");
        ASSERT_NE(statement, std::string::npos) << message;
        Session(server.administration()).run("DROP DATABASE old_shop");
        Session(server.administration())
            .run(message.substr(statement, message.find(';', statement) - statement));
    }
    check_server(DatabaseOptions::server(server.address("old_shop")));
    if (!postgresql) Session(server.administration()).run("REVOKE ALL ON old_shop.* FROM shop");
    Session(server.administration()).run("DROP DATABASE old_shop");
}

TEST_F(ServerTest, statement_that_the_server_cut_short_is_not_repeated) {
    const test_support::TestDatabase database;
    const auto session = database.connect();
    const bool postgresql = test_support::engine_under_test() == Engine::postgresql;
    if (test_support::server_under_test() == test_support::ServerKind::mysql) {
        GTEST_SKIP() << "cuts only SELECTs short, and SLEEP is one that returns instead";
    }
    session->run(postgresql ? "SET statement_timeout = 200" : "SET SESSION max_statement_time = 0.2");
    const std::string sleep =
        postgresql ? "SELECT 1 FROM pg_sleep(1)" : "SELECT 1 FROM (SELECT SLEEP(1) AS slept) AS s";
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(static_cast<void>(session->select<std::int64_t>(sleep)), StorageUnavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
    EXPECT_EQ(session->select<std::int64_t>(sleep).size(), 1U) << "on a new connection, without that limit";
}

TEST_F(ServerTest, read_only_server_is_unavailable_and_its_connection_given_up) {
    const test_support::TestDatabase database;
    const auto session = database.connect();
    session->run("CREATE TABLE notes (id INT PRIMARY KEY)");
    session->run(test_support::engine_under_test() == Engine::postgresql
                     ? "SET default_transaction_read_only = on"
                     : "SET SESSION TRANSACTION READ ONLY");
    EXPECT_THROW(session->execute("INSERT INTO notes VALUES (1)"), StorageReadOnly);
    EXPECT_EQ(session->execute("INSERT INTO notes VALUES (1)"), 1);
}

TEST_F(ServerTest, a_connection_that_the_server_ended_while_it_rested_is_replaced_before_a_change) {
    if (test_support::engine_under_test() != Engine::mysql) GTEST_SKIP() << "this server ends none";
    const test_support::TestDatabase database;
    const auto session = database.connect();
    session->run("CREATE TABLE notes (id INT PRIMARY KEY)");
    session->run("SET SESSION wait_timeout = 1");
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    EXPECT_EQ(session->execute("INSERT INTO notes VALUES (1)"), 1);
}

TEST_F(ServerTest, a_failed_transaction_ends_and_its_session_goes_on) {
    const test_support::TestDatabase database;
    const auto session = database.connect();
    session->run("CREATE TABLE notes (id INT PRIMARY KEY CHECK (id > 0))");
    for (int i = 0; i < 3; ++i) {
        Transaction transaction(*session);
        session->execute("INSERT INTO notes VALUES (1)");
        EXPECT_THROW(session->execute("INSERT INTO notes VALUES (0)"), StorageRejected);
    }
    EXPECT_TRUE(session->select<std::int64_t>("SELECT id FROM notes").empty());
    const std::string insert = session->dialect().insert_new_rows("notes", {{"id", ColumnType::integer}});
    EXPECT_EQ(session->execute(insert, {R"([{"id":1},{"id":1},{"id":2}])"}), 2);
    EXPECT_THROW(session->execute(insert, {R"([{"id":3},{"id":0}])"}), StorageRejected);
}

class MySqlTest : public ServerTest {
protected:
    void SetUp() override {
        ServerTest::SetUp();
        if (IsSkipped()) return;
        kind_ = test_support::server_under_test();
        if (kind_ == test_support::ServerKind::postgresql) GTEST_SKIP() << "another protocol";
    }

    test_support::ServerKind kind_{};
};

TEST_F(MySqlTest, the_user_has_rights_on_its_own_database_only) {
    const test_support::TestDatabase database;
    const auto grants = database.connect()->select<std::string>("SHOW GRANTS");
    ASSERT_EQ(grants.size(), 2U);
    EXPECT_TRUE(std::get<0>(grants[0]).starts_with("GRANT USAGE ON *.*")) << std::get<0>(grants[0]);
    EXPECT_TRUE(std::get<0>(grants[1]).starts_with("GRANT ALL PRIVILEGES ON \"test"))
        << std::get<0>(grants[1]);
    EXPECT_THROW(database.connect()->run("SET GLOBAL max_connections = 10"), StorageUnavailable);
}

TEST_F(MySqlTest, a_password_is_accepted_over_tcp_with_and_without_tls_and_over_a_socket) {
    if (kind_ == test_support::ServerKind::mariadb) GTEST_SKIP() << "has no certificate and another plug-in";
    const test_support::TestDatabase database;
    const auto& server = test_support::shared_server();
    const auto cipher_of = [](const ServerAddress& address) {
        Session session(DatabaseOptions::server(address));
        return std::get<1>(
            session.select<std::string, std::string>("SHOW SESSION STATUS LIKE 'Ssl_cipher'").at(0));
    };
    Session administrator(server.administration());
    EXPECT_EQ(administrator.select<std::string>("SELECT plugin FROM mysql.user WHERE user = 'shop'"),
              (std::vector{std::tuple(std::string("caching_sha2_password"))}));
    ServerAddress plain = server.address("mysql");
    plain.database = "information_schema";
    ServerAddress encrypted = plain;
    encrypted.certificates_of = (server.data_folder() / "ca.pem").string();
    ServerAddress local = plain;
    local.host = server.socket().string();
    for (int i = 0; i < 2; ++i) {
        // The server remembers whom it has let in; the next one shall prove the password in full again.
        administrator.run("FLUSH PRIVILEGES");
        EXPECT_EQ(cipher_of(plain), "");
        administrator.run("FLUSH PRIVILEGES");
        EXPECT_NE(cipher_of(encrypted), "");
        administrator.run("FLUSH PRIVILEGES");
        EXPECT_EQ(cipher_of(local), "");
    }
}

TEST_F(MySqlTest, a_wrong_password_is_refused_with_the_users_name) {
    ServerAddress address = test_support::shared_server().address("information_schema");
    address.password = Secret("not this one");
    try {
        Session(DatabaseOptions::server(address)).run("SELECT 1");
        ADD_FAILURE() << "accepted";
    } catch (const StorageUnavailable& refused) {
        EXPECT_NE(std::string(refused.what()).find("shop"), std::string::npos) << refused.what();
    }
}

TEST_F(MySqlTest, triggers_that_the_binary_log_forbids_are_refused_with_the_setting_to_make) {
    if (kind_ == test_support::ServerKind::mariadb) GTEST_SKIP() << "writes no binary log by default";
    const test_support::TestDatabase database;
    Session administrator(test_support::shared_server().administration());
    administrator.run("SET GLOBAL log_bin_trust_function_creators = OFF");
    const auto session = database.connect();
    try {
        migrate(*session, payments_migrations(), Timestamp{});
        ADD_FAILURE() << "made triggers";
    } catch (const ConfigurationError& refused) {
        EXPECT_NE(std::string(refused.what()).find("set log_bin_trust_function_creators to ON"),
                  std::string::npos)
            << refused.what();
    }
    administrator.run("SET GLOBAL log_bin_trust_function_creators = ON");
    EXPECT_GT(migrate(*session, payments_migrations(), Timestamp{}), 0) << "and goes on where it ended";
}

TEST_F(MySqlTest, a_batch_whose_warnings_the_server_did_not_keep_is_refused) {
    const test_support::TestDatabase database;
    const auto session = database.connect();
    session->run("CREATE TABLE notes (id INT PRIMARY KEY)");
    const std::string insert = session->dialect().insert_new_rows("notes", {{"id", ColumnType::integer}});
    std::string rows = "[";
    for (int i = 0; i < 1000; ++i)
        rows += std::string(i == 0 ? "" : ",") + "{\"id\":" + std::to_string(i) + "}";
    rows += "]";
    EXPECT_EQ(session->execute(insert, {rows}), 1000);
    EXPECT_EQ(session->execute(insert, {rows}), 0) << "with 1000 warnings, all of them read";
    if (kind_ == test_support::ServerKind::mysql) return;
    session->run("SET SESSION max_error_count = 10");
    EXPECT_THROW(session->execute(insert, {rows}), StorageRejected);
}

}  // namespace
}  // namespace quittance::db
