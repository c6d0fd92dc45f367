// The payment service, wired: gateway, payments, and their way to the bus.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/database_watch.hpp"
#include "apps/environment.hpp"
#include "apps/gateway_choice.hpp"
#include "apps/outbox_watch.hpp"
#include "apps/service_database.hpp"
#include "http/auth.hpp"
#include "http/router.hpp"
#include "messaging/relay.hpp"
#include "payments/gateway.hpp"
#include "payments/ledger_reader.hpp"
#include "payments/payment_service.hpp"
#include "payments/provider_notices.hpp"
#include "payments/stuck.hpp"

namespace quittance::apps {

/// Made, then given its routes, then started; stopped in this order: the HTTP server, `unsubscribe`, `stop`.
class PaymentApp {
public:
    PaymentApp(Environment& environment, db::DatabaseOptions database, DatabasePool pool, messaging::Bus& bus,
               const GatewayChoice& gateway, payments::CaptureMode mode);
    /// As OrderApp's.
    ~PaymentApp();
    PaymentApp(const PaymentApp&) = delete;
    PaymentApp& operator=(const PaymentApp&) = delete;

    void add_routes(http::Router& router, http::TokenVerifier& verifier);
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

private:
    Environment& environment_;
    messaging::Bus& bus_;
    const std::optional<Secret> stripe_webhook_secret_;
    ServiceDatabase database_;
    const messaging::Outbox outbox_;
    messaging::Relay relay_;
    const std::unique_ptr<payments::Gateway> gateway_;
    payments::PaymentService payments_;
    payments::ProviderNotices notices_;
    payments::LedgerReader ledger_;
    payments::StuckWatch stuck_;
    OutboxWatch watch_;
    DatabaseWatch database_watch_;
    std::unique_ptr<messaging::Subscription> subscription_;
};

}  // namespace quittance::apps
