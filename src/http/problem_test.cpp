#include "http/problem.hpp"

#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace quittance::http {
namespace {

namespace json = boost::json;

std::string header(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
        if (key == name) return value;
    }
    return {};
}

TEST(Problem, EveryErrorCodeHasItsStatus) {
    const std::vector<std::pair<ErrorCode, int>> expected{{ErrorCode::malformed, 400},
                                                          {ErrorCode::invalid, 422},
                                                          {ErrorCode::unauthenticated, 401},
                                                          {ErrorCode::forbidden, 403},
                                                          {ErrorCode::not_found, 404},
                                                          {ErrorCode::conflict, 409},
                                                          {ErrorCode::precondition_failed, 412},
                                                          {ErrorCode::rate_limited, 429},
                                                          {ErrorCode::overloaded, 503},
                                                          {ErrorCode::unavailable, 503},
                                                          {ErrorCode::internal, 500}};
    for (const auto& [code, status] : expected) {
        const Response response = problem({.code = code, .detail = "why"});
        EXPECT_EQ(response.status, status);
        EXPECT_EQ(response.content_type, "application/problem+json");
        const auto body = json::parse(response.body).as_object();
        EXPECT_EQ(body.at("status").as_int64(), status);
        EXPECT_EQ(body.at("type").as_string(), "about:blank");
        EXPECT_EQ(body.at("title").as_string(), json::string_view(reason_phrase(status)));
        EXPECT_EQ(body.at("detail").as_string(), "why");
        EXPECT_FALSE(body.contains("errors"));
    }
}

TEST(Problem, NamesEveryFault) {
    const Response response =
        problem({.code = ErrorCode::invalid,
                 .detail = "two",
                 .faults = {{"/items/0/quantity", "must be \"1\" or more"}, {"", "odd"}}});
    const auto errors = json::parse(response.body).at("errors").as_array();
    ASSERT_EQ(errors.size(), 2u);
    EXPECT_EQ(errors[0].at("pointer").as_string(), "/items/0/quantity");
    EXPECT_EQ(errors[0].at("detail").as_string(), "must be \"1\" or more");
}

TEST(Problem, SaysHowToComeBack) {
    EXPECT_EQ(header(problem({.code = ErrorCode::unauthenticated}), "WWW-Authenticate"),
              R"(Bearer realm="quittance", error="invalid_token")");
    EXPECT_EQ(header(problem({.code = ErrorCode::rate_limited, .retry_after_s = 30}), "Retry-After"), "30");
    EXPECT_EQ(header(problem({.code = ErrorCode::overloaded}), "Retry-After"), "1");
    EXPECT_EQ(header(problem({.code = ErrorCode::unavailable}), "Retry-After"), "1");
    EXPECT_EQ(header(problem({.code = ErrorCode::conflict}), "Retry-After"), "");
}

TEST(Problem, CarriesTheRequestIdAndLeavesOtherAnswersAlone) {
    Response failed = problem(404, "gone");
    add_request_id(failed, "abc-1");
    EXPECT_EQ(json::parse(failed.body).at("requestId").as_string(), "abc-1");
    Response fine = json_response(200, "{}");
    add_request_id(fine, "abc-1");
    EXPECT_EQ(fine.body, "{}");
}

}  // namespace
}  // namespace quittance::http
