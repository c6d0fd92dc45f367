#include "payments/stripe_webhook.hpp"

#include <memory>
#include <utility>

#include "http/await.hpp"
#include "http/problem.hpp"

namespace quittance::payments {

using boost::asio::awaitable;

namespace {

/// What the route stands on.
struct Webhook {
    ProviderNotices& notices;
    Secret secret;
    const Clock& clock;
    telemetry::Counter& refused;
    telemetry::Counter& ignored;
};

awaitable<http::Response> receive(Webhook& webhook, const http::Request& request) {
    const auto verified = verify_stripe_signature(request.header("stripe-signature"), request.body,
                                                  webhook.secret, webhook.clock.now());
    if (!verified) {
        webhook.refused.add();
        co_return http::problem(verified.error());
    }
    auto event = read_stripe_event(request.body);
    if (!event) {
        webhook.refused.add();
        co_return http::problem(event.error());
    }
    if (!event->payment_id) {
        webhook.ignored.add();
        co_return http::json_response(200, R"({"received":true})");
    }
    ProviderNotice notice{"stripe/" + event->id, *event->payment_id, event->failed_refund};
    if (event->money) notice.told = {event->money->captured_minor, event->money->refunded_minor};
    const auto outcome = co_await http::wait_for<Result<NoticeOutcome>>(
        [&](auto done) { webhook.notices.take(std::move(notice), std::move(done)); });
    if (!outcome) co_return http::problem(outcome.error());
    co_return http::json_response(200, R"({"received":true})");
}

}  // namespace

void add_stripe_webhook(http::Router& router, ProviderNotices& notices, Secret secret, const Clock& clock,
                        telemetry::Metrics& metrics) {
    auto webhook = std::make_shared<Webhook>(Webhook{
        notices, std::move(secret), clock,
        metrics.counter("stripe_webhooks_refused_total",
                        "Webhooks that were not signed by Stripe, or are no JSON."),
        metrics.counter("stripe_webhooks_ignored_total",
                        "Events of Stripe that concern no payment of ours, or are of no known kind.")});
    router.add(http::Method::post, "/webhooks/stripe",
               [webhook](http::Request& request) { return receive(*webhook, request); },
               {.body = http::Router::BodyKind::raw});
}

}  // namespace quittance::payments
