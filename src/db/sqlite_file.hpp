// The files of a SQLite database, as the file system sees them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace quittance::db {

/// Throws StorageUnavailable when the file system has no room for what SQLite maps into memory beside a
/// database: a page that cannot be allocated would end the program by SIGBUS when it is first written to.
/// StorageReadOnly when it takes no writes at all.
void require_room_for_shared_memory(const std::string& database_path);

/// Allocates the file that SQLite has mapped (`-shm`), as far as a log of the usual size needs it. SQLite
/// itself allocates one byte of each 4 KB, which is not all of them where blocks are smaller. While a
/// connection is open, and through its descriptor: closing any other one of the same file ends all locks
/// that SQLite has on it (https://www.sqlite.org/howtocorrupt.html, 2.2), and the next program that comes
/// truncates what this one has mapped. Throws StorageUnavailable when there is no room.
void reserve_shared_memory(const std::string& database_path);

/// Tells whether the files at a path are still those that this program opened: a restore or a program that
/// synchronises folders may replace or remove them, and what is committed then goes into files that nobody
/// can open any more. Not thread safe.
class SqliteFileWatch {
public:
    /// When the database is open. Throws StorageUnavailable when there is no such file.
    explicit SqliteFileWatch(std::string database_path);

    /// What happened to which file, or none. Two calls of stat(2), and a look at the open files of this
    /// program when the log is another than before.
    [[nodiscard]] std::optional<std::string> replaced();

private:
    struct Identity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        bool operator==(const Identity&) const = default;
    };
    [[nodiscard]] static std::optional<Identity> identity_of(const std::string& path);

    const std::string path_;
    Identity database_;
    std::optional<Identity> log_;
};

}  // namespace quittance::db
