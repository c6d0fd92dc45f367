#include "tests/support/test_database.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "core/random.hpp"
#include "tests/support/database_server.hpp"

namespace quittance::test_support {

namespace {

/// ctest's SKIP_RETURN_CODE in tests/CMakeLists.txt.
constexpr int exit_code_of_skipped_tests = 77;

/// Databases are made and dropped one at a time.
std::string next_name() {
    static std::atomic<int> made = 0;
    return "test" + std::to_string(++made);
}

std::string_view name_under_test() {
    const char* name = std::getenv("QUITTANCE_TEST_ENGINE");
    return name == nullptr ? "sqlite" : name;
}

/// Ends the test program where its server cannot be had: that is no failure, but on a machine that checks
/// changes for everybody.
void require_server(ServerKind kind) {
    const auto why = why_no_server(kind);
    if (!why) return;
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string_view(ci) == "true") throw std::runtime_error(*why);
    std::printf("NOT TESTED on %s: %s\n", std::string(name_under_test()).c_str(), why->c_str());
    std::fflush(stdout);
    std::_Exit(exit_code_of_skipped_tests);
}

}  // namespace

db::Engine engine_under_test() {
    return name_under_test() == "sqlite" ? db::Engine::sqlite : engine_of(server_under_test());
}

ServerKind server_under_test() {
    const std::string_view name = name_under_test();
    if (name == "postgresql") return ServerKind::postgresql;
    if (name == "mariadb") return ServerKind::mariadb;
    if (name == "mysql") return ServerKind::mysql;
    throw std::runtime_error("QUITTANCE_TEST_ENGINE must be sqlite, postgresql, mariadb or mysql");
}

DatabaseServer& shared_server() {
    static DatabaseServer& server = []() -> DatabaseServer& {
        require_server(server_under_test());
        static DatabaseServer started(server_under_test());
        return started;
    }();
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
    shared_server().create_database(name_);
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
    try {
        shared_server().drop_database(name_);
    } catch (const std::exception&) {
        // It goes with the server.
    }
}

std::unique_ptr<db::Session> TestDatabase::connect() const {
    return std::make_unique<db::Session>(options_);
}

}  // namespace quittance::test_support
