#include "tests/support/database_server.hpp"

#include <chrono>
#include <csignal>
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

}  // namespace

DatabaseServer::DatabaseServer(db::Engine engine)
    : engine_(engine), folder_(make_folder()), data_(folder_ / "data"), port_(free_port()) {
    try {
        initialize();
        start();
    } catch (...) {
        stop();
        std::filesystem::remove_all(folder_);
        throw;
    }
}

DatabaseServer::~DatabaseServer() {
    stop();
    std::filesystem::remove_all(folder_);
}

std::vector<std::string> DatabaseServer::as_owner(std::vector<std::string> command) const {
    // The server shall not outlive a test that crashes.
    std::vector<std::string> whole{
        "setpriv", engine_ == db::Engine::postgresql ? "--pdeathsig=QUIT" : "--pdeathsig=KILL"};
    if (::geteuid() == 0) {
        const std::string owner = engine_ == db::Engine::postgresql ? "postgres" : "mysql";
        whole.insert(whole.end(), {"--reuid=" + owner, "--regid=" + owner, "--init-groups"});
    }
    whole.insert(whole.end(), command.begin(), command.end());
    return whole;
}

void DatabaseServer::initialize() {
    std::filesystem::create_directory(data_);
    std::filesystem::permissions(data_, std::filesystem::perms(0700));
    if (::geteuid() == 0) {
        const passwd* owner = ::getpwnam(engine_ == db::Engine::postgresql ? "postgres" : "mysql");
        if (owner == nullptr || ::chown(data_.c_str(), owner->pw_uid, owner->pw_gid) != 0) {
            throw std::runtime_error("the database server is not installed: run make setup");
        }
    }
    const std::filesystem::path log = folder_ / "initialize.log";
    if (engine_ == db::Engine::postgresql) {
        const std::filesystem::path password_file = folder_ / "password";
        std::ofstream(password_file) << password << "\n";
        run(as_owner({postgresql_program("initdb"), "--pgdata=" + data_.string(), "--username=tester",
                      "--pwfile=" + password_file.string(), "--auth=scram-sha-256", "--encoding=UTF8",
                      "--locale=C", "--no-sync"}),
            log);
        return;
    }
    std::ofstream(folder_ / "first.sql") << "CREATE USER IF NOT EXISTS 'tester'@'127.0.0.1' IDENTIFIED BY "
                                            "'p@ss: ''w\\\\rd''/%';\n"
                                            "GRANT ALL ON *.* TO 'tester'@'127.0.0.1' WITH GRANT OPTION;\n";
    run(as_owner({"mariadb-install-db", "--no-defaults", "--datadir=" + data_.string(), "--skip-test-db"}),
        log);
}

std::vector<std::string> DatabaseServer::server_command() const {
    const std::string port = std::to_string(port_);
    if (engine_ == db::Engine::postgresql) {
        return as_owner({postgresql_program("postgres"), "-D", data_.string(), "-p", port, "-c",
                         "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + data_.string(),
                         "-c", "fsync=off"});
    }
    return as_owner({"/usr/sbin/mariadbd", "--no-defaults", "--datadir=" + data_.string(), "--port=" + port,
                     "--bind-address=127.0.0.1", "--socket=" + (data_ / "socket").string(),
                     "--pid-file=" + (data_ / "pid").string(), "--innodb-flush-log-at-trx-commit=0",
                     "--skip-name-resolve", "--init-file=" + (folder_ / "first.sql").string()});
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
    if (process_ == 0) return;
    // PostgreSQL's fast shutdown, which does not wait for clients to leave.
    ::kill(process_, engine_ == db::Engine::postgresql ? SIGINT : SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
}

db::ServerAddress DatabaseServer::address(const std::string& database) const {
    db::ServerAddress address;
    address.engine = engine_;
    address.user = "tester";
    address.password = Secret(std::string(password));
    address.host = "127.0.0.1";
    address.port = port_;
    address.database = database;
    return address;
}

db::DatabaseOptions DatabaseServer::administration() const {
    return db::DatabaseOptions::server(address(engine_ == db::Engine::postgresql ? "postgres" : "mysql"));
}

}  // namespace quittance::test_support
