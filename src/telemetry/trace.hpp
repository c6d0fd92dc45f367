// W3C Trace Context: which trace a request or an event belongs to. See https://www.w3.org/TR/trace-context/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/random.hpp"

namespace quittance::telemetry {

/// Views into the text that was parsed.
struct Traceparent {
    std::string_view trace_id;   ///< 32 lower-case hexadecimal digits, not all zero.
    std::string_view parent_id;  ///< 16 of them, not all zero: the caller's span.
    bool sampled = false;
};

/// Reads a `traceparent` header of any version; nullopt when it is malformed. Pure.
[[nodiscard]] std::optional<Traceparent> parse_traceparent(std::string_view text);

/// A new trace, not sampled: we record no spans ourselves. Thread safe.
[[nodiscard]] std::string new_traceparent(Random& random);

/// The context that a request goes on with: the caller's `traceparent` if it is valid, else the one that
/// Google's front ends put into `X-Cloud-Trace-Context` ("TRACE/SPAN;o=1", the span in decimal), else a new
/// one. Thread safe.
[[nodiscard]] std::string continue_trace(std::string_view traceparent, std::string_view cloud_trace_context,
                                         Random& random);

}  // namespace quittance::telemetry
