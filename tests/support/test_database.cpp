#include "tests/support/test_database.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "core/random.hpp"
#include "tests/support/database_server.hpp"

namespace quittance::test_support {

namespace {

/// Databases are made and dropped one at a time.
std::string next_name() {
    static std::atomic<int> made = 0;
    return "test" + std::to_string(++made);
}

}  // namespace

db::Engine engine_under_test() {
    const char* name = std::getenv("QUITTANCE_TEST_ENGINE");
    const std::string_view engine = name == nullptr ? "sqlite" : name;
    if (engine == "sqlite") return db::Engine::sqlite;
    if (engine == "postgresql") return db::Engine::postgresql;
    if (engine == "mysql") return db::Engine::mysql;
    throw std::runtime_error("QUITTANCE_TEST_ENGINE must be sqlite, postgresql or mysql");
}

DatabaseServer& shared_server() {
    static DatabaseServer server(engine_under_test());
    return server;
}

TestDatabase::TestDatabase() : name_(next_name()) {
    if (engine_under_test() == db::Engine::sqlite) {
        SystemRandom random;
        folder_ = std::filesystem::temp_directory_path() / ("quittance-test-" + random.token(9));
        std::filesystem::create_directory(folder_);
        options_ = db::DatabaseOptions::parse(Secret("sqlite:" + (folder_ / "test.db").string()));
        return;
    }
    db::Session(shared_server().administration()).run("CREATE DATABASE " + name_);
    options_ = db::DatabaseOptions::server(shared_server().address(name_));
}

TestDatabase::TestDatabase(const std::vector<db::Migration>& migrations) : TestDatabase() {
    db::migrate(*connect(), migrations, Timestamp{});
}

TestDatabase::~TestDatabase() {
    if (engine_under_test() == db::Engine::sqlite) {
        std::filesystem::remove_all(folder_);
        return;
    }
    const std::string how = engine_under_test() == db::Engine::postgresql ? " WITH (FORCE)" : "";
    try {
        db::Session(shared_server().administration()).run("DROP DATABASE " + name_ + how);
    } catch (const std::exception&) {
        // It goes with the server.
    }
}

std::unique_ptr<db::Session> TestDatabase::connect() const {
    return std::make_unique<db::Session>(options_);
}

}  // namespace quittance::test_support
