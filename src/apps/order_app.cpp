#include "apps/order_app.hpp"

#include <ostream>
#include <utility>

#include "contracts/events.hpp"
#include "orders/order_http.hpp"
#include "users/user_http.hpp"

namespace quittance::apps {

namespace {

constexpr std::string_view demo_admin_email = "admin@example.com";

}  // namespace

OrderApp::OrderApp(Environment& environment, db::DatabaseOptions database, DatabasePool pool,
                   messaging::Bus& bus, std::vector<users::SigningKey> signing_keys,
                   http::AddressLimiterOptions logins)
    : environment_(environment),
      bus_(bus),
      database_("orders", std::move(database), pool, db::orders_migrations(), environment.clock,
                environment.random),
      outbox_(database_.dialect()),
      order_store_(database_.dialect()),
      product_store_(database_.dialect()),
      writer_(order_store_, environment.ids, environment.clock),
      relay_(database_.writers(), outbox_, bus, environment.random, environment.clock,
             {.alone = !database_.is_shared()}, orders::note_published(writer_, environment.clock)),
      issuer_(std::move(signing_keys), {}, environment.clock, environment.random),
      keys_(issuer_.jwks()),
      verifier_(keys_, environment.clock, {issuer_.names().issuer, issuer_.names().audience}),
      hasher_({}),
      users_(database_.writers(), database_.readers(), database_.dialect(), hasher_, issuer_, environment.ids,
             environment.random, environment.clock, environment.metrics),
      logins_(logins, environment.clock),
      catalogue_(product_store_, database_.writers(), database_.readers(), environment.metrics),
      orders_(database_.writers(), database_.readers(), order_store_, product_store_, writer_, relay_,
              environment.ids, environment.clock, environment.metrics),
      watch_("order", database_.readers(), outbox_, relay_, environment.clock, environment.metrics),
      database_watch_("order", database_, environment.clock, environment.metrics) {}

OrderApp::~OrderApp() {
    unsubscribe();
    hasher_.stop();
    database_.end_threads();
}

void OrderApp::add_routes(http::Router& router) {
    users::add_user_routes(router, users_, issuer_, verifier_, logins_);
    orders::add_product_routes(router, catalogue_, verifier_);
    orders::add_order_routes(router, orders_, verifier_);
}

void OrderApp::start() {
    database_.start();
    subscription_ = bus_.subscribe(
        std::string(contracts::order_service_subscription),
        [this](std::vector<messaging::Delivery> deliveries) { orders_.receive(std::move(deliveries)); });
}

void OrderApp::stop() {
    hasher_.stop();
    database_.stop([this](db::Session& session) { relay_.leave(session); });
}

void OrderApp::step() {
    database_.step();
    relay_.step();
    orders_.step();
    users_.step();
    watch_.step();
    database_watch_.step();
}

void OrderApp::fill_demo(std::ostream& out) {
    db::Session session(database_.options());
    if (product_store_.list(session, "", 1).empty()) {
        db::Transaction transaction(session);
        for (const orders::Product& product : orders::demo_products())
            product_store_.put(session, product);
        transaction.commit();
    }
    const auto admin =
        users::create_user(session, hasher_, environment_.ids, environment_.random, environment_.clock,
                           {"Demo admin", std::string(demo_admin_email), {}, Role::admin});
    if (admin) {
        out << "admin e-mail: " << admin->user.email
            << "\nadmin password: " << admin->generated_password->reveal() << std::endl;
    } else if (admin.error().code != ErrorCode::conflict) {
        throw ConfigurationError("the demo admin could not be created: " + admin.error().detail);
    }
}

}  // namespace quittance::apps
