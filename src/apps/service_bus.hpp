// The bus that the options ask for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "apps/environment.hpp"
#include "apps/options.hpp"
#include "apps/push_endpoint.hpp"
#include "http/router.hpp"
#include "messaging/bus.hpp"

namespace quittance::apps {

/// Makes the bus when made; destroyed after its subscriptions.
class ServiceBus {
public:
    /// Throws ConfigurationError: no project, no credentials, a topic that is not there, or push without a
    /// word on who checks the sender.
    ServiceBus(Environment& environment, const BusChoice& choice);

    [[nodiscard]] messaging::Bus& bus() { return *bus_; }

    /// What the bus answers over HTTP: pushes, where they are chosen.
    void add_routes(http::Router& router);
    /// Why messages cannot come now, or none.
    [[nodiscard]] std::optional<std::string> problem() const;
    /// Work that is due; returns at once.
    void step();

    /// The embedded bus delivers on a thread of ours; Pub/Sub brings its own.
    void start();
    /// After the subscriptions ended and before those who publish do: nobody is told of anything any more.
    void stop();

private:
    std::unique_ptr<messaging::Bus> bus_;
    std::optional<PushEndpoint> push_;
    std::function<void(const std::stop_token&)> deliver_;
    std::function<void()> close_;
    std::jthread delivery_;
};

}  // namespace quittance::apps
