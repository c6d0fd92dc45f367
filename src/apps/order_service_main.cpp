// order-service: users, catalogue and orders as a program of its own; payments are asked for over Pub/Sub.
#include <iostream>

#include <CLI/CLI.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/options.hpp"
#include "apps/serve.hpp"
#include "core/error.hpp"
#include "telemetry/log.hpp"

int main(int argc, char** argv) {
    using namespace quittance;
    umask(077);
    CLI::App app("Quittance's order service");
    app.set_version_flag("--version", "order-service " QUITTANCE_VERSION);
    apps::ServeOptions options;
    options.bus.bus = "pubsub";
    apps::add_order_service_options(app, options);
    try {
        app.parse(argc, argv);
        log::initialize(log::parse_level(options.log_level),
                        isatty(STDERR_FILENO) == 1 ? log::Format::human : log::Format::json);
        if (!options.bus.is_pubsub())
            throw ConfigurationError("nobody would be paid: the order-service alone needs --bus pubsub");
        apps::serve_orders(options);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const ConfigurationError& error) {
        std::cerr << "order-service: " << error.what() << std::endl;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "order-service: failed: " << error.what() << std::endl;
        return 1;
    }
    return 0;
}
