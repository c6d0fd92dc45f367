// The order service, wired: users, catalogue, orders, and their way to the bus.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/database_watch.hpp"
#include "apps/environment.hpp"
#include "apps/outbox_watch.hpp"
#include "apps/service_database.hpp"
#include "core/principal.hpp"
#include "http/address_limiter.hpp"
#include "http/auth.hpp"
#include "http/router.hpp"
#include "messaging/relay.hpp"
#include "orders/catalogue.hpp"
#include "orders/order_service.hpp"
#include "users/password_hasher.hpp"
#include "users/tokens.hpp"
#include "users/user_service.hpp"

namespace quittance::apps {

/// Made, then given its routes, then started; stopped in this order: the HTTP server, `unsubscribe`, `stop`.
class OrderApp {
public:
    OrderApp(Environment& environment, db::DatabaseOptions database, DatabasePool pool, messaging::Bus& bus,
             std::vector<users::SigningKey> signing_keys, http::AddressLimiterOptions logins);
    /// Ends the threads first: where a start fails half-way, nobody called `stop`.
    ~OrderApp();
    OrderApp(const OrderApp&) = delete;
    OrderApp& operator=(const OrderApp&) = delete;

    void add_routes(http::Router& router);
    [[nodiscard]] std::optional<std::string> problem() const {
        auto problem = database_watch_.problem();
        return problem ? problem : watch_.problem();
    }
    /// Why the program has to end, if it has to.
    [[nodiscard]] std::optional<std::string> fatal() const { return database_watch_.fatal(); }

    void start();
    /// Work that is due; returns at once. Called every few moments from one thread.
    void step();
    void unsubscribe() { subscription_.reset(); }
    void stop();

    /// What `--demo` promises: products in an empty catalogue, and an admin; what it printed goes to `out`.
    void fill_demo(std::ostream& out);

    /// For whoever checks the tokens that this service issues.
    [[nodiscard]] http::TokenVerifier& verifier() { return verifier_; }

private:
    Environment& environment_;
    messaging::Bus& bus_;
    ServiceDatabase database_;
    const messaging::Outbox outbox_;
    const orders::OrderStore order_store_;
    const orders::ProductStore product_store_;
    const orders::OrderWriter writer_;
    messaging::Relay relay_;
    users::TokenIssuer issuer_;
    http::StaticKeySource keys_;
    http::JwtVerifier verifier_;
    users::PasswordHasher hasher_;
    users::UserService users_;
    http::AddressLimiter logins_;
    orders::Catalogue catalogue_;
    orders::OrderService orders_;
    OutboxWatch watch_;
    DatabaseWatch database_watch_;
    std::unique_ptr<messaging::Subscription> subscription_;
};

}  // namespace quittance::apps
