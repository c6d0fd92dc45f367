#include "apps/options.hpp"

#include <cstdlib>
#include <optional>

#include <CLI/CLI.hpp>

#include "apps/data_folder.hpp"
#include "contracts/events.hpp"

namespace quittance::apps {

db::DatabaseOptions DatabaseChoice::orders() const {
    if (!database_url.empty()) return db::DatabaseOptions::parse(Secret(database_url));
    if (has_parts()) return from_parts(name, "DB_NAME");
    return db::DatabaseOptions::parse(DataFolder(data_folder).orders_database_url());
}

db::DatabaseOptions DatabaseChoice::payments() const {
    const auto of_orders = orders();
    std::optional<db::DatabaseOptions> chosen;
    if (!payments_database_url.empty()) {
        chosen = db::DatabaseOptions::parse(Secret(payments_database_url));
    } else if (has_parts()) {
        chosen = from_parts(payments_name, "PAYMENTS_DB_NAME (or PAYMENTS_DATABASE_URL)");
    } else if (of_orders.engine == db::Engine::sqlite) {
        chosen = db::DatabaseOptions::parse(DataFolder(data_folder).payments_database_url());
    } else {
        throw ConfigurationError(
            "PAYMENTS_DATABASE_URL is missing: the payments need a database of their own "
            "beside the orders', on the same server or another");
    }
    if (chosen->label == of_orders.label) {
        throw ConfigurationError("orders and payments need a database each; both are told to use " +
                                 chosen->label);
    }
    return *chosen;
}

bool DatabaseChoice::has_parts() const {
    return !user.empty() || !name.empty() || !payments_name.empty() || !host.empty() ||
           !instance_connection_name.empty();
}

db::DatabaseOptions DatabaseChoice::from_parts(const std::string& database, std::string_view variable) const {
    static constexpr std::string_view cloud_sql_folder = "/cloudsql/";
    db::ServerAddress address;
    if (engine == "mysql" || engine == "mariadb") {
        address.engine = db::Engine::mysql;
    } else if (engine != "postgresql") {
        throw ConfigurationError("DB_ENGINE must be postgresql or mysql, not " + engine);
    }
    const auto require = [](const std::string& value, std::string_view what) {
        if (value.empty()) throw ConfigurationError(std::string(what) + " is missing");
    };
    require(user, "DB_USER");
    require(database, variable);
    if (host.empty()) require(instance_connection_name, "INSTANCE_CONNECTION_NAME or DB_HOST");
    address.user = user;
    address.database = database;
    if (const char* password = std::getenv("DB_PASSWORD")) address.password = Secret(password);
    if (host.empty()) {
        address.host = std::string(cloud_sql_folder) + instance_connection_name;
    } else {
        db::set_host(address, host);
    }
    return db::DatabaseOptions::server(address);
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
    command.add_option("--payments-db-name", choice.payments_name, "Payments database")
        ->envname("PAYMENTS_DB_NAME");
}

void add_order_database_options(CLI::App& command, DatabaseChoice& choice) {
    command.add_option("--data", choice.data_folder, "Folder of the embedded databases")
        ->capture_default_str();
    command
        .add_option(
            "--database-url", choice.database_url,
            "Orders database: sqlite:PATH, or postgresql:// or mysql:// and USER:PASSWORD@HOST/DATABASE")
        ->envname("DATABASE_URL");
    command.add_option("--db-engine", choice.engine, "Without an address: postgresql or mysql")
        ->envname("DB_ENGINE")
        ->capture_default_str();
    command.add_option("--db-user", choice.user, "User; the password comes from the variable DB_PASSWORD")
        ->envname("DB_USER");
    command.add_option("--db-name", choice.name, "Orders database")->envname("DB_NAME");
    command.add_option("--db-host", choice.host, "Database server, HOST or HOST:PORT")->envname("DB_HOST");
    command
        .add_option("--instance-connection-name", choice.instance_connection_name,
                    "Cloud SQL instance, PROJECT:REGION:INSTANCE, when there is no --db-host")
        ->envname("INSTANCE_CONNECTION_NAME");
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
    add_gateway_options(command, options.gateway);
    add_order_service_options(command, options);
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
    command
        .add_option("--db-pool-size", options.pool.size,
                    "Connections of each service to a database server (SQLite: always two)")
        ->envname("DB_POOL_SIZE")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    command
        .add_option("--instances", options.pool.instances,
                    "How many of this program may run at once; to warn of too few connections")
        ->envname("INSTANCES")
        ->check(CLI::Range(1, 10'000))
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
