#include "apps/database_watch.hpp"

#include <utility>

#include "telemetry/lane_report.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

constexpr std::chrono::seconds try_interval{1};
/// A try that takes longer waits for a database that hangs, or behind work that does.
constexpr std::chrono::seconds longest_try{5};

/// Needs the right to write, but no row has this version. Servers refuse it when they are read-only.
const std::string change_nothing = "UPDATE schema_migrations SET applied_at = applied_at WHERE version = -1";

Error refused(std::string why) {
    return {ErrorCode::unavailable, std::move(why), {}, 1};
}

}  // namespace

DatabaseWatch::DatabaseWatch(std::string service, ServiceDatabase& database, const Clock& clock,
                             telemetry::Metrics& metrics)
    : service_(std::move(service)),
      database_(database),
      clock_(clock),
      lane_(
          database.writers(), {.max_queued = 1},
          [this](db::Session& session, std::span<Try> tries) {
              return std::vector<Result<Done>>(tries.size(), try_to_write(session));
          },
          telemetry::LaneReport(metrics, service_ + "_database_watch")) {}

Result<Done> DatabaseWatch::try_to_write(db::Session& session) const {
    try {
        // SQLite notices what is wrong with its files only when it writes to them.
        if (!database_.is_shared()) db::require_room_for_shared_memory(database_.options().file);
        const db::Transaction transaction(session);
        session.execute(change_nothing);
        return Done{};
    } catch (const StorageReadOnly&) {
        return refused("takes no writes: it is read-only");
    } catch (const StorageConnectionLost&) {
        return refused("cannot be reached");
    } catch (const StorageConflict&) {
        // Somebody else writes.
        return Done{};
    } catch (const StorageUnavailable& unavailable) {
        log::warning("a database takes no writes",
                     {{"database", database_.options().label}, {"reason", unavailable.what()}});
        return refused("takes no writes at present");
    }
}

void DatabaseWatch::step() {
    if (auto what = database_.look_for_replaced_files()) {
        const std::lock_guard lock(mutex_);
        fatal_ = *what +
                 " while this program had it open. What it committed since then is not in the file "
                 "that is there now. Stop the program before files of its databases are restored, "
                 "moved or synchronised, and start it again";
        log::error("the files of a database were replaced or removed; the program ends",
                   {{"database", database_.options().label}, {"what", *what}});
    }
    const auto now = clock_.steady_now();
    if (now < next_try_ || trying_) return;
    next_try_ = now + try_interval;
    trying_since_ = now;
    trying_ = true;
    lane_.submit({}, [this](const Result<Done>& result) {
        {
            const std::lock_guard lock(mutex_);
            problem_ = result ? std::nullopt : std::optional(result.error().detail);
        }
        trying_ = false;
    });
}

std::optional<std::string> DatabaseWatch::problem() const {
    const bool hangs = trying_ && clock_.steady_now() - trying_since_.load() > longest_try;
    const std::lock_guard lock(mutex_);
    const std::string database = "the database of the " + service_ + " service ";
    if (fatal_) return database + "was replaced";
    if (problem_) return database + *problem_;
    if (hangs) return database + "does not take writes in time";
    return std::nullopt;
}

std::optional<std::string> DatabaseWatch::fatal() const {
    const std::lock_guard lock(mutex_);
    return fatal_;
}

}  // namespace quittance::apps
