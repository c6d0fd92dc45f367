// Which handler answers which path.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "http/message.hpp"

namespace quittance::http {

/// Answers one request. Runs on an I/O thread: it may wait (co_await) but never block. What it throws is
/// logged and answered with 500.
using Handler = std::function<boost::asio::awaitable<Response>(Request&)>;

/// Filled before the server starts; read-only and thread safe from then on.
class Router {
public:
    /// `pattern` is a path such as "/orders/{id}/status"; a `{name}` part matches one non-empty segment.
    /// A body is accepted only where the method is POST, PUT or PATCH, and then it must be JSON
    /// (415 otherwise) unless `BodyKind::raw`.
    enum class BodyKind { json, raw };
    void add(Method method, std::string pattern, Handler handler, BodyKind body = BodyKind::json);

    struct Match {
        const Handler* handler = nullptr;  ///< nullptr: see `allowed`.
        BodyKind body = BodyKind::json;
        std::vector<HeaderField> parameters;
        std::string allowed;  ///< For a known path with another method: the value of `Allow`. Else empty: 404.
    };
    [[nodiscard]] Match match(Method method, std::string_view path) const;

private:
    struct Route {
        Method method;
        std::vector<std::string> segments;
        Handler handler;
        BodyKind body;
    };
    std::vector<Route> routes_;
};

}  // namespace quittance::http
