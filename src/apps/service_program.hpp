// The main function of a service that is a program of its own.
#pragma once

#include <string>

#include "apps/options.hpp"

namespace quittance::apps {

struct ServiceProgram {
    std::string name;   ///< As it is called on the command line.
    std::string title;  ///< For --help.
    std::string alone;  ///< What would be wrong with it on a bus that nobody else is on.
    void (*add_options)(CLI::App&, ServeOptions&);
    void (*serve)(const ServeOptions&);
};

/// Reads the options, serves, and returns the exit code: 2 when it is set up wrongly.
[[nodiscard]] int run_service(const ServiceProgram& program, int argc, char** argv);

/// JSON lines for machines, plain words on a terminal.
void start_logging(const std::string& level);

}  // namespace quittance::apps
