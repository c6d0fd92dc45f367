#include "tests/support/database_server.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/random.hpp"
#include "tests/support/free_port.hpp"

namespace quittance::test_support {

namespace {

constexpr std::chrono::seconds start_limit{120};
/// Needs quoting in every form that an address has.
constexpr std::string_view password = "p@ss: 'w\\rd'/%";
constexpr std::string_view password_for_postgresql = "'p@ss: ''w\\rd''/%'";
constexpr std::string_view quoted_password = "'p@ss: ''w\\\\rd''/%'";  ///< For MariaDB and MySQL.

std::filesystem::path make_folder() {
    SystemRandom random;
    const auto folder = std::filesystem::temp_directory_path() / ("quittance-server-" + random.token(9));
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(0755));
    return folder;
}

/// Starts a program whose output goes to a file.
pid_t spawn(std::vector<std::string> command, const std::filesystem::path& log) {
    std::vector<char*> arguments;
    for (std::string& argument : command)
        arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    pid_t process = 0;
    const int failed = posix_spawnp(&process, arguments[0], &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) throw std::runtime_error("cannot run " + command[0]);
    return process;
}

std::string read_all(const std::filesystem::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

void run(std::vector<std::string> command, const std::filesystem::path& log) {
    const std::string name = command[0];
    int status = 0;
    ::waitpid(spawn(std::move(command), log), &status, 0);
    if (status != 0) throw std::runtime_error(name + " failed:\n" + read_all(log));
}

std::string postgresql_program(const std::string& name) {
    for (const char* version : {"15", "16", "17"}) {
        const std::filesystem::path program =
            std::filesystem::path("/usr/lib/postgresql") / version / "bin" / name;
        if (std::filesystem::exists(program)) return program.string();
    }
    throw std::runtime_error("PostgreSQL is not installed: run make setup");
}

/// Empty when there is none.
std::string mysql_program() {
    static const std::string path = [] {
        std::string output;
        FILE* pipe = ::popen(QUITTANCE_SOURCE_DIR "/scripts/mysql_server.sh --path", "r");
        if (pipe == nullptr) return output;
        std::array<char, 4096> line{};
        if (std::fgets(line.data(), line.size(), pipe) != nullptr) output = line.data();
        ::pclose(pipe);
        while (output.ends_with('\n'))
            output.pop_back();
        return output;
    }();
    return path;
}

std::string owner_of(ServerKind kind) {
    return kind == ServerKind::postgresql ? "postgres" : "mysql";
}

void give_to(const std::string& user, const std::filesystem::path& folder) {
    if (::geteuid() != 0) return;
    const passwd* owner = ::getpwnam(user.c_str());
    if (owner == nullptr) throw std::runtime_error("the database server is not installed: run make setup");
    const auto give = [&](const std::filesystem::path& path) {
        if (::lchown(path.c_str(), owner->pw_uid, owner->pw_gid) != 0)
            throw std::runtime_error("cannot change the owner of " + path.string());
    };
    give(folder);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        give(entry.path());
}

}  // namespace

db::Engine engine_of(ServerKind kind) {
    return kind == ServerKind::postgresql ? db::Engine::postgresql : db::Engine::mysql;
}

std::optional<std::string> why_no_server(ServerKind kind) {
    if (kind == ServerKind::mysql && mysql_program().empty())
        return "there is no MySQL server: scripts/mysql_server.sh brings it";
    return std::nullopt;
}

DatabaseServer::DatabaseServer(ServerKind kind, std::vector<std::string> options)
    : kind_(kind),
      options_(std::move(options)),
      folder_(make_folder()),
      data_(folder_ / "data"),
      port_(free_port()) {
    try {
        initialize();
        start();
        make_user();
    } catch (...) {
        end(SIGKILL);
        std::filesystem::remove_all(folder_);
        throw;
    }
}

DatabaseServer::~DatabaseServer() {
    // PostgreSQL's first process must end the others; of the other servers nothing is needed any more.
    end(kind_ == ServerKind::postgresql ? SIGINT : SIGKILL);
    std::filesystem::remove_all(folder_);
}

std::vector<std::string> DatabaseServer::as_owner(std::vector<std::string> command) const {
    // The server shall not outlive a test that crashes.
    std::vector<std::string> whole{"setpriv",
                                   kind_ == ServerKind::postgresql ? "--pdeathsig=QUIT" : "--pdeathsig=KILL"};
    if (::geteuid() == 0) {
        const std::string owner = owner_of(kind_);
        whole.insert(whole.end(), {"--reuid=" + owner, "--regid=" + owner, "--init-groups"});
    }
    whole.insert(whole.end(), command.begin(), command.end());
    return whole;
}

void DatabaseServer::initialize_postgresql(const std::filesystem::path& log) const {
    const std::filesystem::path password_file = folder_ / "password";
    std::ofstream(password_file) << password << "\n";
    run(as_owner({postgresql_program("initdb"), "--pgdata=" + data_.string(), "--username=administrator",
                  "--pwfile=" + password_file.string(), "--auth=scram-sha-256", "--encoding=UTF8",
                  "--locale=C", "--no-sync"}),
        log);
}

void DatabaseServer::initialize() {
    const std::filesystem::path log = folder_ / "initialize.log";
    if (kind_ == ServerKind::mysql) {
        if (const auto why = why_no_server(kind_)) throw std::runtime_error(*why);
        // The data folder of a server that has never run.
        std::filesystem::copy(std::filesystem::path(mysql_program()).parent_path() / "data", data_,
                              std::filesystem::copy_options::recursive);
    } else {
        std::filesystem::create_directory(data_);
    }
    std::filesystem::permissions(data_, std::filesystem::perms(0700));
    give_to(owner_of(kind_), data_);
    if (kind_ == ServerKind::postgresql) {
        initialize_postgresql(log);
        return;
    }
    // Run at each start of the server.
    const std::string user = std::string(" 'administrator'@'127.0.0.1'");
    std::ofstream(folder_ / "first.sql")
        << "CREATE USER IF NOT EXISTS" << user << " IDENTIFIED BY " << quoted_password << ";\n"
        << "GRANT ALL ON *.* TO" << user << " WITH GRANT OPTION;\n";
    if (kind_ == ServerKind::mariadb) {
        run(as_owner(
                {"mariadb-install-db", "--no-defaults", "--datadir=" + data_.string(), "--skip-test-db"}),
            log);
    }
}

std::vector<std::string> DatabaseServer::server_command() const {
    const std::string port = std::to_string(port_);
    std::vector<std::string> command;
    if (kind_ == ServerKind::postgresql) {
        command = {postgresql_program("postgres"),
                   "-D",
                   data_.string(),
                   "-p",
                   port,
                   "-c",
                   "listen_addresses=127.0.0.1",
                   "-c",
                   "unix_socket_directories=" + data_.string(),
                   "-c",
                   "fsync=off"};
    } else {
        command = {"--datadir=" + data_.string(),
                   "--port=" + port,
                   "--bind-address=127.0.0.1",
                   "--socket=" + socket().string(),
                   "--pid-file=" + (data_ / "pid").string(),
                   "--innodb-flush-log-at-trx-commit=0",
                   "--skip-name-resolve",
                   "--init-file=" + (folder_ / "first.sql").string()};
        if (kind_ == ServerKind::mariadb) {
            // At its start a server removes what others have in a folder for temporary files that they share.
            command.insert(command.begin(),
                           {"/usr/sbin/mariadbd", "--no-defaults", "--tmpdir=" + data_.string()});
        } else {
            // It writes a binary log unless told otherwise, and then lets nobody make the ledger's triggers.
            command.insert(command.begin(),
                           {mysql_program(), "--sync-binlog=0", "--performance-schema=OFF", "--mysqlx=OFF",
                            "--secure-file-priv=NULL", "--log-bin-trust-function-creators=ON"});
        }
    }
    command.insert(command.end(), options_.begin(), options_.end());
    return as_owner(std::move(command));
}

void DatabaseServer::start() {
    const std::filesystem::path log = folder_ / "server.log";
    process_ = spawn(server_command(), log);
    const auto end = std::chrono::steady_clock::now() + start_limit;
    while (true) {
        try {
            db::Session(administration()).run("SELECT 1");
            return;
        } catch (const StorageUnavailable&) {
            if (::waitpid(process_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > end) {
                throw std::runtime_error("the database server does not start:\n" + read_all(log));
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void DatabaseServer::stop() {
    // PostgreSQL's fast shutdown, which does not wait for clients to leave.
    end(kind_ == ServerKind::postgresql ? SIGINT : SIGTERM);
}

void DatabaseServer::end(int signal) {
    if (process_ == 0) return;
    ::kill(process_, signal);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
}

void DatabaseServer::make_user() const {
    db::Session session(administration());
    session.run(kind_ == ServerKind::postgresql
                    ? "CREATE ROLE shop LOGIN PASSWORD " + std::string(password_for_postgresql)
                    : "CREATE USER 'shop'@'%' IDENTIFIED BY " + std::string(quoted_password));
}

void DatabaseServer::create_database(const std::string& name) const {
    db::Session session(administration());
    if (kind_ == ServerKind::postgresql) {
        session.run("CREATE DATABASE " + name + " OWNER shop");
    } else {
        session.run("CREATE DATABASE " + name);
        session.run("GRANT ALL ON " + name + ".* TO 'shop'@'%'");
    }
}

void DatabaseServer::drop_database(const std::string& name) const {
    db::Session session(administration());
    if (kind_ == ServerKind::postgresql) {
        session.run("DROP DATABASE " + name + " WITH (FORCE)");
    } else {
        session.run("DROP DATABASE " + name);
        session.run("REVOKE ALL ON " + name + ".* FROM 'shop'@'%'");
    }
}

db::ServerAddress DatabaseServer::address(const std::string& database) const {
    db::ServerAddress address;
    address.engine = engine_of(kind_);
    address.user = "shop";
    address.password = Secret(std::string(password));
    address.host = "127.0.0.1";
    address.port = port_;
    address.database = database;
    return address;
}

db::DatabaseOptions DatabaseServer::administration() const {
    db::ServerAddress there = address(kind_ == ServerKind::postgresql ? "postgres" : "mysql");
    there.user = "administrator";
    return db::DatabaseOptions::server(there);
}

}  // namespace quittance::test_support
