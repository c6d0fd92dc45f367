#include "apps/service_program.hpp"

#include <CLI/CLI.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/setting_checks.hpp"
#include "apps/standard_descriptors.hpp"
#include "core/error.hpp"
#include "telemetry/log.hpp"

namespace quittance::apps {

void start_logging(const std::string& level) {
    log::initialize(log::parse_level(level),
                    isatty(STDERR_FILENO) == 1 ? log::Format::human : log::Format::json,
                    log::Delivery::queued);
}

int refuse_command_line(const CLI::App& app, const std::string& program, const CLI::ParseError& error) {
    const std::string reason = explain(app, error);
    if (reason.empty()) return app.exit(error);
    log::say(program + ": " + reason);
    return 2;
}

int run_service(const ServiceProgram& program, int argc, char** argv) {
    open_standard_descriptors();
    // Databases and keys are nobody else's to read.
    umask(077);
    CLI::App app(program.title);
    app.set_version_flag("--version", program.name + " " QUITTANCE_VERSION);
    ServeOptions options;
    options.bus.bus = "pubsub";
    program.add_options(app, options);
    refuse_stray_white_space(app);
    try {
        app.parse(argc, argv);
        start_logging(options.log_level);
        if (!options.bus.is_pubsub())
            throw ConfigurationError(program.alone + ": " + program.name + " needs --bus pubsub");
        program.serve(options);
    } catch (const CLI::ParseError& error) {
        return refuse_command_line(app, program.name, error);
    } catch (const ConfigurationError& error) {
        log::say(program.name + ": " + error.what());
        return 2;
    } catch (const std::exception& error) {
        log::say(program.name + ": failed: " + error.what());
        return 1;
    }
    return 0;
}

}  // namespace quittance::apps
