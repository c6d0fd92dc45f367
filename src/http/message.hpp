// Requests and answers as handlers see them; no network library in sight.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quittance::http {

/// `other` is a method that no RFC 9110 server has to know: 501. Those that it defines and no path has, such
/// as TRACE, are 405.
enum class Method { get, head, post, put, patch, delete_, options, trace, connect, other };

[[nodiscard]] std::string_view to_string(Method method);

using HeaderField = std::pair<std::string, std::string>;

/// The standard words for a status ("Not Found"); "Unknown" for one that we never answer with.
[[nodiscard]] std::string_view reason_phrase(int status);

/// One request; belongs to the coroutine that answers it. The views that it hands out live as long.
struct Request {
    Method method = Method::get;
    std::string path;                     ///< Percent-decoded, without the query.
    std::vector<HeaderField> query;       ///< Percent-decoded, in order.
    std::vector<HeaderField> headers;     ///< Names in lower case.
    std::vector<HeaderField> parameters;  ///< What the route's `{name}` parts matched.
    std::string body;
    std::string remote_address;  ///< Of the peer, without the port.
    std::string request_id;      ///< Also the answer's X-Request-Id.
    std::string traceparent;     ///< W3C trace context: the caller's, or a new one.

    /// The first value, or an empty text.
    [[nodiscard]] std::string_view header(std::string_view lower_case_name) const;
    [[nodiscard]] bool has_header(std::string_view lower_case_name) const;
    /// All lines with this name as one list, separated by commas (RFC 9110 section 5.3).
    [[nodiscard]] std::string header_list(std::string_view lower_case_name) const;
    [[nodiscard]] std::string_view parameter(std::string_view name) const;
    /// nullptr when absent.
    [[nodiscard]] const std::string* query_value(std::string_view name) const;
};

/// The server adds Content-Length, Date, Connection and X-Request-Id; a handler sets none of these.
struct Response {
    int status = 200;
    std::vector<HeaderField> headers;  ///< Without Content-Type.
    std::string body;
    std::string_view content_type = {};  ///< A literal; empty where there is no body.
};

/// An answer of the type application/json.
[[nodiscard]] Response json_response(int status, std::string body);
[[nodiscard]] Response no_content();

}  // namespace quittance::http
