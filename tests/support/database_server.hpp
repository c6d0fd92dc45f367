// A PostgreSQL or MariaDB of the test's own, from Debian's packages: on a free port of the loopback, with a
// data folder below the folder for temporary files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "db/database.hpp"

namespace quittance::test_support {

/// Ends with the object, and with the test program at the latest. Run by root, the servers run as the users
/// postgres and mysql, because they refuse root. Throws std::runtime_error when a program is missing or does
/// not start.
class DatabaseServer {
public:
    explicit DatabaseServer(db::Engine engine);
    ~DatabaseServer();
    DatabaseServer(const DatabaseServer&) = delete;
    DatabaseServer& operator=(const DatabaseServer&) = delete;

    void start();
    /// As an administrator would: connections break, what is committed stays.
    void stop();

    /// How the tests' user reaches a database, whether it exists or not.
    [[nodiscard]] db::ServerAddress address(const std::string& database) const;
    /// An administrator's connection to no particular database.
    [[nodiscard]] db::DatabaseOptions administration() const;

private:
    void initialize();
    [[nodiscard]] std::vector<std::string> server_command() const;
    [[nodiscard]] std::vector<std::string> as_owner(std::vector<std::string> command) const;

    const db::Engine engine_;
    const std::filesystem::path folder_;
    const std::filesystem::path data_;
    std::uint16_t port_ = 0;
    pid_t process_ = 0;
};

}  // namespace quittance::test_support
