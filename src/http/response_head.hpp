// The part of an answer in front of its body.
#pragma once

#include <string>
#include <string_view>

#include "http/message.hpp"

namespace quittance::http {

/// What the server knows and the handler does not.
struct ResponseContext {
    std::string_view request_id;
    std::string_view date;        ///< As RFC 9110 section 5.6.7 wants it.
    std::string_view connection;  ///< The value of `Connection`; empty for none.
};

/// Appends status line, header fields and the empty line. Control characters in a value become spaces: no
/// value can begin a field of its own. Pure.
void append_response_head(std::string& out, const Response& response, const ResponseContext& context);

/// The time now as `Date` carries it: "Sun, 22 Nov 2026 20:03:45 GMT".
[[nodiscard]] std::string http_date_now();

}  // namespace quittance::http
