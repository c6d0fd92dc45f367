// From callbacks to coroutines: lets a handler wait for a service.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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

/// A coroutine that waits. Its own thread allocates and frees it; the one that brings what it waits for only
/// fills it in.
template <class T, class Render, class Handler>
class Waiting final : public Completion {
public:
    Waiting(Handler handler, Render render, Completions& completions)
        : handler_(std::move(handler)), render_(std::move(render)), completions_(completions) {}

    static void bring(std::unique_ptr<Waiting> waiting, T value) {
        waiting->rendered_.emplace(waiting->render_(std::move(value)));
        Completions& completions = waiting->completions_;
        completions.add(std::move(waiting));
    }
    void run() override { std::move(handler_)(std::move(*rendered_)); }

private:
    Handler handler_;
    Render render_;
    Completions& completions_;
    std::optional<std::remove_cvref_t<std::invoke_result_t<Render&, T>>> rendered_;
};

/// Calls `start(done)` and waits until `done(T)` is called, from any thread; the coroutine goes on where it
/// ran before, with what `render` makes of the T. `render` runs on the thread that calls `done`, which has
/// time where the one of all connections has none; it must not throw. Usage: `auto answer = co_await
/// wait_for<Result<Order>>([&](auto done) { service.read(id, std::move(done)); }, to_response);`
template <class T, class Start, class Render = std::identity>
boost::asio::awaitable<std::remove_cvref_t<std::invoke_result_t<Render&, T>>> wait_for(Start start,
                                                                                       Render render = {}) {
    using Rendered = std::remove_cvref_t<std::invoke_result_t<Render&, T>>;
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Rendered)>(
        [start = std::move(start), render = std::move(render)](auto handler) mutable {
            auto& completions = boost::asio::use_service<Completions>(boost::asio::query(
                boost::asio::get_associated_executor(handler), boost::asio::execution::context));
            auto waiting = std::make_unique<Waiting<T, Render, decltype(handler)>>(
                std::move(handler), std::move(render), completions);
            start(absl::AnyInvocable<void(T)>([waiting = std::move(waiting)](T value) mutable {
                std::remove_cvref_t<decltype(*waiting)>::bring(std::move(waiting), std::move(value));
            }));
        },
        boost::asio::use_awaitable);
}

}  // namespace quittance::http
