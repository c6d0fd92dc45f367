// The write-ahead log of a SQLite database: how large it is, and what is done about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/clock.hpp"
#include "db/database.hpp"

namespace quittance::apps {

/// While somebody reads, what was written since stays in the log, because the reader must not see it; so one
/// who reads for long makes it grow without end. Our own reads are pages of some milliseconds, but other
/// programs may open the file. Past a limit the log is carried into the database and cut back as soon as no
/// reader is in the way, and a warning names its size until then. Does nothing on servers. `is_due` and
/// `cut_back` may be called from two threads.
class SqliteLog {
public:
    /// As large as it becomes without long readers is a quarter of this; see `settings_of` in database.cpp.
    static constexpr std::uint64_t limit_bytes = std::uint64_t{128} << 20;

    SqliteLog(const db::DatabaseOptions& options, const Clock& clock, std::uint64_t limit = limit_bytes);

    /// Bytes on the disk; 0 where there is no log.
    [[nodiscard]] std::uint64_t size() const;
    /// True when the log is past its limit and was not dealt with for some seconds. Reads no more than the
    /// file's size, and that now and then.
    [[nodiscard]] bool is_due();
    /// Carries the log into the database and cuts it back, unless a reader is in the way, for which it waits
    /// a moment only: writers wait meanwhile. True when it is below the limit now. Throws what the session
    /// throws.
    bool cut_back(db::Session& session);

private:
    const Clock& clock_;
    const std::uint64_t limit_;
    const std::string label_;
    std::filesystem::path file_;  ///< Empty on servers.
    std::chrono::steady_clock::time_point next_look_{};
    std::chrono::steady_clock::time_point next_warning_{};
};

}  // namespace quittance::apps
