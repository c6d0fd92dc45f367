// The calls on users and tokens; the shapes are in docs/openapi.yaml.
#pragma once

#include "http/address_limiter.hpp"
#include "http/auth.hpp"
#include "http/router.hpp"
#include "users/tokens.hpp"
#include "users/user_service.hpp"

namespace quittance::users {

/// Adds /users... and /.well-known/jwks.json. `limiter` is asked before a password is hashed, for whose sake
/// one address could keep all others waiting. The references must outlive the router's use.
void add_user_routes(http::Router& router, UserService& service, const TokenIssuer& issuer,
                     http::TokenVerifier& verifier, http::AddressLimiter& limiter);

}  // namespace quittance::users
