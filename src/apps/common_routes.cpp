#include "apps/common_routes.hpp"

#include <utility>

#include <boost/json.hpp>

namespace quittance::apps {

namespace json = boost::json;
using boost::asio::awaitable;
using http::Method;
using http::Request;
using http::Response;

namespace {

awaitable<Response> answer_live() {
    co_return http::json_response(200, R"({"status":"alive"})");
}

awaitable<Response> answer_ready(const std::vector<ReadinessCheck>& checks) {
    json::array reasons;
    for (const ReadinessCheck& check : checks) {
        if (auto reason = check()) reasons.emplace_back(std::move(*reason));
    }
    if (reasons.empty()) co_return http::json_response(200, R"({"status":"ready"})");
    const json::object body{{"status", "unavailable"}, {"reasons", std::move(reasons)}};
    co_return http::json_response(503, json::serialize(body));
}

awaitable<Response> answer_metrics(telemetry::Metrics& metrics) {
    co_return Response{200, {}, metrics.expose(), "text/plain; version=0.0.4; charset=utf-8"};
}

awaitable<Response> answer_openapi() {
    co_return http::json_response(200, openapi_json());
}

}  // namespace

void add_common_routes(http::Router& router, telemetry::Metrics& metrics,
                       std::vector<ReadinessCheck> checks) {
    router.add(Method::get, "/health/live", [](Request& /*request*/) { return answer_live(); });
    router.add(Method::get, "/health/ready",
               [checks = std::move(checks)](Request& /*request*/) { return answer_ready(checks); });
    router.add(Method::get, "/metrics", [&metrics](Request& /*request*/) { return answer_metrics(metrics); });
    router.add(Method::get, "/openapi.json", [](Request& /*request*/) { return answer_openapi(); });
}

}  // namespace quittance::apps
