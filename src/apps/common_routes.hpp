// What every program answers, whatever its business: health, metrics, its own description.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/router.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

/// One reason why requests should not be sent here now, or none. Must not block; called on an I/O thread.
using ReadinessCheck = std::function<std::optional<std::string>()>;

/// Adds /health/live, /health/ready, /metrics and /openapi.json.
void add_common_routes(http::Router& router, telemetry::Metrics& metrics, std::vector<ReadinessCheck> checks);

/// docs/openapi.yaml as JSON.
[[nodiscard]] const std::string& openapi_json();

}  // namespace quittance::apps
