#include "db/failures.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <regex>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace quittance::db {
namespace {

std::string to_string(Failure failure) {
    switch (failure) {
        case Failure::data: return "data";
        case Failure::conflict: return "conflict";
        case Failure::limit: return "limit";
        case Failure::lost: return "lost";
        case Failure::read_only: return "read_only";
        case Failure::away: return "away";
    }
    return "";
}

struct Documented {
    std::string name;
    std::string failure;
};

/// A table of tests/engine_errors, by code.
std::map<std::string, Documented> table(const std::string& engine) {
    const auto path = std::filesystem::path(QUITTANCE_SOURCE_DIR) / "tests/engine_errors" / (engine + ".tsv");
    std::ifstream file(path);
    EXPECT_TRUE(file.is_open()) << path;
    std::map<std::string, Documented> codes;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("#")) continue;
        std::istringstream fields(line);
        std::string code;
        Documented documented;
        fields >> code >> documented.name >> documented.failure;
        EXPECT_TRUE(codes.emplace(code, documented).second) << code << " stands twice in " << path;
    }
    return codes;
}

void compare(const std::string& engine, std::size_t at_least,
             const std::function<Failure(const std::string&)>& failure_of) {
    const auto codes = table(engine);
    EXPECT_GE(codes.size(), at_least);
    for (const auto& [code, documented] : codes)
        EXPECT_EQ(to_string(failure_of(code)), documented.failure) << code << ' ' << documented.name;
}

unsigned number(const std::string& code) {
    return static_cast<unsigned>(std::stoul(code));
}

TEST(FailuresTest, every_documented_code_of_postgresql_has_its_reviewed_class) {
    compare("postgresql", 250, [](const std::string& code) { return failure_of_postgresql(code); });
    EXPECT_EQ(failure_of_postgresql("     "), Failure::lost);
    EXPECT_EQ(failure_of_postgresql(""), Failure::lost);
    EXPECT_EQ(failure_of_postgresql("ZZ999"), Failure::away);
}

TEST(FailuresTest, every_documented_code_of_mariadb_has_its_reviewed_class) {
    compare("mariadb", 1200, [](const std::string& code) { return failure_of_mysql(number(code)); });
}

TEST(FailuresTest, every_documented_code_of_mysql_has_its_reviewed_class) {
    compare("mysql", 1900, [](const std::string& code) { return failure_of_mysql(number(code)); });
    EXPECT_EQ(failure_of_mysql(9'999), Failure::away);
    EXPECT_EQ(failure_of_mysql(0), Failure::away);
}

TEST(FailuresTest, every_documented_code_of_sqlite_has_its_reviewed_class) {
    compare("sqlite", 100, [](const std::string& code) { return failure_of_sqlite(std::stoi(code)); });
    EXPECT_EQ(failure_of_sqlite(12'345 << 8 | 99), Failure::away);
}

/// Each code that a file of this machine's engine documents stands in the table: a newer version's codes are
/// to be read by a person before they count.
void expect_complete(const std::string& engine, const std::string& header, const std::regex& definition,
                     std::size_t at_least) {
    std::ifstream file(header);
    if (!file.is_open()) GTEST_SKIP() << header << " is not installed";
    const auto codes = table(engine);
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) {
        std::smatch parts;
        if (!std::regex_search(line, parts, definition)) continue;
        ++count;
        EXPECT_TRUE(codes.contains(parts[1]))
            << engine << " documents a code that no person has read: " << line
            << "\nAdd it to tests/engine_errors/" << engine << ".tsv";
    }
    EXPECT_GE(count, at_least) << header;
}

TEST(FailuresTest, table_has_every_code_of_the_mariadb_header) {
    expect_complete("mariadb", "/usr/include/mariadb/mysqld_error.h",
                    std::regex(R"(^#define (?:ER|WARN)_(?!ERROR_FIRST|ERROR_LAST)\w+ +(\d{4})$)"), 1100);
}

TEST(FailuresTest, table_has_every_code_of_the_postgresql_list) {
    expect_complete("postgresql", "/usr/share/postgresql/15/errcodes.txt",
                    std::regex(R"(^([0-9A-Z]{5}) +[EWS] +ERRCODE_)"), 250);
}

TEST(FailuresTest, table_has_every_primary_code_of_the_sqlite_header) {
    expect_complete("sqlite", "/usr/include/sqlite3.h",
                    std::regex(R"(^#define SQLITE_[A-Z]+ +([1-9]|1\d|2[0-8]) +/\* [A-Z].*\*/$)"), 28);
}

TEST(FailuresTest, each_class_is_thrown_as_its_exception) {
    EXPECT_THROW(throw_failure(Failure::data, "x"), StorageRejected);
    EXPECT_THROW(throw_failure(Failure::conflict, "x"), StorageConflict);
    EXPECT_THROW(throw_failure(Failure::limit, "x"), StorageLimitExceeded);
    EXPECT_THROW(throw_failure(Failure::lost, "x"), StorageConnectionLost);
    EXPECT_THROW(throw_failure(Failure::read_only, "x"), StorageReadOnly);
    EXPECT_THROW(throw_failure(Failure::away, "x"), StorageUnavailable);
}

}  // namespace
}  // namespace quittance::db
