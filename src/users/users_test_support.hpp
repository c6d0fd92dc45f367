// What the tests of this folder share: keys and databases that go away by
// themselves.
#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "core/manual_clock.hpp"
#include "core/random.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::users {

/// An empty folder of the running test; removed with all that is in it.
class TestFolder {
public:
    TestFolder() {
        SystemRandom random;
        path_ = std::filesystem::path(testing::TempDir()) / ("users_test_" + random.token(12));
        std::filesystem::create_directories(path_);
    }
    ~TestFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

/// With the orders' schema, which the users' tables are part of.
class OrdersDatabase : public test_support::TestDatabase {
public:
    OrdersDatabase() : test_support::TestDatabase(db::orders_migrations()) {}
};

}  // namespace quittance::users
