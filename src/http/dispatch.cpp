#include "http/dispatch.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "http/problem.hpp"
#include "http/url.hpp"
#include "telemetry/trace.hpp"

namespace quittance::http {

namespace {

constexpr std::size_t max_request_id_bytes = 128;
/// 128 random bits, as many as a UUID holds.
constexpr std::size_t request_id_random_bytes = 16;

bool is_request_id(std::string_view text) {
    return !text.empty() && text.size() <= max_request_id_bytes && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
               c == '_' || c == '-';
    });
}

bool equals_lower_case(std::string_view text, std::string_view lower_case) {
    return std::ranges::equal(text, lower_case,
                              [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

bool is_json(std::string_view content_type) {
    std::string_view media_type = content_type.substr(0, content_type.find(';'));
    while (media_type.ends_with(' ') || media_type.ends_with('\t'))
        media_type.remove_suffix(1);
    return equals_lower_case(media_type, "application/json");
}

bool is_encoded(const Request& request) {
    return std::ranges::any_of(request.headers, [](const HeaderField& field) {
        return field.first == "content-encoding" && !equals_lower_case(field.second, "identity");
    });
}

bool takes_body(Method method) {
    return method == Method::post || method == Method::put || method == Method::patch;
}

Response no_content_allowing(std::string_view methods) {
    Response response = no_content();
    response.headers.emplace_back("Allow", methods);
    return response;
}

Response only_identity() {
    Response response = problem(415, "the body must not be compressed: send it without Content-Encoding");
    response.headers.emplace_back("Accept-Encoding", "identity");  // RFC 9110 section 12.5.3.
    return response;
}

/// The refusal of a body that the route does not take; nullopt for one that it does.
std::optional<Response> refuse_body(const Request& request, Router::BodyKind kind) {
    if (request.body.empty()) return std::nullopt;
    if (!takes_body(request.method)) return problem(400, "this method takes no body");
    if (kind == Router::BodyKind::none) return problem(400, "this call takes no body");
    if (is_encoded(request)) return only_identity();
    if (kind == Router::BodyKind::json && !is_json(request.header("content-type"))) {
        return problem(415, "the body must be JSON, sent with Content-Type: application/json");
    }
    return std::nullopt;
}

Response not_allowed(std::string_view methods) {
    Response response = problem(405, "this path takes " + std::string(methods));
    response.headers.emplace_back("Allow", methods);
    return response;
}

}  // namespace

Dispatch dispatch(const Router& router, std::string_view target, Request& request) {
    if (request.method == Method::other) return {.response = problem(501, "this method is not known here")};
    const auto parts = split_target(target);
    if (!parts) return {.response = problem(400, "the request target is not a path")};
    if (parts->path == "*" && request.method == Method::options) {
        return {.response = no_content_allowing("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")};
    }
    auto path = percent_decode(parts->path);
    auto query = parse_query(parts->query);
    if (!path) return {.response = problem(400, "the path is not percent-encoded UTF-8 text")};
    if (!query) return {.response = problem(400, "the query is not percent-encoded UTF-8 text")};
    request.path = *std::move(path);
    request.query = *std::move(query);

    Router::Match match = router.match(request.method, parts->path);
    Dispatch result{.route = match.route};
    if (match.route == Router::no_route) {
        result.response = problem(404, "there is nothing at this path");
    } else if (match.handler == nullptr && request.method == Method::options) {
        result.response = no_content_allowing(match.allowed);
    } else if (match.handler == nullptr) {
        result.response = not_allowed(match.allowed);
    } else if (auto refusal = refuse_body(request, match.options.body)) {
        result.response = *std::move(refusal);
    } else {
        request.parameters = std::move(match.parameters);
        result.handler = match.handler;
        result.answer_within = match.options.answer_within;
    }
    return result;
}

void identify(Request& request, Random& random) {
    const std::string_view given = request.header("x-request-id");
    request.request_id = is_request_id(given) ? std::string(given) : random.token(request_id_random_bytes);
    request.traceparent = telemetry::continue_trace(request.header("traceparent"),
                                                    request.header("x-cloud-trace-context"), random);
}

}  // namespace quittance::http
