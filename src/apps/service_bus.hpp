// The bus that the options ask for.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <thread>

#include "apps/environment.hpp"
#include "apps/options.hpp"
#include "messaging/bus.hpp"

namespace quittance::apps {

/// Makes the bus when made; destroyed after its subscriptions.
class ServiceBus {
public:
    /// Throws ConfigurationError: no project, no credentials, or a topic that is not there.
    ServiceBus(Environment& environment, const BusChoice& choice);

    [[nodiscard]] messaging::Bus& bus() { return *bus_; }

    /// The embedded bus delivers on a thread of ours; Pub/Sub brings its own.
    void start();
    /// After the subscriptions ended and before those who publish do: nobody is told of anything any more.
    void stop();

private:
    std::unique_ptr<messaging::Bus> bus_;
    std::function<void(const std::stop_token&)> deliver_;
    std::function<void()> close_;
    std::jthread delivery_;
};

}  // namespace quittance::apps
