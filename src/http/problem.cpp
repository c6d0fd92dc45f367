#include "http/problem.hpp"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace quittance::http {

namespace {

namespace json = boost::json;

constexpr std::string_view problem_type = "application/problem+json";
constexpr std::string_view challenge = R"(Bearer realm="quittance")";
constexpr std::string_view challenge_of_bad_token = R"(Bearer realm="quittance", error="invalid_token")";

int status_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::malformed: return 400;
        case ErrorCode::invalid: return 422;
        case ErrorCode::unauthenticated: return 401;
        case ErrorCode::forbidden: return 403;
        case ErrorCode::not_found: return 404;
        case ErrorCode::conflict: return 409;
        case ErrorCode::precondition_failed: return 412;
        case ErrorCode::rate_limited: return 429;
        case ErrorCode::overloaded: return 503;
        case ErrorCode::unavailable: return 503;
        case ErrorCode::internal:
        case ErrorCode::given_up: return 500;
    }
    return 500;
}

Response problem_response(int status, const std::string& detail, const std::vector<Fault>& faults) {
    // "about:blank" says that the status tells the kind of problem (RFC 9457 section 4.2.1).
    json::object body{{"type", "about:blank"}, {"title", reason_phrase(status)}, {"status", status}};
    if (!detail.empty()) body["detail"] = detail;
    if (!faults.empty()) {
        json::array errors;
        for (const Fault& fault : faults) {
            errors.push_back(json::object{{"pointer", fault.pointer}, {"detail", fault.detail}});
        }
        body["errors"] = std::move(errors);
    }
    return {.status = status, .headers = {}, .body = json::serialize(body), .content_type = problem_type};
}

}  // namespace

Response problem(const Error& error) {
    Response response = problem_response(status_of(error.code), error.detail, error.faults);
    if (response.status == 401) {
        response.headers.emplace_back("WWW-Authenticate", challenge_of_bad_token);
    }
    if (response.status == 429 || response.status == 503) {
        response.headers.emplace_back("Retry-After", std::to_string(std::max(1, error.retry_after_s)));
    }
    return response;
}

Response problem(int status, std::string detail) {
    return problem_response(status, detail, {});
}

void leave_out_token_error(Response& response) {
    if (response.status != 401) return;
    for (auto& [name, value] : response.headers) {
        if (value == challenge_of_bad_token) value = challenge;
    }
}

void add_request_id(Response& response, std::string_view request_id) {
    if (response.content_type != problem_type || !response.body.ends_with('}')) return;
    response.body.pop_back();
    response.body.append(R"(,"requestId":")").append(request_id).append(R"("})");
}

}  // namespace quittance::http
