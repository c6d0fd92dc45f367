// Errors as RFC 9457 problem details: the one place where an ErrorCode becomes an HTTP status.
#pragma once

#include <string>

#include "core/error.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// The answer for an expected failure, with `WWW-Authenticate` or `Retry-After` where they belong.
[[nodiscard]] Response problem(const Error& error);

/// For failures that only HTTP knows: 405, 408, 413, 415, 431.
[[nodiscard]] Response problem(int status, std::string detail);

}  // namespace quittance::http
