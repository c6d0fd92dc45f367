#include "apps/outbox_watch.hpp"

#include <utility>

#include "telemetry/lane_report.hpp"

namespace quittance::apps {

namespace {

constexpr std::chrono::seconds look_interval{1};
/// A look that takes longer waits for a database that hangs: reading the outbox takes milliseconds.
constexpr std::chrono::seconds longest_look{5};

}  // namespace

OutboxWatch::OutboxWatch(std::string service, db::Scheduler& readers, const messaging::Outbox& outbox,
                         const messaging::Relay& relay, const Clock& clock, telemetry::Metrics& metrics)
    : service_(std::move(service)),
      clock_(clock),
      lane_(
          readers, {},
          [&outbox](db::Session& session, std::span<Look> looks) {
              return std::vector<Result<Backlog>>(looks.size(), outbox.backlog(session));
          },
          telemetry::LaneReport(metrics, service_ + "_outbox_watch")) {
    const telemetry::Labels labels{{"service", service_}};
    metrics.gauge("outbox_rows", "Events stored and not yet published.", labels,
                  [this] { return static_cast<double>(rows_.load()); });
    metrics.gauge("outbox_oldest_age_seconds", "Age of the oldest event that is not yet published.", labels,
                  [this] {
                      if (rows_ == 0) return 0.0;
                      return static_cast<double>(to_ms(clock_.now()) - oldest_ms_) / 1000.0;
                  });
    metrics.gauge("outbox_in_flight", "Events given to the bus and not yet confirmed.", labels,
                  [&relay] { return static_cast<double>(relay.in_flight()); });
}

void OutboxWatch::step() {
    const auto now = clock_.steady_now();
    if (now < next_look_ || looking_) return;
    next_look_ = now + look_interval;
    looking_since_ = now;
    looking_ = true;
    lane_.submit({}, [this](Result<Backlog> backlog) {
        reachable_ = backlog.ok();
        if (backlog) {
            rows_ = backlog->rows;
            oldest_ms_ = to_ms(backlog->oldest);
        }
        looking_ = false;
    });
}

std::optional<std::string> OutboxWatch::problem() const {
    const bool hangs = looking_ && clock_.steady_now() - looking_since_.load() > longest_look;
    if (reachable_ && !hangs) return std::nullopt;
    return "the database of the " + service_ + " service does not answer";
}

}  // namespace quittance::apps
