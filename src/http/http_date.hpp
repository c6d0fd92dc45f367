// The time as the header Date carries it.
#pragma once

#include <optional>
#include <string_view>

#include "core/clock.hpp"

namespace quittance::http {

/// Reads the preferred form of RFC 9110 section 5.6.7, "Sun, 22 Nov 2026 20:03:45 GMT"; nullopt for anything
/// else, the obsolete forms and impossible dates included. Thread safe.
[[nodiscard]] std::optional<Timestamp> parse_http_date(std::string_view text);

}  // namespace quittance::http
