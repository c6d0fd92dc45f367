#include "apps/payment_app.hpp"

#include <utility>

#include "contracts/events.hpp"
#include "payments/ledger_http.hpp"
#include "payments/payment_http.hpp"
#include "payments/stripe_webhook.hpp"

namespace quittance::apps {

PaymentApp::PaymentApp(Environment& environment, db::DatabaseOptions database, DatabasePool pool,
                       messaging::Bus& bus, const GatewayChoice& gateway, payments::CaptureMode mode)
    : environment_(environment),
      bus_(bus),
      stripe_webhook_secret_(gateway.stripe_webhook_secret()),
      database_("payments", std::move(database), pool, db::payments_migrations(), environment.clock,
                environment.random),
      outbox_(database_.dialect()),
      relay_(database_.writers(), outbox_, bus, environment.random, environment.clock,
             {.alone = !database_.is_shared()}, nullptr),
      gateway_(gateway.make(environment)),
      payments_(database_.writers(), database_.readers(), database_.dialect(), *gateway_, relay_,
                environment.ids, environment.random, environment.clock, environment.metrics, mode),
      notices_(database_.writers(), database_.dialect(), environment.random, environment.clock,
               environment.metrics),
      ledger_(database_.readers(), database_.dialect(), environment.metrics),
      stuck_(database_.readers(), environment.clock, environment.metrics),
      watch_("payment", database_.readers(), outbox_, relay_, environment.clock, environment.metrics),
      database_watch_("payment", database_, environment.clock, environment.metrics) {}

PaymentApp::~PaymentApp() {
    unsubscribe();
    database_.end_threads();
}

void PaymentApp::add_routes(http::Router& router, http::TokenVerifier& verifier) {
    payments::add_payment_routes(router, payments_, verifier);
    payments::add_ledger_routes(router, ledger_, verifier);
    if (!stripe_webhook_secret_) return;
    payments::add_stripe_webhook(router, notices_, *stripe_webhook_secret_, environment_.clock,
                                 environment_.metrics);
}

void PaymentApp::start() {
    database_.start();
    subscription_ = bus_.subscribe(
        std::string(contracts::payment_service_subscription),
        [this](std::vector<messaging::Delivery> deliveries) { payments_.receive(std::move(deliveries)); });
}

void PaymentApp::step() {
    database_.step();
    relay_.step();
    notices_.step();
    payments_.step();
    stuck_.step();
    watch_.step();
    database_watch_.step();
}

void PaymentApp::stop() {
    database_.stop([this](db::Session& session) { relay_.leave(session); });
}

}  // namespace quittance::apps
