// The order service's calls; the shapes are in docs/openapi.yaml.
#pragma once

#include "http/auth.hpp"
#include "http/router.hpp"
#include "orders/catalogue.hpp"
#include "orders/order_service.hpp"

namespace quittance::orders {

/// Adds /orders... The references must outlive the router's use.
void add_order_routes(http::Router& router, OrderService& service, http::TokenVerifier& verifier);

/// Adds /products...
void add_product_routes(http::Router& router, Catalogue& catalogue, http::TokenVerifier& verifier);

}  // namespace quittance::orders
