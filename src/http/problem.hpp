// Errors as RFC 9457 problem details: the one place where an ErrorCode becomes an HTTP status.
#pragma once

#include <string>
#include <string_view>

#include "core/error.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// The answer for an expected failure, with `WWW-Authenticate` or `Retry-After` where they belong.
[[nodiscard]] Response problem(const Error& error);

/// For failures that only HTTP knows: 405, 408, 413, 415, 431.
[[nodiscard]] Response problem(int status, std::string detail);

/// Writes `requestId` into a problem's body and leaves every other answer alone. The server calls it;
/// `request_id` consists of letters, digits, '.', '_' and '-'.
void add_request_id(Response& response, std::string_view request_id);

}  // namespace quittance::http
