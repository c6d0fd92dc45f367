#include "db/sqlite_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"

namespace quittance::db {

namespace fs = std::filesystem;

namespace {

/// SQLite maps 32 KB for each 4 000 pages of the log; ours has 8 000 before it is carried into the database.
constexpr off_t reserved_bytes = 128 * 1024;

/// 0 or an errno. File systems that cannot reserve do not map lazily allocated blocks either.
int allocate(int descriptor) {
    if (::fallocate(descriptor, 0, 0, reserved_bytes) == 0) return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : errno;
}

/// The descriptors of this program, by number and by what /proc says of them.
template <class Visit>
void visit_open_files(Visit visit) {
    std::error_code error;
    for (fs::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error)) {
        std::error_code unreadable;
        visit(std::atoi(at->path().filename().c_str()), fs::read_symlink(at->path(), unreadable).string());
    }
}

[[noreturn]] void throw_no_room(const std::string& path, int error) {
    throw StorageUnavailable("no room for " + path + ": " + std::strerror(error));
}

/// Whether this program has a file of this path open that is no longer at the path.
bool has_open_but_removed(const std::string& path) {
    const std::string wanted = fs::absolute(path).lexically_normal().string() + " (deleted)";
    bool found = false;
    visit_open_files([&](int, const std::string& name) { found = found || name == wanted; });
    return found;
}

/// The descriptor that this program has of a file, or -1.
int open_descriptor_of(const std::string& path) {
    struct stat wanted {};
    if (::stat(path.c_str(), &wanted) != 0) return -1;
    int found = -1;
    visit_open_files([&](int descriptor, const std::string&) {
        struct stat status {};
        if (::fstat(descriptor, &status) == 0 && status.st_dev == wanted.st_dev &&
            status.st_ino == wanted.st_ino) {
            found = descriptor;
        }
    });
    return found;
}

}  // namespace

void require_room_for_shared_memory(const std::string& database_path) {
    // SQLite empties the file itself when the first connection opens it, so room is asked for elsewhere.
    const std::string probe = database_path + "-room";
    const int file = ::open(probe.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 && errno == EROFS) throw StorageReadOnly(std::strerror(EROFS));
    if (file < 0) throw_no_room(probe, errno);
    const int error = allocate(file);
    ::close(file);
    ::unlink(probe.c_str());
    if (error != 0) throw_no_room(database_path + "-shm", error);
}

void reserve_shared_memory(const std::string& database_path) {
    const std::string path = database_path + "-shm";
    const int file = open_descriptor_of(path);
    if (file < 0) return;
    if (const int error = allocate(file); error != 0) throw_no_room(path, error);
}

std::optional<SqliteFileWatch::Identity> SqliteFileWatch::identity_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return Identity{status.st_dev, status.st_ino};
}

SqliteFileWatch::SqliteFileWatch(std::string database_path) : path_(std::move(database_path)) {
    const auto database = identity_of(path_);
    if (!database) throw StorageUnavailable("there is no file " + path_);
    database_ = *database;
    log_ = identity_of(path_ + "-wal");
}

std::optional<std::string> SqliteFileWatch::replaced() {
    const auto database = identity_of(path_);
    if (!database) return path_ + " was removed";
    if (*database != database_) return path_ + " was replaced by another file";
    const auto log = identity_of(path_ + "-wal");
    if (log == log_) return std::nullopt;
    // SQLite itself removes it with the last connection and makes it anew with the next.
    log_ = log;
    if (!has_open_but_removed(path_ + "-wal")) return std::nullopt;
    return path_ + "-wal was replaced or removed";
}

}  // namespace quittance::db
