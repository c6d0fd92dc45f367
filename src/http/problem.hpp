// Errors as RFC 9457 problem details: the one place where an ErrorCode becomes an HTTP status.
#pragma once

#include <string>
#include <string_view>

#include "core/error.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// The answer for an expected failure, with `WWW-Authenticate` or `Retry-After` where they belong.
[[nodiscard]] Response problem(const Error& error);

/// For failures that only HTTP knows: 405, 408, 413, 414, 415, 431, 501.
[[nodiscard]] Response problem(int status, std::string detail);

/// Takes the error out of a 401's challenge: RFC 6750 section 3.1 wants none where no token was sent, and a
/// log-in has none to be wrong. Leaves every other answer alone. The server calls it for requests without a
/// bearer token.
void leave_out_token_error(Response& response);

/// Writes `requestId` into a problem's body and leaves every other answer alone. The server calls it;
/// `request_id` consists of letters, digits, '.', '_' and '-'.
void add_request_id(Response& response, std::string_view request_id);

}  // namespace quittance::http
