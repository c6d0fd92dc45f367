// Secrets as the environment and files bring them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/secret.hpp"

namespace quittance::apps {

/// One rule for every secret: a single line break at its end is cut, for `echo` and many editors add one.
/// Other white space at its ends, and control characters anywhere, throw ConfigurationError with `name` and
/// what to do, never with the value.
[[nodiscard]] Secret clean_secret(std::string_view name, std::string value);

/// The variable's value by the same rule; none where it is not set.
[[nodiscard]] std::optional<Secret> secret_from_environment(const char* variable);

}  // namespace quittance::apps
