// What the parts can do alone: the limits beside which the figures of the whole stand.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <latch>
#include <mutex>
#include <thread>

#include <CLI/CLI.hpp>

#include "apps/environment.hpp"
#include "apps/service_database.hpp"
#include "apps/signals.hpp"
#include "http/server.hpp"
#include "messaging/embedded_bus.hpp"
#include "orders/catalogue.hpp"
#include "orders/order_writer.hpp"

namespace quittance::bench {

namespace {

using Seconds = std::chrono::duration<double>;

void print_rate(std::string_view what, std::size_t count, Seconds time) {
    std::printf("{\"what\": \"%.*s\", \"count\": %zu, \"seconds\": %.3f, \"perSecond\": %.0f}\n",
                static_cast<int>(what.size()), what.data(), count, time.count(),
                static_cast<double>(count) / time.count());
}

/// Orders like those of the load driver: 1 to 5 items of the demo's products.
std::vector<orders::Transition> make_orders(apps::Environment& environment, std::size_t count) {
    orders::Products products;
    for (const orders::Product& product : orders::demo_products())
        products.emplace(product.id, product);
    const Currency currency = products.begin()->second.unit_price.currency;
    std::erase_if(products, [&](const auto& entry) {
        return !entry.second.active || entry.second.unit_price.currency != currency;
    });
    std::vector<orders::Transition> placed;
    placed.reserve(count);
    auto next = products.begin();
    for (std::size_t i = 0; i < count; ++i) {
        orders::OrderRequest request;
        request.user_id = environment.ids.generate<UserId>();
        request.payment_method = "pm_card_visa";
        for (std::size_t item = 0; item <= i % 5; ++item) {
            if (next == products.end()) next = products.begin();
            request.items.push_back({next->first, static_cast<std::int64_t>(1 + item % 3), std::nullopt});
            ++next;
        }
        placed.push_back(*orders::place_order(request, products, environment.ids.generate<OrderId>(),
                                              environment.clock.now()));
    }
    return placed;
}

/// The statements of `POST /orders` and nothing else: no HTTP, no catalogue, nobody who consumes.
void measure_database(const std::string& url, std::size_t count, std::size_t batch, int connections) {
    apps::Environment environment;
    const auto options = db::DatabaseOptions::parse(Secret(url));
    const orders::OrderStore store((db::Dialect(options.engine)));
    const messaging::Outbox outbox((db::Dialect(options.engine)));
    const orders::OrderWriter writer(store, environment.ids, environment.clock);
    {
        db::Session session(options);
        apps::open_database(session, options, db::orders_migrations(), environment.clock);
    }
    std::latch ready(connections + 1);
    std::exception_ptr failure;
    std::mutex failure_mutex;
    std::vector<std::jthread> threads;
    const std::size_t share = count / static_cast<std::size_t>(connections);
    for (int i = 0; i < connections; ++i) {
        threads.emplace_back([&] {
            const auto placed = make_orders(environment, share);
            db::Session session(options);
            // Connected before the clock starts.
            static_cast<void>(session.select<std::int64_t>("SELECT 1"));
            ready.arrive_and_wait();
            try {
                for (std::size_t from = 0; from < placed.size(); from += batch) {
                    const auto part = std::span(placed).subspan(from, std::min(batch, placed.size() - from));
                    std::vector<orders::IdempotencyKey> keys;
                    for (const orders::Transition& one : part) {
                        keys.push_back({one.after.user_id, one.after.id.to_string(), std::string(64, 'f'),
                                        one.after.id.bytes(), one.after.created_at});
                    }
                    const std::vector<std::string> traceparents(part.size());
                    std::vector<messaging::OutboxRow> published;
                    db::Transaction transaction(session);
                    store.keys().insert_new(session, keys);
                    writer.insert(session, part, traceparents, published);
                    static_cast<void>(outbox.insert_for(session, "limits", published));
                    transaction.commit();
                }
            } catch (...) {
                const std::lock_guard lock(failure_mutex);
                failure = std::current_exception();
            }
        });
    }
    ready.arrive_and_wait();
    const auto start = std::chrono::steady_clock::now();
    threads.clear();
    if (failure) std::rethrow_exception(failure);
    print_rate("orders", share * static_cast<std::size_t>(connections),
               std::chrono::steady_clock::now() - start);
}

/// The HTTP server without anything behind it, for the same requests as the real one: the answer to an order
/// is its text, that to a read as much text as an order has.
void serve_echo(std::uint16_t port) {
    apps::TerminationSignals signals(std::chrono::seconds(5));
    apps::Environment environment;
    http::Router router;
    const std::string text = R"({"text":")" + std::string(600, 'x') + R"("})";
    router.add(http::Method::post, "/orders",
               [](http::Request& request) -> boost::asio::awaitable<http::Response> {
                   co_return http::json_response(201, std::move(request.body));
               });
    router.add(http::Method::get, "/orders/{id}",
               [&text](http::Request& /*request*/) -> boost::asio::awaitable<http::Response> {
                   co_return http::json_response(200, text);
               });
    http::ServerOptions options;
    options.port = port;
    http::Server server(options, router, environment.metrics, environment.random);
    server.start();
    static_cast<void>(signals.wait());
    server.stop(std::chrono::seconds(1));
}

/// The embedded bus without databases: published in batches, acknowledged as they come.
void measure_bus(std::size_t count) {
    apps::Environment environment;
    messaging::EmbeddedBusOptions options;
    options.routes = {{"topic", "subscription"}};
    messaging::EmbeddedBus bus(environment.clock, environment.random, options);
    const auto subscription = bus.subscribe("subscription", [](std::vector<messaging::Delivery> deliveries) {
        for (messaging::Delivery& delivery : deliveries)
            std::move(delivery.handle).ack();
    });
    const std::string data(200, 'x');
    std::size_t confirmed = 0;
    const auto start = std::chrono::steady_clock::now();
    while (confirmed < count) {
        std::vector<messaging::Outgoing> messages;
        for (int i = 0; i < 256; ++i) {
            const std::string id = environment.ids.generate<EventId>().to_string();
            messages.push_back({{id, "type", "/source", environment.clock.now(), id, "", data},
                                [&](const messaging::PublishResult& /*confirmed*/) { ++confirmed; }});
        }
        bus.publish("topic", std::move(messages));
        while (bus.step()) {
        }
    }
    print_rate("messages", confirmed, std::chrono::steady_clock::now() - start);
}

}  // namespace

}  // namespace quittance::bench

int main(int argc, char** argv) {
    using namespace quittance;
    CLI::App app("Measures what the parts of Quittance can do alone.", "limits");
    app.require_subcommand(1);
    std::string url;
    std::size_t orders = 100'000;
    std::size_t batch = 256;
    int connections = 2;
    auto* database =
        app.add_subcommand("database", "Order rows a second, with the statements of POST /orders");
    database->add_option("--url", url, "An empty database")->required();
    database->add_option("--orders", orders)->capture_default_str();
    database->add_option("--batch", batch)->capture_default_str();
    database->add_option("--connections", connections)->capture_default_str();
    database->callback([&] { bench::measure_database(url, orders, batch, connections); });
    std::uint16_t port = 0;
    auto* echo = app.add_subcommand(
        "echo", "Serves POST /orders and GET /orders/{id}, without looking at them, until SIGTERM");
    echo->add_option("--port", port)->required();
    echo->callback([&] { bench::serve_echo(port); });
    std::size_t messages = 1'000'000;
    auto* bus = app.add_subcommand("bus", "Messages a second through the embedded bus");
    bus->add_option("--messages", messages)->capture_default_str();
    bus->callback([&] { bench::measure_bus(messages); });
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        std::cerr << "limits: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
