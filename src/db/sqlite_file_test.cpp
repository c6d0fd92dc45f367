#include "db/sqlite_file.hpp"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/database.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::db {
namespace {

namespace fs = std::filesystem;

/// What a file system that turned read-only does, for one file: writes through open descriptors fail, and it
/// can be opened for reading only. False when this file system or user cannot do it.
bool set_immutable(const std::string& path, bool immutable) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    int flags = 0;
    bool done = ::ioctl(file, FS_IOC_GETFLAGS, &flags) == 0;
    flags = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    done = done && ::ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
    ::close(file);
    return done;
}

class SqliteFileTest : public testing::Test {
protected:
    void SetUp() override {
        if (test_support::engine_under_test() != Engine::sqlite) GTEST_SKIP() << "about SQLite's files";
        database_.emplace();
        path_ = database_->options().file;
        session_ = database_->connect();
        session_->run("CREATE TABLE notes (id INTEGER PRIMARY KEY)");
        session_->run("INSERT INTO notes VALUES (1)");
    }

    std::optional<test_support::TestDatabase> database_;
    std::string path_;
    std::unique_ptr<Session> session_;
};

TEST_F(SqliteFileTest, session_heals_by_itself_after_its_files_were_read_only) {
    if (!set_immutable(path_, true))
        GTEST_SKIP() << "NOT TESTED: needs root and a file system with chattr +i";
    ASSERT_TRUE(set_immutable(path_ + "-wal", true));
    const auto insert = [this] { session_->execute("INSERT INTO notes VALUES (2)"); };
    EXPECT_THROW(insert(), StorageUnavailable);
    EXPECT_THROW(insert(), StorageReadOnly) << "not reopened read-only without a word";
    EXPECT_THROW(insert(), StorageReadOnly);
    ASSERT_TRUE(set_immutable(path_, false));
    ASSERT_TRUE(set_immutable(path_ + "-wal", false));
    ::usleep(600'000);  // A database that could not be opened is left alone for half a second.
    EXPECT_NO_THROW(insert());
    EXPECT_EQ(session_->select<std::int64_t>("SELECT id FROM notes").size(), 2U);
}

TEST_F(SqliteFileTest, watch_notices_a_database_that_was_replaced_or_removed) {
    SqliteFileWatch watch(path_);
    session_->run("INSERT INTO notes VALUES (3)");
    session_->run("VACUUM");
    EXPECT_EQ(watch.replaced(), std::nullopt);
    fs::copy_file(path_, path_ + ".copy");
    fs::rename(path_ + ".copy", path_);
    EXPECT_EQ(watch.replaced(), path_ + " was replaced by another file");
    fs::remove(path_);
    EXPECT_EQ(watch.replaced(), path_ + " was removed");
}

TEST_F(SqliteFileTest, watch_notices_a_log_that_was_removed_and_not_one_that_sqlite_made_anew) {
    SqliteFileWatch watch(path_);
    session_ = database_->connect();
    session_->run("INSERT INTO notes VALUES (4)");
    EXPECT_EQ(watch.replaced(), std::nullopt);
    fs::remove(path_ + "-wal");
    EXPECT_EQ(watch.replaced(), path_ + "-wal was replaced or removed");
}

TEST_F(SqliteFileTest, closed_database_refuses_all_work) {
    DatabaseOptions options = database_->options();
    options.closed = std::make_shared<std::atomic<bool>>(false);
    Session session(options);
    {
        Transaction transaction(session);
        session.run("INSERT INTO notes VALUES (5)");
        *options.closed = true;
        EXPECT_THROW(transaction.commit(), StorageUnavailable);
    }
    EXPECT_THROW(static_cast<void>(session.select<std::int64_t>("SELECT 1")), StorageUnavailable);
    EXPECT_EQ(session_->select<std::int64_t>("SELECT id FROM notes").size(), 1U);
}

TEST_F(SqliteFileTest, sqlite_keeps_its_locks_on_what_is_mapped) {
    // The byte, of SQLite's unix VFS, behind its locks, held for as long as the file is mapped.
    constexpr off_t dead_man_switch = (22 + 8) * 4 + 8;
    const auto second = database_->connect();
    second->run("SELECT 1");
    const pid_t other = ::fork();
    if (other == 0) {
        const int file = ::open((path_ + "-shm").c_str(), O_RDWR | O_CLOEXEC);
        struct flock lock {};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = dead_man_switch;
        lock.l_len = 1;
        ::_exit(file >= 0 && ::fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(other, &status, 0), other);
    EXPECT_EQ(WEXITSTATUS(status), 0) << "another program would take the file for abandoned, and empty it";
}

TEST_F(SqliteFileTest, what_sqlite_maps_is_allocated_beforehand) {
    EXPECT_GE(fs::file_size(path_ + "-shm"), 128U * 1024);
    const fs::path folder = fs::path(path_).parent_path() / "full";
    fs::create_directory(folder);
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0)
        GTEST_SKIP() << "NOT TESTED: needs the right to mount a file system";
    const std::string full = (folder / "full.db").string();
    EXPECT_THROW(require_room_for_shared_memory(full), StorageUnavailable);
    EXPECT_FALSE(fs::exists(full + "-room"));
    Session session(DatabaseOptions::parse(Secret("sqlite:" + full)));
    EXPECT_THROW(session.run("SELECT 1"), StorageUnavailable);
    EXPECT_EQ(::umount(folder.c_str()), 0);
}

}  // namespace
}  // namespace quittance::db
