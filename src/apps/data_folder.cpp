#include "apps/data_folder.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"

namespace quittance::apps {

namespace fs = std::filesystem;

void DataFolder::create() const {
    std::error_code error;
    if (fs::is_directory(path_, error)) return;
    fs::create_directories(path_, error);
    if (!error) fs::permissions(path_, fs::perms::owner_all, error);
    if (error) {
        throw ConfigurationError("the data folder " + path_.string() + " cannot be made (" + error.message() +
                                 "): choose another with --data");
    }
}

Secret DataFolder::orders_database_url() const {
    return Secret("sqlite:" + (path_ / "orders.db").string());
}

Secret DataFolder::payments_database_url() const {
    return Secret("sqlite:" + (path_ / "payments.db").string());
}

void act_as_owner_of(const fs::path& folder) {
    struct stat found {};
    if (::geteuid() != 0 || ::stat(folder.c_str(), &found) != 0 || found.st_uid == 0) return;
    if (::setegid(found.st_gid) == 0 && ::seteuid(found.st_uid) == 0) return;
    throw ConfigurationError("the folder " + folder.string() + " belongs to the user " +
                             std::to_string(found.st_uid) + ", as whom root may not act here (" +
                             std::strerror(errno) + "): run this as that user");
}

DataFolderLock::DataFolderLock(const DataFolder& folder) {
    const fs::path file = folder.path() / "lock";
    file_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file_ < 0) {
        throw ConfigurationError("the data folder " + folder.path().string() + " cannot be written to (" +
                                 std::strerror(errno) +
                                 "): give it to the user that this program runs as (chown -R USER " +
                                 folder.path().string() + "), or choose another with --data");
    }
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
        ::close(file_);
        throw ConfigurationError("another quittance is running on the data folder " + folder.path().string() +
                                 ": stop it, or choose another folder with --data");
    }
}

DataFolderLock::~DataFolderLock() {
    ::close(file_);
}

}  // namespace quittance::apps
