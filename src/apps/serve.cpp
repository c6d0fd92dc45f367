#include "apps/serve.hpp"

#include <chrono>
#include <iostream>
#include <thread>

#include "apps/common_routes.hpp"
#include "apps/data_folder.hpp"
#include "apps/order_app.hpp"
#include "apps/payment_app.hpp"
#include "apps/service_bus.hpp"
#include "apps/signals.hpp"
#include "http/server.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

namespace {

/// Cloud Run kills ten seconds after SIGTERM; the rest is for committing what was accepted.
constexpr std::chrono::milliseconds request_grace{7'000};
/// How often relays, sweeps and watches look whether something is due.
constexpr std::chrono::milliseconds tick{50};

std::vector<users::SigningKey> load_signing_keys(const ServeOptions& options, const DataFolder& folder) {
    std::vector<users::SigningKey> keys;
    for (const std::string& file : options.signing_key_files)
        keys.push_back(users::SigningKey::load(file));
    if (keys.empty()) keys.push_back(users::SigningKey::load_or_create(folder.signing_key_file()));
    return keys;
}

}  // namespace

void serve(const ServeOptions& options) {
    const TerminationSignals signals;
    const DataFolder folder(options.databases.data_folder);
    folder.create();
    const DataFolderLock lock(folder);

    Environment environment;
    ServiceBus bus(environment, options.bus);
    PaymentApp payments(environment, db::DatabaseOptions::parse(options.databases.payments_url()), bus.bus());
    OrderApp orders(environment, db::DatabaseOptions::parse(options.databases.orders_url()), bus.bus(),
                    load_signing_keys(options, folder));
    if (options.demo) orders.fill_demo(std::cout);

    http::Router router;
    add_common_routes(router, environment.metrics,
                      {[&] { return orders.problem(); }, [&] { return payments.problem(); }});
    orders.add_routes(router);
    payments.add_routes(router, orders.verifier());
    http::ServerOptions server_options;
    server_options.host = options.listen_host();
    server_options.port = options.port;
    server_options.io_threads = options.io_threads;
    http::Server server(server_options, router, environment.metrics, environment.random);

    payments.start();
    orders.start();
    bus.start();
    std::jthread ticker([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            orders.step();
            payments.step();
            std::this_thread::sleep_for(tick);
        }
    });
    server.start();
    log::info("ready", {{"address", server_options.host},
                        {"port", server.port()},
                        {"data", folder.path().string()},
                        {"bus", options.bus.bus}});

    const int signal = signals.wait();
    log::info("stopping", {{"signal", signal}});
    server.stop(request_grace);
    orders.unsubscribe();
    payments.unsubscribe();
    ticker = {};
    bus.stop();
    orders.stop();
    payments.stop();
    log::info("stopped");
}

}  // namespace quittance::apps
