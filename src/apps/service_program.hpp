// The main function of a service that is a program of its own.
#pragma once

#include <string>

#include "apps/options.hpp"

namespace CLI {
class ParseError;
}

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

/// Says what is wrong with the command line, or shows the help that was asked for; returns the exit code.
[[nodiscard]] int refuse_command_line(const CLI::App& app, const std::string& program,
                                      const CLI::ParseError& error);

/// JSON lines for machines, plain words on a terminal; written by a thread, so that no call waits for whoever
/// reads them.
void start_logging(const std::string& level);

}  // namespace quittance::apps
