#include "apps/data_folder.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
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

DataFolderLock::DataFolderLock(const DataFolder& folder) {
    const fs::path file = folder.path() / "lock";
    file_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file_ < 0) {
        throw ConfigurationError("the data folder " + folder.path().string() + " cannot be written to (" +
                                 std::strerror(errno) +
                                 "): mend its permissions or choose another with --data");
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
