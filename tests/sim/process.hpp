// One life of one process: the production services over a database that was there before.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/ids.hpp"
#include "db/scheduler.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/outbox.hpp"
#include "messaging/relay.hpp"
#include "orders/order_service.hpp"
#include "payments/payment_service.hpp"
#include "payments/provider_notices.hpp"
#include "telemetry/metrics.hpp"
#include "tests/sim/databases.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/provider.hpp"
#include "tests/sim/sim_bus.hpp"

namespace quittance::sim {

/// A connection and the work that waits for it.
struct Store {
    Store(Database& database, const Clock& clock)
        : session(database.options()), scheduler(clock), outbox(session.dialect()) {}

    db::Session session;
    db::Scheduler scheduler;
    messaging::Outbox outbox;
};

/// What every process is made of anew.
struct Surroundings {
    Stage& stage;
    Random& random;
    Prng& dice;
    Database& orders;
    Database& payments;
    Provider& provider;
    Broker& broker;
    const ProcessBus::Watch& watch;
    Layout layout;
    payments::CaptureMode capture_mode;
};

/// The order service, wired as its program does it.
class OrdersSide {
public:
    OrdersSide(const Surroundings& around, messaging::Bus& bus, IdGenerator& ids,
               telemetry::Metrics& metrics);

    void step();

    Store store;

private:
    const orders::OrderStore rows_;
    const orders::ProductStore products_;
    const orders::OrderWriter writer_;

public:
    messaging::Relay relay;
    orders::OrderService service;

private:
    std::unique_ptr<messaging::Subscription> updates_;
};

/// The payment service, wired as its program does it.
class PaymentsSide {
public:
    PaymentsSide(const Surroundings& around, messaging::Bus& bus, int process,
                 std::shared_ptr<const bool> alive, IdGenerator& ids, telemetry::Metrics& metrics);

    void step();

    Store store;

private:
    SimGateway gateway_;

public:
    messaging::Relay relay;
    payments::PaymentService service;
    payments::ProviderNotices notices;

private:
    std::unique_ptr<messaging::Subscription> events_;
};

class Process {
public:
    Process(const Surroundings& around, int number);
    /// From here on nothing that it began is heard of again.
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// What the program's loop does every few moments.
    void tick();
    /// Runs one waiting batch of each store; true when there was one.
    bool work();
    [[nodiscard]] bool has_work() const;
    /// Nothing under way in memory.
    [[nodiscard]] bool idle() const;

    [[nodiscard]] OrdersSide* orders() { return orders_ ? &*orders_ : nullptr; }
    [[nodiscard]] PaymentsSide* payments() { return payments_ ? &*payments_ : nullptr; }
    [[nodiscard]] std::shared_ptr<const bool> alive() const { return alive_; }

private:
    Stage& stage_;
    const int number_;
    const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    telemetry::Metrics metrics_;
    IdGenerator ids_;
    std::optional<messaging::EmbeddedBus> embedded_bus_;
    std::optional<ProcessBus> bus_;
    std::optional<OrdersSide> orders_;
    std::optional<PaymentsSide> payments_;
};

}  // namespace quittance::sim
