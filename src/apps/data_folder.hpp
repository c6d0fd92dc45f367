// The folder in which the embedded default keeps everything.
#pragma once

#include <filesystem>

#include "core/secret.hpp"

namespace quittance::apps {

/// Where things are below one data folder.
class DataFolder {
public:
    explicit DataFolder(std::filesystem::path path) : path_(std::move(path)) {}

    /// Makes the folder, readable for its owner only, when it is not there. Throws ConfigurationError.
    void create() const;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] Secret orders_database_url() const;
    [[nodiscard]] Secret payments_database_url() const;
    [[nodiscard]] std::filesystem::path signing_key_file() const { return path_ / "signing-key.pem"; }

private:
    std::filesystem::path path_;
};

/// Where root runs a command on the folder of another user, the program goes on as that user: a file that
/// root makes could not be opened by the service. Throws ConfigurationError where it cannot. Does nothing for
/// other users, and where there is no such folder.
void act_as_owner_of(const std::filesystem::path& folder);

/// Keeps a second server off the folder for as long as it lives; the kernel lets go when a process dies.
class DataFolderLock {
public:
    /// Throws ConfigurationError when another process holds it.
    explicit DataFolderLock(const DataFolder& folder);
    ~DataFolderLock();
    DataFolderLock(const DataFolderLock&) = delete;
    DataFolderLock& operator=(const DataFolderLock&) = delete;

private:
    int file_ = -1;
};

}  // namespace quittance::apps
