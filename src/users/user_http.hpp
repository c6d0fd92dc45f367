// The calls on users and tokens; the shapes are in docs/openapi.yaml.
#pragma once

#include "http/auth.hpp"
#include "http/router.hpp"
#include "users/tokens.hpp"
#include "users/user_service.hpp"

namespace quittance::users {

/// Adds /users... and /.well-known/jwks.json. The references must outlive the router's use.
void add_user_routes(http::Router& router, UserService& service, const TokenIssuer& issuer,
                     http::TokenVerifier& verifier);

}  // namespace quittance::users
