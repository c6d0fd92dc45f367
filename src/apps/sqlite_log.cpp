#include "apps/sqlite_log.hpp"

#include <string_view>
#include <system_error>

#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

constexpr std::chrono::seconds look_interval{5};
constexpr std::chrono::seconds warning_interval{60};

}  // namespace

SqliteLog::SqliteLog(const db::DatabaseOptions& options, const Clock& clock, std::uint64_t limit)
    : clock_(clock), limit_(limit), label_(options.label) {
    constexpr std::string_view scheme = "sqlite:";
    if (options.engine == db::Engine::sqlite) file_ = label_.substr(scheme.size()) + "-wal";
}

std::uint64_t SqliteLog::size() const {
    if (file_.empty()) return 0;
    std::error_code none;
    const auto size = std::filesystem::file_size(file_, none);
    return none ? 0 : size;
}

bool SqliteLog::is_due() {
    if (file_.empty()) return false;
    const auto now = clock_.steady_now();
    if (now < next_look_) return false;
    next_look_ = now + look_interval;
    return size() > limit_;
}

bool SqliteLog::cut_back(db::Session& session) {
    session.run("PRAGMA busy_timeout=100");
    try {
        static_cast<void>(
            session.select<std::int64_t, std::int64_t, std::int64_t>("PRAGMA wal_checkpoint(TRUNCATE)"));
    } catch (...) {
        session.run("PRAGMA busy_timeout=5000");
        throw;
    }
    session.run("PRAGMA busy_timeout=5000");
    const auto bytes = size();
    if (bytes <= limit_) return true;
    const auto now = clock_.steady_now();
    if (now >= next_warning_) {
        next_warning_ = now + warning_interval;
        log::warning(
            "the write-ahead log of a database grows, because another program has been reading the "
            "database for long; it is cut back when that program has ended its transaction",
            {{"database", label_},
             {"bytes", static_cast<std::int64_t>(bytes)},
             {"limit", static_cast<std::int64_t>(limit_)}});
    }
    return false;
}

}  // namespace quittance::apps
