#include "apps/options.hpp"

#include <cstdlib>
#include <optional>

#include <CLI/CLI.hpp>

#include "apps/data_folder.hpp"
#include "apps/secrets.hpp"
#include "contracts/events.hpp"
#include "core/setting_error.hpp"

namespace quittance::apps {

bool is_on_cloud_run() {
    return std::getenv("K_SERVICE") != nullptr;
}

namespace {

constexpr std::string_view orders_url_setting = "DATABASE_URL (--database-url)";
constexpr std::string_view payments_url_setting = "PAYMENTS_DATABASE_URL (--payments-database-url)";

/// What is wrong with a setting comes with its name.
template <class Parse>
auto named(const std::string& setting, Parse parse) {
    try {
        return parse();
    } catch (const ConfigurationError& error) {
        throw ConfigurationError(setting + ": " + error.what());
    }
}

db::DatabaseOptions parse_url(std::string_view setting, const std::string& url) {
    const Secret clean = clean_secret(setting, url);
    return named(std::string(setting), [&] { return db::DatabaseOptions::parse(clean); });
}

}  // namespace

db::DatabaseOptions DatabaseChoice::orders() const {
    if (!database_url.empty()) return parse_url(orders_url_setting, database_url);
    if (has_parts()) return from_parts(name, "DB_NAME");
    return db::DatabaseOptions::parse(DataFolder(data_folder).orders_database_url());
}

db::DatabaseOptions DatabaseChoice::payments() const {
    const auto of_orders = orders();
    std::optional<db::DatabaseOptions> chosen;
    if (!payments_database_url.empty()) {
        chosen = parse_url(payments_url_setting, payments_database_url);
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

db::DatabaseOptions DatabaseChoice::payments_alone() const {
    if (!payments_database_url.empty()) return parse_url(orders_url_setting, payments_database_url);
    if (has_parts()) return from_parts(payments_name, "DB_NAME");
    return db::DatabaseOptions::parse(DataFolder(data_folder).payments_database_url());
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
        throw wrong_setting("DB_ENGINE (--db-engine)", engine, "postgresql or mysql", "DB_ENGINE=postgresql");
    }
    const auto require = [](const std::string& value, std::string_view what) {
        if (value.empty()) throw ConfigurationError(std::string(what) + " is missing");
    };
    require(user, "DB_USER");
    require(database, variable);
    if (host.empty()) require(instance_connection_name, "INSTANCE_CONNECTION_NAME or DB_HOST");
    if (!tls_mode.empty() && address.engine == db::Engine::mysql)
        throw ConfigurationError("DB_SSLMODE is PostgreSQL's; for MySQL, DB_SSLROOTCERT alone asks for TLS");
    address.user = user;
    address.database = database;
    address.tls_mode = tls_mode;
    address.certificates_of = certificates_of;
    auto password = secret_from_environment("DB_PASSWORD");
    if (!password) {
        throw ConfigurationError(
            "DB_PASSWORD is missing; where the server asks for no password, set it to an empty text");
    }
    address.password = *std::move(password);
    if (host.empty()) {
        address.host = std::string(cloud_sql_folder) + instance_connection_name;
    } else {
        named("DB_HOST (--db-host) is " + quoted_value(host), [&] { db::set_host(address, host); });
    }
    return named("DB_USER, DB_HOST and their relatives",
                 [&] { return db::DatabaseOptions::server(address); });
}

messaging::PubsubSettings BusChoice::pubsub_settings() const {
    messaging::PubsubSettings settings;
    settings.project = project;
    if (const char* emulator = std::getenv("PUBSUB_EMULATOR_HOST")) settings.emulator_host = emulator;
    return settings;
}

void BusChoice::check_push() const {
    if (!is_push()) return;
    if (push_auth.empty()) {
        throw ConfigurationError(
            "PUBSUB_PUSH_AUTH is missing: with PUBSUB_DELIVERY=push say who checks that a message comes from "
            "Pub/Sub. oidc: this program does, by the token that comes with it (set PUBSUB_PUSH_AUDIENCE and "
            "PUBSUB_PUSH_SERVICE_ACCOUNT, too). iam: Cloud Run does, for a service that lets nobody in but "
            "the service account of the push; on a service that is open to all, anybody could then post "
            "messages");
    }
    if (push_auth != "oidc") return;
    const auto require = [](const std::string& value, const std::string& what) {
        if (value.empty()) throw ConfigurationError(what + " is missing: PUBSUB_PUSH_AUTH=oidc needs it");
    };
    require(push_audience, "PUBSUB_PUSH_AUDIENCE");
    require(push_service_account, "PUBSUB_PUSH_SERVICE_ACCOUNT");
}

std::vector<messaging::PubsubRoute> pubsub_routes() {
    return {
        {std::string(contracts::payment_events_topic), std::string(contracts::payment_service_subscription)},
        {std::string(contracts::order_updates_topic), std::string(contracts::order_service_subscription)}};
}

payments::CaptureMode ServeOptions::capture_mode() const {
    return payment_capture == "manual" ? payments::CaptureMode::manual : payments::CaptureMode::automatic;
}

std::string ServeOptions::listen_host() const {
    if (!host.empty()) return host;
    return is_on_cloud_run() ? "0.0.0.0" : "127.0.0.1";
}

http::AddressLimiterOptions ServeOptions::login_limits() const {
    constexpr int cloud_run_hops = 1;
    return {.per_second = login_rate,
            .trusted_hops = trusted_proxy_hops.value_or(is_on_cloud_run() ? cloud_run_hops : 0)};
}

namespace {

void add_data_folder_option(CLI::App& command, DatabaseChoice& choice) {
    command.add_option("--data", choice.data_folder, "Folder of the embedded databases")
        ->capture_default_str();
}

/// Where the server is, and as whom to speak to it.
void add_server_options(CLI::App& command, DatabaseChoice& choice) {
    command.add_option("--db-engine", choice.engine, "Without an address: postgresql or mysql")
        ->envname("DB_ENGINE")
        ->capture_default_str();
    command.add_option("--db-user", choice.user, "User; the password comes from the variable DB_PASSWORD")
        ->envname("DB_USER");
    command.add_option("--db-host", choice.host, "Database server, HOST or HOST:PORT, IPv6 as [IPv6]:PORT")
        ->envname("DB_HOST");
    command
        .add_option("--instance-connection-name", choice.instance_connection_name,
                    "Cloud SQL instance, PROJECT:REGION:INSTANCE, when there is no --db-host")
        ->envname("INSTANCE_CONNECTION_NAME");
    command.add_option("--db-sslmode", choice.tls_mode, "TLS over TCP, as PostgreSQL's sslmode")
        ->envname("DB_SSLMODE");
    command
        .add_option("--db-sslrootcert", choice.certificates_of,
                    "File of the certificate authorities that the database server is checked against")
        ->envname("DB_SSLROOTCERT");
}

/// The one database of a service: its address, or its name on the server.
void add_service_database_options(CLI::App& command, std::string& url, std::string& name,
                                  const std::string& what) {
    command
        .add_option("--database-url", url,
                    what + ": sqlite:PATH, or postgresql:// or mysql:// and USER:PASSWORD@HOST/DATABASE")
        ->envname("DATABASE_URL");
    command.add_option("--db-name", name, what)->envname("DB_NAME");
}

/// What every program that serves can be told.
void add_service_options(CLI::App& command, ServeOptions& options) {
    add_bus_options(command, options.bus);
    command
        .add_option("--pubsub-streams", options.bus.pull_streams, "Streams that pull from each subscription")
        ->envname("PUBSUB_STREAMS")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    add_push_options(command, options.bus);
    command
        .add_option("--pubsub-push-auth", options.bus.push_auth,
                    "For push: who checks the sender, oidc (this program) or iam (Cloud Run before it)")
        ->envname("PUBSUB_PUSH_AUTH")
        ->check(CLI::IsMember({"oidc", "iam"}));
    command.add_option("--pubsub-certs-url", options.bus.certs_url, "Google's public keys, for oidc")
        ->envname("PUBSUB_CERTS_URL")
        ->capture_default_str();
    command
        .add_option("--host", options.host, "Address to listen on (default 127.0.0.1; on Cloud Run 0.0.0.0)")
        ->envname("LISTEN_HOST");
    command.add_option("--port", options.port, "Port to listen on; 0 takes any free one")
        ->envname("PORT")
        ->check(CLI::Range(0, 65'535))
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
    command.add_option("--log-level", options.log_level, "debug, info, warning or error")
        ->envname("LOG_LEVEL")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
        ->capture_default_str();
}

void add_payment_options(CLI::App& command, ServeOptions& options) {
    command
        .add_option("--payment-capture", options.payment_capture,
                    "automatic (money is taken at once) or manual (an ADMIN takes it, or lets it go)")
        ->envname("PAYMENT_CAPTURE")
        ->check(CLI::IsMember({"automatic", "manual"}))
        ->capture_default_str();
}

/// Who may get tokens, and what they are signed with.
void add_user_options(CLI::App& command, ServeOptions& options) {
    command
        .add_option("--jwt-signing-key-file", options.signing_key_files,
                    "PEM files of the keys of tokens, separated by commas; the first signs")
        ->envname("JWT_SIGNING_KEY_FILE")
        ->delimiter(',');
    command
        .add_option("--login-rate", options.login_rate,
                    "Log-ins and sign-ups a second from one address; 0: no limit")
        ->envname("LOGIN_RATE")
        ->check(CLI::Range(0, 1'000))
        ->capture_default_str();
    command
        .add_option(
            "--trusted-proxy-hops", options.trusted_proxy_hops,
            "Proxies of yours before the program, by whose X-Forwarded-For an address is known (default "
            "0; on Cloud Run 1)")
        ->envname("TRUSTED_PROXY_HOPS")
        ->check(CLI::Range(0, 16));
    command.add_flag("--demo", options.demo, "Fill an empty catalogue and create an admin");
}

}  // namespace

void add_database_options(CLI::App& command, DatabaseChoice& choice) {
    add_order_database_options(command, choice);
    command.add_option("--payments-database-url", choice.payments_database_url, "Payments database")
        ->envname("PAYMENTS_DATABASE_URL");
    command.add_option("--payments-db-name", choice.payments_name, "Payments database")
        ->envname("PAYMENTS_DB_NAME");
}

void add_order_database_options(CLI::App& command, DatabaseChoice& choice) {
    add_data_folder_option(command, choice);
    add_service_database_options(command, choice.database_url, choice.name, "Orders database");
    add_server_options(command, choice);
}

void add_project_option(CLI::App& command, BusChoice& choice) {
    command.add_option("--google-cloud-project", choice.project, "Google Cloud project of Pub/Sub")
        ->envname("GOOGLE_CLOUD_PROJECT");
}

void add_bus_options(CLI::App& command, BusChoice& choice) {
    command.add_option("--bus", choice.bus, "embedded (in the process) or pubsub (Google Cloud Pub/Sub)")
        ->envname("BUS")
        ->check(CLI::IsMember({"embedded", "pubsub"}))
        ->capture_default_str();
    add_project_option(command, choice);
}

void add_push_options(CLI::App& command, BusChoice& choice) {
    command
        .add_option("--pubsub-delivery", choice.delivery,
                    "pull (we fetch messages) or push (Pub/Sub posts them to /pubsub/push)")
        ->envname("PUBSUB_DELIVERY")
        ->check(CLI::IsMember({"pull", "push"}))
        ->capture_default_str();
    add_push_identity_options(command, choice);
}

void add_push_identity_options(CLI::App& command, BusChoice& choice) {
    command
        .add_option("--pubsub-push-audience", choice.push_audience,
                    "For push: the audience of the tokens that Pub/Sub brings")
        ->envname("PUBSUB_PUSH_AUDIENCE");
    command
        .add_option("--pubsub-push-service-account", choice.push_service_account,
                    "For push: e-mail address of the service account that Pub/Sub posts as")
        ->envname("PUBSUB_PUSH_SERVICE_ACCOUNT");
}

void add_serve_options(CLI::App& command, ServeOptions& options) {
    add_database_options(command, options.databases);
    add_gateway_options(command, options.gateway);
    add_service_options(command, options);
    add_payment_options(command, options);
    add_user_options(command, options);
}

void add_order_service_options(CLI::App& command, ServeOptions& options) {
    add_order_database_options(command, options.databases);
    add_service_options(command, options);
    add_user_options(command, options);
}

void add_payment_service_options(CLI::App& command, ServeOptions& options) {
    add_data_folder_option(command, options.databases);
    add_service_database_options(command, options.databases.payments_database_url,
                                 options.databases.payments_name, "Payments database");
    add_server_options(command, options.databases);
    add_gateway_options(command, options.gateway);
    add_service_options(command, options);
    add_payment_options(command, options);
    command
        .add_option("--jwks-url,--jwks-file", options.jwks_url,
                    "The order service's public keys: its /.well-known/jwks.json, or a file")
        ->envname("JWKS_URL");
}

}  // namespace quittance::apps
