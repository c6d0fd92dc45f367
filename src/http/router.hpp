// Which handler answers which path.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
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
    /// No path has more segments; a longer one is unknown.
    static constexpr std::size_t max_segments = 16;
    /// The `Match::route` of an unknown path.
    static constexpr std::size_t no_route = static_cast<std::size_t>(-1);

    enum class BodyKind { json, raw, none };

    struct RouteOptions {
        BodyKind body = BodyKind::json;
        std::chrono::milliseconds answer_within{0};  ///< 0: what the server's `ServerTimeouts::handler` says.
    };

    /// `pattern` is a path such as "/orders/{id}/status"; a `{name}` part matches one non-empty segment. A
    /// segment that stands there literally wins over a `{name}`. A body is accepted only where the method is
    /// POST, PUT or PATCH and the kind is not `BodyKind::none` (400 otherwise), and then it must be JSON (415
    /// otherwise) unless `BodyKind::raw`. Throws std::logic_error for a pattern that is no path and for a
    /// method and path that are taken already.
    void add(Method method, std::string pattern, Handler handler, RouteOptions options);
    void add(Method method, std::string pattern, Handler handler);

    struct Match {
        const Handler* handler = nullptr;  ///< nullptr: see `allowed`.
        RouteOptions options;
        std::vector<HeaderField> parameters;  ///< Percent-decoded.
        std::string_view allowed;             ///< The value of `Allow` for a known path. Empty: 404.
        std::size_t route = no_route;         ///< Index of the path's pattern; see `pattern`.
    };
    /// `encoded_path` comes as the client sent it, so that an escaped slash stays inside its segment; its
    /// escapes are known to be good. HEAD finds GET's handler where it has none of its own. The match points
    /// into the router.
    [[nodiscard]] Match match(Method method, std::string_view encoded_path) const;

    /// The patterns that were added, each once, in order; a metric's `route` label.
    [[nodiscard]] std::size_t route_count() const { return routes_.size(); }
    [[nodiscard]] const std::string& pattern(std::size_t route) const { return routes_.at(route).pattern; }

private:
    static constexpr std::size_t method_count = static_cast<std::size_t>(Method::other) + 1;

    struct Endpoint {
        Handler handler;
        RouteOptions options;
        std::vector<std::string> parameter_names;
    };
    /// All that is known of one path.
    struct Route {
        std::string pattern;
        std::array<Endpoint, method_count> endpoints;
        std::string allowed;
    };
    /// One segment of the tree of patterns. Children are few, so a linear search beats a map.
    struct Node {
        std::vector<std::pair<std::string, std::size_t>> literals;
        std::size_t parameter = no_route;
        std::size_t route = no_route;
    };
    struct Segments {
        std::array<std::string_view, max_segments> views;
        std::size_t count = 0;
    };
    /// Indices of the segments that `{name}` parts matched, in order.
    struct Captures {
        std::array<std::size_t, max_segments> segments;
        std::size_t count = 0;
    };

    static bool split(std::string_view path, Segments& segments);
    std::size_t child(std::size_t node, std::string_view pattern_segment);
    [[nodiscard]] std::size_t find(std::size_t node, const Segments& segments, std::size_t depth,
                                   Captures& captures) const;

    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::vector<Route> routes_;
};

}  // namespace quittance::http
