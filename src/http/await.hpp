// From callbacks to coroutines: lets a handler wait for a service.
#pragma once

#include <type_traits>
#include <utility>

#include <absl/functional/any_invocable.h>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/completions.hpp"

namespace quittance::http {

/// Calls `start(done)` and waits until `done(T)` is called, from any thread; the coroutine goes on where it
/// ran before. Usage: `auto order = co_await wait_for<Result<Order>>([&](auto done) { service.read(id,
/// std::move(done)); });`
template <class T, class Start>
boost::asio::awaitable<T> wait_for(Start start) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
        [start = std::move(start)](auto handler) mutable {
            auto& completions = boost::asio::use_service<Completions>(boost::asio::query(
                boost::asio::get_associated_executor(handler), boost::asio::execution::context));
            start(absl::AnyInvocable<void(T)>([handler = std::move(handler), &completions](T value) mutable {
                completions.add([handler = std::move(handler), value = std::move(value)]() mutable {
                    handler(std::move(value));
                });
            }));
        },
        boost::asio::use_awaitable);
}

}  // namespace quittance::http
