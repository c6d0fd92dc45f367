#include "apps/service_bus.hpp"

#include <utility>

#include "core/thread_name.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/pubsub_bus.hpp"

namespace quittance::apps {

ServiceBus::ServiceBus(Environment& environment, const BusChoice& choice) {
    if (choice.is_pubsub()) {
        choice.check_push();
        messaging::PubsubBusOptions options;
        options.settings = choice.pubsub_settings();
        options.subscriber.streams = choice.pull_streams;
        if (choice.is_push()) options.delivery = messaging::PubsubDelivery::push;
        auto bus = std::make_unique<messaging::PubsubBus>(environment.clock, environment.random, options);
        for (const messaging::PubsubRoute& route : pubsub_routes())
            bus->require_topic(route.topic);
        close_ = [&pubsub = *bus] { pubsub.close(); };
        if (bus->push() != nullptr)
            push_.emplace(choice, *bus->push(), environment.client, environment.clock);
        bus_ = std::move(bus);
        return;
    }
    messaging::EmbeddedBusOptions options;
    for (const messaging::PubsubRoute& route : pubsub_routes())
        options.routes.push_back({route.topic, route.subscription});
    auto bus = std::make_unique<messaging::EmbeddedBus>(environment.clock, environment.random, options);
    deliver_ = [&embedded = *bus](const std::stop_token& stop) { embedded.run(stop); };
    bus_ = std::move(bus);
}

void ServiceBus::add_routes(http::Router& router) {
    if (push_) push_->add_route(router);
}

std::optional<std::string> ServiceBus::problem() const {
    return push_ ? push_->problem() : std::nullopt;
}

void ServiceBus::step() {
    if (push_) push_->step();
}

void ServiceBus::start() {
    if (!deliver_) return;
    delivery_ = std::jthread([this](const std::stop_token& stop) {
        name_this_thread("q-bus");
        deliver_(stop);
    });
}

void ServiceBus::stop() {
    delivery_ = {};
    if (close_) close_();
}

}  // namespace quittance::apps
