#include "http/router.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "http/url.hpp"

namespace quittance::http {

namespace {

bool is_parameter(std::string_view pattern_segment) {
    return pattern_segment.size() > 2 && pattern_segment.front() == '{' && pattern_segment.back() == '}';
}

std::size_t index_of(Method method) {
    return static_cast<std::size_t>(method);
}

}  // namespace

bool Router::split(std::string_view path, Segments& segments) {
    if (!path.starts_with('/')) return false;
    while (!path.empty()) {
        if (segments.count == max_segments) return false;
        path.remove_prefix(1);
        const auto length = std::min(path.find('/'), path.size());
        segments.views[segments.count++] = path.substr(0, length);
        path.remove_prefix(length);
    }
    return true;
}

std::size_t Router::child(std::size_t node, std::string_view pattern_segment) {
    const std::size_t created = nodes_.size();
    if (is_parameter(pattern_segment)) {
        if (nodes_[node].parameter != no_route) return nodes_[node].parameter;
        nodes_[node].parameter = created;
    } else {
        for (const auto& [text, next] : nodes_[node].literals) {
            if (text == pattern_segment) return next;
        }
        nodes_[node].literals.emplace_back(pattern_segment, created);
    }
    nodes_.emplace_back();
    return created;
}

void Router::add(Method method, std::string pattern, Handler handler) {
    add(method, std::move(pattern), std::move(handler), RouteOptions{});
}

void Router::add(Method method, std::string pattern, Handler handler, RouteOptions options) {
    Segments segments;
    ensure(split(pattern, segments), "a route is a path of at most 16 segments: " + pattern);
    ensure(static_cast<bool>(handler), "a route needs a handler: " + pattern);
    Endpoint endpoint{.handler = std::move(handler), .options = options, .parameter_names = {}};
    std::size_t node = 0;
    for (std::size_t i = 0; i < segments.count; ++i) {
        const std::string_view segment = segments.views[i];
        node = child(node, segment);
        if (is_parameter(segment))
            endpoint.parameter_names.emplace_back(segment.substr(1, segment.size() - 2));
    }
    if (nodes_[node].route == no_route) {
        nodes_[node].route = routes_.size();
        routes_.push_back({.pattern = std::move(pattern), .endpoints = {}, .allowed = {}});
    }
    Route& route = routes_[nodes_[node].route];
    ensure(!route.endpoints[index_of(method)].handler, "the route is taken: " + route.pattern);
    route.endpoints[index_of(method)] = std::move(endpoint);
    route.allowed.clear();
    for (std::size_t i = 0; i < method_count; ++i) {
        // HEAD and OPTIONS are answered everywhere: the one by GET's handler, the other by the server.
        const bool implied = (Method(i) == Method::head && route.endpoints[index_of(Method::get)].handler) ||
                             Method(i) == Method::options;
        if (!implied && !route.endpoints[i].handler) continue;
        if (!route.allowed.empty()) route.allowed += ", ";
        route.allowed += to_string(Method(i));
    }
}

std::size_t Router::find(std::size_t node, const Segments& segments, std::size_t depth,
                         Captures& captures) const {
    const Node& here = nodes_[node];
    if (depth == segments.count) return here.route;
    const std::string_view segment = segments.views[depth];
    for (const auto& [text, next] : here.literals) {
        if (text != segment) continue;
        const std::size_t found = find(next, segments, depth + 1, captures);
        if (found != no_route) return found;
    }
    if (here.parameter == no_route || segment.empty()) return no_route;
    captures.segments[captures.count++] = depth;
    const std::size_t found = find(here.parameter, segments, depth + 1, captures);
    if (found == no_route) --captures.count;
    return found;
}

Router::Match Router::match(Method method, std::string_view encoded_path) const {
    Segments segments;
    if (!split(encoded_path, segments)) return {};
    std::vector<std::string> decoded;
    if (encoded_path.find('%') != std::string_view::npos) {
        decoded.resize(segments.count);
        for (std::size_t i = 0; i < segments.count; ++i) {
            decoded[i] = percent_decode(segments.views[i]).value_or("");
            segments.views[i] = decoded[i];
        }
    }
    Captures captures;
    Match match;
    match.route = find(0, segments, 0, captures);
    if (match.route == no_route) return match;
    const Route& route = routes_[match.route];
    match.allowed = route.allowed;
    const Endpoint* endpoint = &route.endpoints[index_of(method)];
    if (!endpoint->handler && method == Method::head) endpoint = &route.endpoints[index_of(Method::get)];
    if (!endpoint->handler) return match;
    match.handler = &endpoint->handler;
    match.options = endpoint->options;
    match.parameters.reserve(captures.count);
    for (std::size_t i = 0; i < captures.count; ++i) {
        match.parameters.emplace_back(endpoint->parameter_names[i], segments.views[captures.segments[i]]);
    }
    return match;
}

}  // namespace quittance::http
