// A PostgreSQL, MariaDB or MySQL server of the test's own: on a free port of the loopback, with a data folder
// below the folder for temporary files. The first two are from Debian's packages, MySQL from
// scripts/mysql_server.sh.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "db/database.hpp"

namespace quittance::test_support {

/// MariaDB and MySQL are one engine, with one dialect, and two servers.
enum class ServerKind { postgresql, mariadb, mysql };

[[nodiscard]] db::Engine engine_of(ServerKind kind);

/// Why no server of this kind can be started here.
[[nodiscard]] std::optional<std::string> why_no_server(ServerKind kind);

/// Ends with the object, and with the test program at the latest. Run by root, the servers run as the users
/// postgres and mysql, because they refuse root. Throws std::runtime_error when a program is missing or does
/// not start.
class DatabaseServer {
public:
    /// `options` are appended to the server's command line.
    explicit DatabaseServer(ServerKind kind, std::vector<std::string> options = {});
    ~DatabaseServer();
    DatabaseServer(const DatabaseServer&) = delete;
    DatabaseServer& operator=(const DatabaseServer&) = delete;

    void start();
    /// As an administrator would: connections break, what is committed stays.
    void stop();

    /// Makes a database that belongs to the tests' user, who has rights on such databases only.
    void create_database(const std::string& name) const;
    void drop_database(const std::string& name) const;

    /// How the tests' user reaches a database, whether it exists or not.
    [[nodiscard]] db::ServerAddress address(const std::string& database) const;
    /// An administrator's connection to no particular database.
    [[nodiscard]] db::DatabaseOptions administration() const;
    /// Of MariaDB and MySQL.
    [[nodiscard]] std::filesystem::path socket() const { return data_ / "socket"; }
    [[nodiscard]] const std::filesystem::path& data_folder() const { return data_; }

private:
    void initialize();
    void initialize_postgresql(const std::filesystem::path& log) const;
    void make_user() const;
    void end(int signal);
    [[nodiscard]] std::vector<std::string> server_command() const;
    [[nodiscard]] std::vector<std::string> as_owner(std::vector<std::string> command) const;

    const ServerKind kind_;
    const std::vector<std::string> options_;
    const std::filesystem::path folder_;
    const std::filesystem::path data_;
    std::uint16_t port_ = 0;
    pid_t process_ = 0;
};

}  // namespace quittance::test_support
