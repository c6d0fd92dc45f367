// What a program can be told: by flags, or by environment variables of the same meaning. Flags win.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/secret.hpp"
#include "messaging/pubsub_settings.hpp"

namespace CLI {
class App;
}

namespace quittance::apps {

/// Which databases to work on: the data folder's, or others.
struct DatabaseChoice {
    std::string data_folder = "data";
    std::string database_url;           ///< DATABASE_URL; empty: orders.db in the data folder.
    std::string payments_database_url;  ///< PAYMENTS_DATABASE_URL; empty: payments.db in the data folder.

    [[nodiscard]] Secret orders_url() const;
    [[nodiscard]] Secret payments_url() const;
};

/// How the services reach each other.
struct BusChoice {
    std::string bus = "embedded";  ///< BUS: embedded or pubsub.
    std::string project;           ///< GOOGLE_CLOUD_PROJECT
    int pull_streams = 4;          ///< PUBSUB_STREAMS, for each subscription.

    [[nodiscard]] bool is_pubsub() const { return bus == "pubsub"; }
    /// With PUBSUB_EMULATOR_HOST from the environment.
    [[nodiscard]] messaging::PubsubSettings pubsub_settings() const;
};

/// The topics of the two services with the subscriptions that read them.
[[nodiscard]] std::vector<messaging::PubsubRoute> pubsub_routes();

struct ServeOptions {
    DatabaseChoice databases;
    BusChoice bus;
    std::string host;  ///< Empty: loopback, or on Cloud Run all interfaces.
    std::uint16_t port = 8080;
    int io_threads = 1;
    /// JWT_SIGNING_KEY_FILE; the first signs, all are published. Empty: the data folder's own key.
    std::vector<std::string> signing_key_files;
    bool demo = false;
    std::string log_level = "info";

    [[nodiscard]] std::string listen_host() const;
};

void add_order_database_options(CLI::App& command, DatabaseChoice& choice);
void add_database_options(CLI::App& command, DatabaseChoice& choice);
/// --bus and --project; the latter alone for commands that always mean Pub/Sub.
void add_bus_options(CLI::App& command, BusChoice& choice);
void add_project_option(CLI::App& command, BusChoice& choice);
/// All but the databases.
void add_order_service_options(CLI::App& command, ServeOptions& options);
void add_serve_options(CLI::App& command, ServeOptions& options);

}  // namespace quittance::apps
