// What is said of a setting that cannot be used: its name, its value, what is wanted, and an example.
#pragma once

#include <string>
#include <string_view>

#include "core/error.hpp"

namespace quittance {

/// In quotation marks, with control characters, quotation marks and backslashes escaped; cut after 100 bytes.
[[nodiscard]] std::string quoted_value(std::string_view text);

/// `PORT is "abc"; it must be a number from 0 to 65535, such as PORT=8080`. The value must be no secret.
[[nodiscard]] ConfigurationError wrong_setting(std::string_view name, std::string_view value,
                                               std::string_view must_be, std::string_view example);

}  // namespace quittance
