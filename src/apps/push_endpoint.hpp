// POST /pubsub/push: where Pub/Sub brings messages, and who may bring them.
#pragma once

#include <optional>
#include <string>

#include "apps/options.hpp"
#include "core/clock.hpp"
#include "http/client.hpp"
#include "http/fetched_keys.hpp"
#include "http/google_tokens.hpp"
#include "http/router.hpp"
#include "messaging/pubsub_push.hpp"

namespace quittance::apps {

class PushEndpoint {
public:
    /// Throws ConfigurationError when `choice` does not say who checks the sender. All that is passed by
    /// reference has to outlive the endpoint.
    PushEndpoint(const BusChoice& choice, messaging::PubsubPush& push, http::Client& client,
                 const Clock& clock);

    void add_route(http::Router& router);

    /// Why no push can be checked now, or none.
    [[nodiscard]] std::optional<std::string> problem() const;
    /// As FetchedKeySource::step.
    void step();

private:
    [[nodiscard]] boost::asio::awaitable<http::Response> take(const http::Request& request);
    [[nodiscard]] Result<Done> admit(const http::Request& request) const;

    messaging::PubsubPush& push_;
    // Both are there when we check the sender ourselves.
    std::optional<http::FetchedKeySource> keys_;
    std::optional<http::GoogleTokenVerifier> verifier_;
};

}  // namespace quittance::apps
