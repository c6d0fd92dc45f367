// `quittance serve`: both services in one process, on embedded databases and an embedded bus.
#pragma once

#include "apps/options.hpp"

namespace quittance::apps {

/// Runs until SIGTERM or SIGINT, then stops in good order. Throws ConfigurationError when it cannot start.
void serve(const ServeOptions& options);

}  // namespace quittance::apps
