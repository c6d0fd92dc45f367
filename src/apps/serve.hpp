// Running services until somebody ends the program.
#pragma once

#include "apps/options.hpp"

namespace quittance::apps {

/// `quittance serve`: both services in one process. Runs until SIGTERM or SIGINT, then stops in good order.
/// Throws ConfigurationError when it cannot start.
void serve(const ServeOptions& options);

/// `order-service`: the same for the order service alone.
void serve_orders(const ServeOptions& options);

/// `payment-service`: the same for the payment service alone.
void serve_payments(const ServeOptions& options);

}  // namespace quittance::apps
