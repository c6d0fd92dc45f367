#include "apps/service_program.hpp"

#include <iostream>

#include <CLI/CLI.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

void start_logging(const std::string& level) {
    log::initialize(log::parse_level(level),
                    isatty(STDERR_FILENO) == 1 ? log::Format::human : log::Format::json);
}

int run_service(const ServiceProgram& program, int argc, char** argv) {
    // Databases and keys are nobody else's to read.
    umask(077);
    CLI::App app(program.title);
    app.set_version_flag("--version", program.name + " " QUITTANCE_VERSION);
    ServeOptions options;
    options.bus.bus = "pubsub";
    program.add_options(app, options);
    try {
        app.parse(argc, argv);
        start_logging(options.log_level);
        if (!options.bus.is_pubsub())
            throw ConfigurationError(program.alone + ": " + program.name + " needs --bus pubsub");
        program.serve(options);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const ConfigurationError& error) {
        std::cerr << program.name << ": " << error.what() << std::endl;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << program.name << ": failed: " << error.what() << std::endl;
        return 1;
    }
    return 0;
}

}  // namespace quittance::apps
