// From a request that was read to the handler that answers it.
#pragma once

#include <chrono>
#include <string_view>

#include "core/random.hpp"
#include "http/message.hpp"
#include "http/router.hpp"

namespace quittance::http {

/// Either a handler to call with the request, or the answer already.
struct Dispatch {
    const Handler* handler = nullptr;
    Response response;                     ///< When there is no handler: 204, 400, 404, 405, 415 or 501.
    std::size_t route = Router::no_route;  ///< For the metrics.
    std::chrono::milliseconds answer_within{0};  ///< Of the handler; 0: as long as others.
};

/// Reads the target ("/orders/42?limit=5") into the request, finds its route and checks that the route takes
/// what the request brings. Thread safe.
[[nodiscard]] Dispatch dispatch(const Router& router, std::string_view target, Request& request);

/// Fills in the request's id and trace: the caller's own where they are well-formed, else new ones.
/// Thread safe.
void identify(Request& request, Random& random);

}  // namespace quittance::http
