// Publishes messages, or receives them, over our Pub/Sub client, and says how fast.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <string>

#include <CLI/CLI.hpp>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "messaging/pubsub_bus.hpp"

namespace {

using namespace quittance;

struct Options {
    std::string topic = "payment-events";
    std::string subscription = "payment-service-sub";
    int messages = 5'000;
    int keys = 500;
    int streams = 16;
};

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

messaging::PubsubBusOptions bus_options(const Options& options) {
    messaging::PubsubBusOptions result;
    result.settings.project = variable("GOOGLE_CLOUD_PROJECT");
    result.settings.emulator_host = variable("PUBSUB_EMULATOR_HOST");
    result.subscriber.streams = options.streams;
    return result;
}

void publish(messaging::Bus& bus, const Options& options) {
    SystemRandom random;
    const SystemClock clock;
    IdGenerator ids(clock, random);
    std::vector<std::string> keys;
    for (int i = 0; i < options.keys; ++i)
        keys.push_back(ids.generate<OrderId>().to_string());
    std::vector<messaging::Outgoing> outgoing;
    std::latch answered(options.messages);
    std::atomic<int> failed = 0;
    for (int i = 0; i < options.messages; ++i) {
        messaging::Message message;
        message.id = ids.generate<EventId>().to_string();
        message.type = "quittance.order.created.v1";
        message.source = "/pubsub-rate";
        message.time = clock.now();
        message.ordering_key = keys[static_cast<std::size_t>(i) % keys.size()];
        message.data = R"({"amount":2500,"currency":"EUR","paymentMethod":"pm_card_visa","attempt":1})";
        outgoing.push_back({std::move(message), [&](const messaging::PublishResult& result) {
                                if (result.outcome != messaging::PublishOutcome::confirmed) ++failed;
                                answered.count_down();
                            }});
    }
    bus.publish(options.topic, std::move(outgoing));
    answered.wait();
    if (failed > 0) throw std::runtime_error(std::to_string(failed) + " messages were not published");
}

void receive(messaging::Bus& bus, const Options& options) {
    std::latch received(options.messages);
    std::atomic<int> left = options.messages;
    const auto subscription =
        bus.subscribe(options.subscription, [&](std::vector<messaging::Delivery> deliveries) {
            for (messaging::Delivery& delivery : deliveries) {
                std::move(delivery.handle).ack();
                if (left.fetch_sub(1) > 0) received.count_down();
            }
        });
    received.wait();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Publishes or receives messages over Pub/Sub and prints how many a second.", "pubsub-rate");
    app.require_subcommand(1);
    Options options;
    auto* publishing = app.add_subcommand("publish", "Publish messages");
    auto* receiving = app.add_subcommand("receive", "Receive and acknowledge messages");
    publishing->add_option("--topic", options.topic)->capture_default_str();
    publishing->add_option("--keys", options.keys, "Ordering keys that the messages share")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    receiving->add_option("--subscription", options.subscription)->capture_default_str();
    receiving->add_option("--streams", options.streams)->capture_default_str();
    for (CLI::App* command : {publishing, receiving})
        command->add_option("--messages", options.messages)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        const SystemClock clock;
        SystemRandom random;
        messaging::PubsubBus bus(clock, random, bus_options(options));
        const auto begin = std::chrono::steady_clock::now();
        *publishing ? publish(bus, options) : receive(bus, options);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        std::cout << options.messages / took.count() << std::endl;
        bus.close();
    } catch (const std::exception& error) {
        std::cerr << "pubsub-rate: " << error.what() << std::endl;
        return 1;
    }
    return 0;
}
