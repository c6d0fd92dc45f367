#include "db/sqlite_file.hpp"

#include <algorithm>
#include <cerrno>
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

/// An open file that is closed at the end.
class OpenFile {
public:
    OpenFile(const std::string& path, int flags)
        : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    ~OpenFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    /// 0 or an errno. File systems that cannot reserve do not map lazily allocated blocks either.
    [[nodiscard]] int allocate() const {
        if (::fallocate(descriptor_, 0, 0, reserved_bytes) == 0) return 0;
        return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : errno;
    }

private:
    int descriptor_;
};

[[noreturn]] void throw_no_room(const std::string& path, int error) {
    throw StorageUnavailable("no room for " + path + ": " + std::strerror(error));
}

/// Whether this program has a file of this path open that is no longer at the path.
bool has_open_but_removed(const std::string& path) {
    const std::string wanted = fs::absolute(path).lexically_normal().string() + " (deleted)";
    std::error_code error;
    for (fs::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error)) {
        std::error_code unreadable;
        if (fs::read_symlink(at->path(), unreadable).string() == wanted) return true;
    }
    return false;
}

}  // namespace

void require_room_for_shared_memory(const std::string& database_path) {
    // SQLite empties the file itself when the first connection opens it, so room is asked for elsewhere.
    const std::string probe = database_path + "-room";
    int error = 0;
    {
        const OpenFile file(probe, O_RDWR | O_CREAT | O_TRUNC);
        if (!file.is_open() && errno == EROFS) throw StorageReadOnly(std::strerror(EROFS));
        if (!file.is_open()) throw_no_room(probe, errno);
        error = file.allocate();
    }
    ::unlink(probe.c_str());
    if (error != 0) throw_no_room(database_path + "-shm", error);
}

void reserve_shared_memory(const std::string& database_path) {
    const std::string path = database_path + "-shm";
    const OpenFile file(path, O_RDWR);
    if (!file.is_open()) return;
    if (const int error = file.allocate(); error != 0) throw_no_room(path, error);
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
