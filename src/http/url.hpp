// Reading request targets (RFC 9112 section 3.2, RFC 3986).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.hpp"

namespace quittance::http {

/// A request target in its two parts, still percent-encoded; views into the text it was read from.
struct Target {
    std::string_view path;  ///< Begins with a slash, or is "*".
    std::string_view query;
};

/// Reads "/path?query" and "http://host/path?query" (which servers must accept too); nullopt for anything
/// else. A fragment, which no client should send, is part of neither. Pure.
[[nodiscard]] std::optional<Target> split_target(std::string_view target);

/// Undoes %XX. Nullopt for a bad escape, and for what is no UTF-8 or holds a NUL afterwards: no database
/// could store it. Pure.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

/// Reads "name=value&…", in order; a plus sign is a space here. Nullopt as for `percent_decode`. Pure.
[[nodiscard]] std::optional<std::vector<HeaderField>> parse_query(std::string_view query);

}  // namespace quittance::http
