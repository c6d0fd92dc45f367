// payment-service: payments as a program of its own; what is to be paid comes over Pub/Sub.
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
    CLI::App app("Quittance's payment service");
    app.set_version_flag("--version", "payment-service " QUITTANCE_VERSION);
    apps::ServeOptions options;
    options.bus.bus = "pubsub";
    apps::add_payment_service_options(app, options);
    try {
        app.parse(argc, argv);
        log::initialize(log::parse_level(options.log_level),
                        isatty(STDERR_FILENO) == 1 ? log::Format::human : log::Format::json);
        if (!options.bus.is_pubsub())
            throw ConfigurationError("nobody would ask for payments: the payment-service alone needs --bus pubsub");
        apps::serve_payments(options);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const ConfigurationError& error) {
        std::cerr << "payment-service: " << error.what() << std::endl;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "payment-service: failed: " << error.what() << std::endl;
        return 1;
    }
    return 0;
}
