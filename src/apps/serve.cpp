#include "apps/serve.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include "apps/common_routes.hpp"
#include "apps/data_folder.hpp"
#include "apps/open_files.hpp"
#include "apps/order_app.hpp"
#include "apps/payment_app.hpp"
#include "apps/service_bus.hpp"
#include "apps/signals.hpp"
#include "apps/token_keys.hpp"
#include "core/thread_name.hpp"
#include "http/server.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

/// Cloud Run, like many others, kills ten seconds after SIGTERM.
constexpr std::chrono::milliseconds time_to_stop{9'500};
/// Of these; the rest is for handing back messages, up to four seconds, and for committing what was accepted.
constexpr std::chrono::milliseconds request_grace{5'000};
static_assert(request_grace + std::chrono::seconds(4) < time_to_stop);
/// How often relays, sweeps and watches look whether something is due.
constexpr std::chrono::milliseconds tick{50};

std::vector<users::SigningKey> load_signing_keys(const ServeOptions& options, const DataFolder& folder) {
    std::vector<users::SigningKey> keys;
    for (const std::string& file : options.signing_key_files)
        keys.push_back(users::SigningKey::load(file));
    if (keys.empty()) keys.push_back(users::SigningKey::load_or_create(folder.signing_key_file()));
    return keys;
}

/// Of the order service alone, which may run several times on one database: each would make a key of its own,
/// and refuse the tokens of the others.
void require_signing_keys(const ServeOptions& options, const db::DatabaseOptions& database) {
    if (!options.signing_key_files.empty() || (!is_on_cloud_run() && database.engine == db::Engine::sqlite))
        return;
    throw ConfigurationError(
        "JWT_SIGNING_KEY_FILE is missing: the file with the key that signs access tokens, the same for every "
        "order-service on this database. To make one:\n"
        "  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing-key.pem");
}

/// For a service alone: makes the data folder when anything of it is kept there, and keeps others off it when
/// that is a database. With a database server, several instances may run side by side.
std::unique_ptr<DataFolderLock> open_folder(const DataFolder& folder, const db::DatabaseOptions& database,
                                            bool keeps_keys) {
    const bool keeps_database = database.engine == db::Engine::sqlite;
    if (keeps_database || keeps_keys) folder.create();
    return keeps_database ? std::make_unique<DataFolderLock>(folder) : nullptr;
}

/// One of the services, or both.
struct Services {
    std::function<void()> start;
    std::function<void()> step;
    std::function<void()> unsubscribe;
    std::function<void()> stop;
    std::function<std::optional<std::string>()> fatal;  ///< Why the program has to end, if it has to.
};

/// Starts all, waits for a signal, and stops all in the order in which nothing that was accepted is dropped.
/// Throws std::runtime_error when the program had to end without a signal from outside.
void run(const ServeOptions& options, TerminationSignals& signals, Environment& environment, ServiceBus& bus,
         const http::Router& router, const Services& services) {
    http::ServerOptions server_options;
    server_options.host = options.listen_host();
    server_options.port = options.port;
    server_options.io_threads = options.io_threads;
    server_options.max_connections =
        std::min(server_options.max_connections, connections_within(raise_open_files_limit()));
    http::Server server(server_options, router, environment.metrics, environment.random);

    // Before anything is taken up: a program that cannot listen does nothing.
    server.listen();
    services.start();
    bus.start();
    auto& dropped_log_lines =
        environment.metrics.counter("log_lines_dropped_total", "Log lines that standard error did not take.");
    std::optional<std::string> failure;  // Of the ticker's thread, until that has ended.
    std::jthread ticker([&](const std::stop_token& stop) {
        name_this_thread("q-ticker");
        std::uint64_t dropped = 0;
        while (!stop.stop_requested()) {
            services.step();
            bus.step();
            const std::uint64_t dropped_now = log::dropped_lines();
            if (dropped_now != dropped) dropped_log_lines.add(static_cast<double>(dropped_now - dropped));
            dropped = dropped_now;
            if (!failure) {
                failure = services.fatal();
                if (failure) ::kill(::getpid(), SIGTERM);
            }
            std::this_thread::sleep_for(tick);
        }
    });
    server.start();
    log::info("ready", {{"address", server_options.host},
                        {"port", server.port()},
                        {"data", options.databases.data_folder},
                        {"bus", options.bus.bus}});

    const int signal = signals.wait();
    log::info("stopping", {{"signal", signal}});
    server.stop(request_grace);
    services.unsubscribe();
    ticker = {};
    bus.stop();
    services.stop();
    log::info("stopped");
    if (failure) throw std::runtime_error(*failure);
}

}  // namespace

void serve(const ServeOptions& options) {
    TerminationSignals signals(time_to_stop);
    const DataFolder folder(options.databases.data_folder);
    folder.create();
    const DataFolderLock lock(folder);

    Environment environment;
    ServiceBus bus(environment, options.bus);
    PaymentApp payments(environment, options.databases.payments(), options.pool, bus.bus(), options.gateway,
                        options.capture_mode());
    OrderApp orders(environment, options.databases.orders(), options.pool, bus.bus(),
                    load_signing_keys(options, folder), options.login_limits());
    if (options.demo) orders.fill_demo(std::cout);

    http::Router router;
    add_common_routes(router, environment.metrics,
                      {[&] { return orders.problem(); }, [&] { return payments.problem(); },
                       [&] { return bus.problem(); }});
    bus.add_routes(router);
    orders.add_routes(router);
    payments.add_routes(router, orders.verifier());
    const auto both = [&](auto each) -> std::function<void()> {
        return [&orders, &payments, each] {
            each(payments);
            each(orders);
        };
    };
    run(options, signals, environment, bus, router,
        {both([](auto& app) { app.start(); }), both([](auto& app) { app.step(); }),
         [&] {
             // Each may wait for Pub/Sub, so both do at once.
             const std::jthread other([&] {
                 name_this_thread("q-unsubscribe");
                 payments.unsubscribe();
             });
             orders.unsubscribe();
         },
         both([](auto& app) { app.stop(); }),
         [&] {
             auto fatal = orders.fatal();
             return fatal ? fatal : payments.fatal();
         }});
}

void serve_orders(const ServeOptions& options) {
    TerminationSignals signals(time_to_stop);
    const DataFolder folder(options.databases.data_folder);
    const auto database = options.databases.orders();
    require_signing_keys(options, database);
    const auto lock = open_folder(folder, database, options.signing_key_files.empty());

    Environment environment;
    ServiceBus bus(environment, options.bus);
    OrderApp orders(environment, database, options.pool, bus.bus(), load_signing_keys(options, folder),
                    options.login_limits());
    if (options.demo) orders.fill_demo(std::cout);

    http::Router router;
    add_common_routes(router, environment.metrics,
                      {[&] { return orders.problem(); }, [&] { return bus.problem(); }});
    bus.add_routes(router);
    orders.add_routes(router);
    run(options, signals, environment, bus, router,
        {[&] { orders.start(); }, [&] { orders.step(); }, [&] { orders.unsubscribe(); },
         [&] { orders.stop(); }, [&] { return orders.fatal(); }});
}

void serve_payments(const ServeOptions& options) {
    TerminationSignals signals(time_to_stop);
    const auto database = options.databases.payments_alone();
    const auto lock = open_folder(DataFolder(options.databases.data_folder), database, false);

    Environment environment;
    TokenKeys keys(options.jwks_url, environment);
    ServiceBus bus(environment, options.bus);
    PaymentApp payments(environment, database, options.pool, bus.bus(), options.gateway,
                        options.capture_mode());

    http::Router router;
    add_common_routes(
        router, environment.metrics,
        {[&] { return payments.problem(); }, [&] { return keys.problem(); }, [&] { return bus.problem(); }});
    bus.add_routes(router);
    payments.add_routes(router, keys.verifier());
    const auto step = [&] {
        payments.step();
        keys.step();
    };
    run(options, signals, environment, bus, router,
        {[&] { payments.start(); }, step, [&] { payments.unsubscribe(); }, [&] { payments.stop(); },
         [&] { return payments.fatal(); }});
}

}  // namespace quittance::apps
