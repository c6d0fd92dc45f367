#include "apps/service_database.hpp"

#include "telemetry/log.hpp"

namespace quittance::apps {

ServiceDatabase::ServiceDatabase(db::DatabaseOptions options, const std::vector<db::Migration>& migrations,
                                 const Clock& clock)
    : options_(std::move(options)), dialect_(options_.engine), writers_(clock), readers_(clock) {
    db::Session session(options_);
    const int applied = db::open_and_migrate(session, options_.label, migrations, clock.now());
    if (applied > 0) {
        log::info("schema brought up to date", {{"database", options_.label}, {"migrations", applied}});
    }
}

void ServiceDatabase::start() {
    // SQLite has one writer at a time; readers go on beside it.
    for (db::Scheduler* scheduler : {&writers_, &readers_}) {
        threads_.emplace_back([this, scheduler](const std::stop_token& stop) {
            db::Session session(options_);
            scheduler->run(session, stop);
        });
    }
}

void ServiceDatabase::stop() {
    for (std::jthread& thread : threads_)
        thread.request_stop();
    threads_.clear();
}

}  // namespace quittance::apps
