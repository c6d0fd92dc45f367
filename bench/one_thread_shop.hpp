// Both services on SQLite, without sockets and threads: the same work each time it is asked for.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/ids.hpp"
#include "core/manual_clock.hpp"
#include "core/random.hpp"
#include "db/migrate.hpp"
#include "http/auth.hpp"
#include "http/router.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/relay.hpp"
#include "orders/order_service.hpp"
#include "payments/payment_service.hpp"
#include "payments/simulator_gateway.hpp"
#include "telemetry/metrics.hpp"
#include "users/tokens.hpp"

namespace quittance::bench {

/// One thread's. Throws std::runtime_error when anything is not answered as it should be.
class OneThreadShop {
public:
    /// Makes its databases in `folder`, which has to be empty.
    explicit OneThreadShop(const std::filesystem::path& folder);

    /// Sends each text, a whole HTTP request, through parser, routes, handlers and database, as one batch of
    /// clients that all wait at once, and returns the answers' bodies. Each answer must have `status`.
    std::vector<std::string> ask(const std::vector<std::string>& requests, int status);

    /// Works until every order that was placed has been paid and both outboxes are empty.
    void carry_orders();

    /// Whole requests, with a valid token. `number` chooses the items, 1 to 5 of the catalogue.
    [[nodiscard]] std::string order_request(std::size_t number) const;
    [[nodiscard]] std::string read_request(std::string_view order_id) const;

private:
    struct Store {
        Store(const std::filesystem::path& file, const std::vector<db::Migration>& migrations,
              const Clock& clock);
        bool step() { return scheduler.step(session); }

        db::Session session;
        db::Scheduler scheduler;
        messaging::Outbox outbox;
    };

    ManualClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
    telemetry::Metrics metrics_;
    messaging::EmbeddedBus bus_;
    Store orders_store_;
    Store payments_store_;
    const orders::OrderStore order_rows_;
    const orders::ProductStore products_;
    const orders::OrderWriter order_writer_;
    messaging::Relay orders_relay_;
    messaging::Relay payments_relay_;
    payments::SimulatorGateway gateway_;
    orders::OrderService orders_;
    payments::PaymentService payments_;
    users::TokenIssuer issuer_;
    http::StaticKeySource keys_;
    http::JwtVerifier verifier_;
    http::Router router_;
    std::string token_;
    std::unique_ptr<messaging::Subscription> updates_;
    std::unique_ptr<messaging::Subscription> events_;
    boost::asio::io_context context_;
};

}  // namespace quittance::bench
