// Both services on real databases and the bus between them, with threads of their own, in one process.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "contracts/events.hpp"
#include "core/random.hpp"
#include "db/migrate.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/relay.hpp"
#include "orders/order_service.hpp"
#include "payments/payment_service.hpp"
#include "payments/simulator_gateway.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::sagas {

/// One service's database with its workers.
struct Store {
    Store(const std::vector<db::Migration>& migrations, const Clock& clock);

    void start();

    test_support::TestDatabase database;
    db::Dialect dialect;
    db::Scheduler scheduler;
    messaging::Outbox outbox;
    std::vector<std::jthread> threads;
};

/// Starts with everything running, and stops with the object.
class Shop {
public:
    explicit Shop(payments::CaptureMode mode);
    ~Shop();
    Shop(const Shop&) = delete;
    Shop& operator=(const Shop&) = delete;

    /// An order for 12.50 EUR, stored and on its way.
    [[nodiscard]] OrderId place();
    [[nodiscard]] orders::Order order(OrderId id);
    [[nodiscard]] payments::Payment payment(OrderId id);

    [[nodiscard]] std::future<Result<orders::OrderView>> set_status(OrderId id, orders::OrderStatus status);
    [[nodiscard]] std::future<Result<orders::ChangedOrder>> refund(OrderId id, std::int64_t amount_minor);
    [[nodiscard]] std::future<Result<payments::CommandedPayment>> capture(PaymentId id,
                                                                          std::int64_t amount_minor);
    /// Asks the payment service past the order service, as a broker that repeats and reorders might.
    void publish(const contracts::RefundRequested& event);

    /// Waits until nothing is under way any more; fails after a minute.
    void settle();

    SystemClock clock;
    SystemRandom random;
    IdGenerator ids{clock, random};
    payments::SimulatorGateway gateway{{.latency = std::chrono::milliseconds(2)}};
    telemetry::Metrics metrics;  ///< Of both services.

private:
    [[nodiscard]] bool is_under_way() const;

    template <class T, class Start>
    std::future<Result<T>> ask(Start start) {
        auto promise = std::make_shared<std::promise<Result<T>>>();
        auto future = promise->get_future();
        start([promise](Result<T> result) { promise->set_value(std::move(result)); });
        return future;
    }

    const Principal admin_{ids.generate<UserId>(), Role::admin};
    messaging::EmbeddedBus bus_;
    Store orders_store_;
    Store payments_store_;
    const orders::OrderStore order_rows_;
    const orders::ProductStore products_;
    const orders::OrderWriter order_writer_;
    messaging::Relay orders_relay_;
    messaging::Relay payments_relay_;
    orders::OrderService orders_;
    payments::PaymentService payments_;
    std::unique_ptr<messaging::Subscription> updates_;
    std::unique_ptr<messaging::Subscription> events_;
    std::vector<std::jthread> threads_;

public:
    [[nodiscard]] const test_support::TestDatabase& orders_database() const { return orders_store_.database; }
    [[nodiscard]] const test_support::TestDatabase& payments_database() const {
        return payments_store_.database;
    }
};

}  // namespace quittance::sagas
