// For tests of handlers: a request to a router, without a server.
#pragma once

#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "http/router.hpp"

namespace quittance::http {

/// What the handler of the request's path answers; throws what it throws, and std::logic_error when there is
/// none. `work` is called until the answer is there, for whatever the handler waits for.
template <class Work>
Response answer_of(const Router& router, Request request, Work work) {
    const auto match = router.match(request.method, request.path);
    if (match.handler == nullptr) throw std::logic_error("no handler for " + request.path);
    request.parameters = match.parameters;
    std::optional<Response> response;
    std::exception_ptr thrown;
    boost::asio::io_context context;
    boost::asio::co_spawn(context, (*match.handler)(request),
                          [&](const std::exception_ptr& failure, Response answer) {
                              thrown = failure;
                              response = std::move(answer);
                          });
    while (!response) {
        context.restart();
        context.poll();
        work();
    }
    if (thrown) std::rethrow_exception(thrown);
    return *std::move(response);
}

}  // namespace quittance::http
