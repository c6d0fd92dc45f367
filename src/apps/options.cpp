#include "apps/options.hpp"

#include <cstdlib>

#include <CLI/CLI.hpp>

#include "apps/data_folder.hpp"
#include "contracts/events.hpp"

namespace quittance::apps {

Secret DatabaseChoice::orders_url() const {
    return database_url.empty() ? DataFolder(data_folder).orders_database_url() : Secret(database_url);
}

Secret DatabaseChoice::payments_url() const {
    return payments_database_url.empty() ? DataFolder(data_folder).payments_database_url()
                                         : Secret(payments_database_url);
}

messaging::PubsubSettings BusChoice::pubsub_settings() const {
    messaging::PubsubSettings settings;
    settings.project = project;
    if (const char* emulator = std::getenv("PUBSUB_EMULATOR_HOST")) settings.emulator_host = emulator;
    return settings;
}

std::vector<messaging::PubsubRoute> pubsub_routes() {
    return {
        {std::string(contracts::payment_events_topic), std::string(contracts::payment_service_subscription)},
        {std::string(contracts::order_updates_topic), std::string(contracts::order_service_subscription)}};
}

std::string ServeOptions::listen_host() const {
    if (!host.empty()) return host;
    // Cloud Run sets K_SERVICE and sends requests from outside the container.
    return std::getenv("K_SERVICE") != nullptr ? "0.0.0.0" : "127.0.0.1";
}

void add_database_options(CLI::App& command, DatabaseChoice& choice) {
    add_order_database_options(command, choice);
    command.add_option("--payments-database-url", choice.payments_database_url, "Payments database")
        ->envname("PAYMENTS_DATABASE_URL");
}

void add_project_option(CLI::App& command, BusChoice& choice) {
    command.add_option("--project", choice.project, "Google Cloud project of Pub/Sub")
        ->envname("GOOGLE_CLOUD_PROJECT");
}

void add_bus_options(CLI::App& command, BusChoice& choice) {
    command.add_option("--bus", choice.bus, "embedded (in the process) or pubsub (Google Cloud Pub/Sub)")
        ->envname("BUS")
        ->check(CLI::IsMember({"embedded", "pubsub"}))
        ->capture_default_str();
    add_project_option(command, choice);
}

void add_serve_options(CLI::App& command, ServeOptions& options) {
    add_database_options(command, options.databases);
    add_order_service_options(command, options);
}

void add_order_database_options(CLI::App& command, DatabaseChoice& choice) {
    command.add_option("--data", choice.data_folder, "Folder of the embedded databases")
        ->capture_default_str();
    command.add_option("--database-url", choice.database_url, "Orders database, such as sqlite:PATH")
        ->envname("DATABASE_URL");
}

void add_order_service_options(CLI::App& command, ServeOptions& options) {
    add_bus_options(command, options.bus);
    command
        .add_option("--pubsub-streams", options.bus.pull_streams, "Streams that pull from each subscription")
        ->envname("PUBSUB_STREAMS")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command
        .add_option("--host", options.host, "Address to listen on (default 127.0.0.1; on Cloud Run 0.0.0.0)")
        ->envname("LISTEN_HOST");
    command.add_option("--port", options.port, "Port to listen on; 0 takes any free one")
        ->envname("PORT")
        ->capture_default_str();
    command.add_option("--io-threads", options.io_threads, "Threads that serve HTTP")
        ->envname("IO_THREADS")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command
        .add_option("--signing-key-file", options.signing_key_files,
                    "PEM files of the keys of tokens, separated by commas; the first signs")
        ->envname("JWT_SIGNING_KEY_FILE")
        ->delimiter(',');
    command.add_flag("--demo", options.demo, "Fill an empty catalogue and create an admin");
    command.add_option("--log-level", options.log_level, "debug, info, warning or error")
        ->envname("LOG_LEVEL")
        ->capture_default_str();
}

}  // namespace quittance::apps
