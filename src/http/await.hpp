// From callbacks to coroutines: lets a handler wait for a service.
#pragma once

#include <type_traits>
#include <utility>

#include <absl/functional/any_invocable.h>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace quittance::http {

/// Calls `start(done)` and waits until `done(T)` is called, from any thread; the coroutine goes on where it
/// ran before. Usage: `auto order = co_await wait_for<Result<Order>>([&](auto done) { service.read(id,
/// std::move(done)); });`
template <class T, class Start>
boost::asio::awaitable<T> wait_for(Start start) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
        [start = std::move(start)](auto handler) mutable {
            auto executor = boost::asio::get_associated_executor(handler);
            start(absl::AnyInvocable<void(T)>([handler = std::move(handler), executor](T value) mutable {
                boost::asio::post(executor,
                                  [handler = std::move(handler), value = std::move(value)]() mutable {
                                      handler(std::move(value));
                                  });
            }));
        },
        boost::asio::use_awaitable);
}

}  // namespace quittance::http
