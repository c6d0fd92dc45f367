#include "apps/push_endpoint.hpp"

#include <utility>

#include "http/auth.hpp"
#include "http/await.hpp"
#include "http/problem.hpp"

namespace quittance::apps {

using boost::asio::awaitable;
using http::Request;
using http::Response;
using messaging::PushOutcome;

namespace {

/// The desk answers within 50 seconds; Pub/Sub waits for 60.
constexpr std::chrono::seconds answer_within{55};

/// Pub/Sub takes 204 for an acknowledgement and all of the others for "again, later".
Response answer_to(PushOutcome outcome) {
    switch (outcome) {
        case PushOutcome::settled: return http::no_content();
        case PushOutcome::again:
            return http::problem(
                {ErrorCode::unavailable, "The message could not be handled now; send it again.", {}, 0});
        case PushOutcome::overloaded:
            return http::problem(
                {ErrorCode::rate_limited, "Too many messages are being handled already.", {}, 0});
        case PushOutcome::unknown_subscription:
            return http::problem({ErrorCode::not_found, "Nobody here reads this subscription.", {}, 0});
    }
    return http::problem({ErrorCode::internal, "", {}, 0});
}

}  // namespace

PushEndpoint::PushEndpoint(const BusChoice& choice, messaging::PubsubPush& push, http::Client& client,
                           const Clock& clock)
    : push_(push) {
    choice.check_push();
    if (choice.push_auth != "oidc") return;
    keys_.emplace(http::fetch_over_http(client, choice.certs_url), choice.certs_url, clock);
    verifier_.emplace(*keys_, clock,
                      http::GoogleTokenOptions{choice.push_audience, choice.push_service_account});
}

void PushEndpoint::add_route(http::Router& router) {
    // Nothing says what content type a push has.
    router.add(http::Method::post, "/pubsub/push", [this](Request& request) { return take(request); },
               {.body = http::Router::BodyKind::raw, .answer_within = answer_within});
}

std::optional<std::string> PushEndpoint::problem() const {
    return keys_ ? keys_->problem() : std::nullopt;
}

void PushEndpoint::step() {
    if (keys_) keys_->step();
}

Result<Done> PushEndpoint::admit(const Request& request) const {
    // Then Cloud Run has let in whom it should.
    if (!verifier_) return Done{};
    const auto token = http::bearer_token(request);
    if (!token) return token.error();
    return verifier_->verify(*token);
}

awaitable<Response> PushEndpoint::take(const Request& request) {
    const auto admitted = admit(request);
    if (!admitted) co_return http::problem(admitted.error());
    auto pushed = messaging::parse_push(request.body);
    if (!pushed) co_return http::problem(pushed.error());
    const auto outcome = co_await http::wait_for<PushOutcome>(
        [&](auto done) { push_.deliver(std::move(*pushed), std::move(done)); });
    co_return answer_to(outcome);
}

}  // namespace quittance::apps
