// Whether a service's database takes writes, for readiness; and whether its files are still there.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "apps/service_database.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

/// Tries once a second what an order needs: a transaction that writes, without changing anything, and is
/// rolled back. Thread safe, but `step` is for one thread. Made before the database is started.
class DatabaseWatch {
public:
    DatabaseWatch(std::string service, ServiceDatabase& database, const Clock& clock,
                  telemetry::Metrics& metrics);

    /// Looks again when it is time to; returns at once.
    void step();

    /// Why the service is not ready: its database takes no writes. None when all is well. Names neither
    /// hosts nor users.
    [[nodiscard]] std::optional<std::string> problem() const;
    /// Why the program has to end: the files of the database were replaced or removed.
    [[nodiscard]] std::optional<std::string> fatal() const;

private:
    struct Try {};

    [[nodiscard]] Result<Done> try_to_write(db::Session& session) const;

    const std::string service_;
    ServiceDatabase& database_;
    const Clock& clock_;
    std::chrono::steady_clock::time_point next_try_{};
    std::atomic<bool> trying_ = false;
    std::atomic<std::chrono::steady_clock::time_point> trying_since_{};
    mutable std::mutex mutex_;
    std::optional<std::string> problem_;
    std::optional<std::string> fatal_;
    db::Lane<Try, Done> lane_;
};

}  // namespace quittance::apps
