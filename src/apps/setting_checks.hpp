// What a program says of a setting that it cannot use.
#pragma once

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace quittance::apps {

/// Refuses white space at the ends and control characters in every setting that has a variable, but for the
/// addresses of databases, which are secrets. Call it when all options are added. What it throws while the
/// command line is parsed is a ConfigurationError.
void refuse_stray_white_space(CLI::App& app);

/// The variable and the option, the value, what is wanted and an example, where `error` is about a value;
/// otherwise empty.
[[nodiscard]] std::string explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace quittance::apps
