// Looks at a service's outbox now and then, for the metrics and for readiness.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "db/scheduler.hpp"
#include "messaging/outbox.hpp"
#include "messaging/relay.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

/// Thread safe, but `step` is for one thread.
class OutboxWatch {
public:
    OutboxWatch(std::string service, db::Scheduler& readers, const messaging::Outbox& outbox,
                const messaging::Relay& relay, const Clock& clock, telemetry::Metrics& metrics);

    /// Looks again when it is time to; returns at once.
    void step();

    /// Why the service is not ready: its database did not answer, or not in time. None when all is well.
    [[nodiscard]] std::optional<std::string> problem() const;

private:
    struct Look {};
    using Backlog = messaging::Outbox::Backlog;

    const std::string service_;
    const Clock& clock_;
    std::chrono::steady_clock::time_point next_look_{};
    std::atomic<std::int64_t> rows_ = 0;
    std::atomic<std::int64_t> oldest_ms_ = 0;
    std::atomic<bool> reachable_ = true;
    std::atomic<bool> looking_ = false;
    std::atomic<std::chrono::steady_clock::time_point> looking_since_{};
    db::Lane<Look, Backlog> lane_;
};

}  // namespace quittance::apps
