// What a program can be told: by flags, or by environment variables of the same meaning. Flags win.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/gateway_choice.hpp"
#include "apps/service_database.hpp"
#include "db/database.hpp"
#include "http/address_limiter.hpp"
#include "messaging/pubsub_settings.hpp"
#include "payments/payment.hpp"

namespace CLI {
class App;
}

namespace quittance::apps {

/// Cloud Run sets K_SERVICE, sends requests from outside the container, and may run it several times.
[[nodiscard]] bool is_on_cloud_run();

/// Which databases to work on: the data folder's, or others, told by an address or by its parts.
struct DatabaseChoice {
    std::string data_folder = "data";
    std::string database_url;           ///< DATABASE_URL
    std::string payments_database_url;  ///< PAYMENTS_DATABASE_URL

    // Used where there is no address. The password comes from the environment only, DB_PASSWORD: the options
    // of a program can be seen by others.
    std::string engine = "postgresql";     ///< DB_ENGINE
    std::string user;                      ///< DB_USER
    std::string name;                      ///< DB_NAME: the orders' database.
    std::string payments_name;             ///< PAYMENTS_DB_NAME
    std::string host;                      ///< DB_HOST, with or without a port.
    std::string instance_connection_name;  ///< INSTANCE_CONNECTION_NAME: Cloud SQL's socket.
    std::string tls_mode;                  ///< DB_SSLMODE, of PostgreSQL.
    std::string certificates_of;           ///< DB_SSLROOTCERT: file of certificate authorities.

    /// Both throw ConfigurationError with what is missing.
    [[nodiscard]] db::DatabaseOptions orders() const;
    [[nodiscard]] db::DatabaseOptions payments() const;
    /// For the payment service alone, whose database is simply "the" database: DATABASE_URL, DB_NAME.
    [[nodiscard]] db::DatabaseOptions payments_alone() const;

private:
    [[nodiscard]] bool has_parts() const;
    [[nodiscard]] db::DatabaseOptions from_parts(const std::string& database,
                                                 std::string_view variable) const;
};

/// How the services reach each other.
struct BusChoice {
    std::string bus = "embedded";   ///< BUS: embedded or pubsub.
    std::string project;            ///< GOOGLE_CLOUD_PROJECT
    int pull_streams = 4;           ///< PUBSUB_STREAMS, for each subscription.
    std::string delivery = "pull";  ///< PUBSUB_DELIVERY: pull or push.

    // For push: who checks that a post comes from Pub/Sub. There is no default, because the wrong one lets
    // anybody pay an order.
    std::string push_auth;             ///< PUBSUB_PUSH_AUTH: oidc (we) or iam (Cloud Run before us).
    std::string push_audience;         ///< PUBSUB_PUSH_AUDIENCE
    std::string push_service_account;  ///< PUBSUB_PUSH_SERVICE_ACCOUNT
    std::string certs_url = "https://www.googleapis.com/oauth2/v3/certs";  ///< PUBSUB_CERTS_URL

    [[nodiscard]] bool is_pubsub() const { return bus == "pubsub"; }
    [[nodiscard]] bool is_push() const { return is_pubsub() && delivery == "push"; }
    /// Throws ConfigurationError when push is asked for and it is not said who checks the sender, and how.
    void check_push() const;
    /// With PUBSUB_EMULATOR_HOST from the environment.
    [[nodiscard]] messaging::PubsubSettings pubsub_settings() const;
};

/// The topics of the two services with the subscriptions that read them.
[[nodiscard]] std::vector<messaging::PubsubRoute> pubsub_routes();

struct ServeOptions {
    DatabaseChoice databases;
    DatabasePool pool;
    BusChoice bus;
    GatewayChoice gateway;
    std::string host;  ///< Empty: loopback, or on Cloud Run all interfaces.
    std::uint16_t port = 8080;
    int io_threads = 1;
    /// JWT_SIGNING_KEY_FILE; the first signs, all are published. Empty: the data folder's own key.
    std::vector<std::string> signing_key_files;
    /// JWKS_URL: where the payment service alone finds the public keys of tokens; http, https, or a file.
    std::string jwks_url;
    bool demo = false;
    int login_rate = 5;  ///< LOGIN_RATE: log-ins and sign-ups a second from one address; 0: no limit.
    /// TRUSTED_PROXY_HOPS: proxies of ours before the program. None said: 0, or on Cloud Run its own.
    std::optional<int> trusted_proxy_hops;
    std::string payment_capture = "automatic";  ///< PAYMENT_CAPTURE: automatic or manual.
    std::string log_level = "info";

    [[nodiscard]] std::string listen_host() const;
    [[nodiscard]] payments::CaptureMode capture_mode() const;
    [[nodiscard]] http::AddressLimiterOptions login_limits() const;
};

void add_order_database_options(CLI::App& command, DatabaseChoice& choice);
void add_database_options(CLI::App& command, DatabaseChoice& choice);
/// --bus and --project; the latter alone for commands that always mean Pub/Sub.
void add_bus_options(CLI::App& command, BusChoice& choice);
void add_project_option(CLI::App& command, BusChoice& choice);
/// --pubsub-delivery, and who sends and signs what is pushed.
void add_push_options(CLI::App& command, BusChoice& choice);
/// The latter two alone.
void add_push_identity_options(CLI::App& command, BusChoice& choice);
/// All options of a program.
void add_order_service_options(CLI::App& command, ServeOptions& options);
void add_payment_service_options(CLI::App& command, ServeOptions& options);
void add_serve_options(CLI::App& command, ServeOptions& options);

}  // namespace quittance::apps
