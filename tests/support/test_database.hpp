// A fresh database for a test, on the engine that QUITTANCE_TEST_ENGINE names: sqlite (when it is not set),
// postgresql, mariadb or mysql. The tests themselves are the same for all four.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "db/migrate.hpp"

namespace quittance::test_support {

class DatabaseServer;
enum class ServerKind;

/// MariaDB and MySQL are one engine.
[[nodiscard]] db::Engine engine_under_test();

/// Only for the engines that have a server.
[[nodiscard]] ServerKind server_under_test();

/// The server of this test program; started when first asked for. Only for the engines that have one.
[[nodiscard]] DatabaseServer& shared_server();

/// Made empty or with migrations applied; gone with the object.
class TestDatabase {
public:
    TestDatabase();
    explicit TestDatabase(const std::vector<db::Migration>& migrations);
    ~TestDatabase();
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;

    [[nodiscard]] const db::DatabaseOptions& options() const { return options_; }
    [[nodiscard]] std::unique_ptr<db::Session> connect() const;

private:
    std::string name_;
    std::filesystem::path folder_;  ///< For SQLite.
    db::DatabaseOptions options_;
};

}  // namespace quittance::test_support
