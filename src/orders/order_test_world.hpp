// For tests of the order service.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/migrate.hpp"
#include "messaging/embedded_bus.hpp"
#include "orders/order_json.hpp"
#include "orders/order_service.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::orders {

using contracts::PaymentStatus;

/// The order service on a real database and the real embedded bus, in one thread: `settle` runs all work.
class OrderWorld : public testing::Test {
protected:
    OrderWorld() {
        db::Transaction transaction(session_);
        for (const Product& product : demo_products())
            products_.put(session_, product);
        products_.put(session_, {"old", "Old thing", {100, *Currency::parse("EUR")}, false});
        transaction.commit();
        updates_ = bus_.subscribe("order-service-sub",
                                  [this](auto deliveries) { service_.receive(std::move(deliveries)); });
        events_ = bus_.subscribe("payment-service-sub", [this](std::vector<messaging::Delivery> deliveries) {
            for (auto& delivery : deliveries) {
                published_.push_back(delivery.message);
                std::move(delivery.handle).ack();
            }
        });
    }

    ~OrderWorld() override {
        updates_.reset();
        events_.reset();
    }

    /// Runs everything that is waiting, here and at the bus.
    void settle() {
        bool worked = true;
        while (worked) {
            relay_.step();
            worked = scheduler_.step(session_);
            worked = bus_.step() || worked;
        }
    }

    template <class T, class Start>
    Result<T> result_of(Start start) {
        std::optional<Result<T>> result;
        start([&](Result<T> value) { result = std::move(value); });
        settle();
        return std::move(*result);
    }

    CreateOrder request(const std::string& key = "", const std::string& product = "ceramic-mug",
                        std::int64_t quantity = 2) {
        const std::string body = R"({"items":[{"productId":")" + product + R"(","quantity":)" +
                                 std::to_string(quantity) + R"(}],"paymentMethod":"pm_card_visa"})";
        auto create = *parse_create_order(body, customer_);
        create.idempotency_key = key;
        return create;
    }

    Result<CreatedOrder> create(CreateOrder create) {
        return result_of<CreatedOrder>(
            [&](auto done) { service_.create(std::move(create), std::move(done)); });
    }
    Result<OrderView> find(OrderId id, const Principal& principal) {
        return result_of<OrderView>([&](auto done) { service_.find(id, principal, std::move(done)); });
    }
    Result<OrderView> change(OrderId id, SetStatus what, const Principal& principal) {
        return result_of<OrderView>([&](auto done) {
            service_.change({id, principal, std::move(what), ""}, std::move(done));
        });
    }
    Result<ChangedOrder> pay_again(OrderId id, const Principal& principal, const std::string& key = "",
                                   const std::string& method = "pm_card_mastercard",
                                   ExpectedVersions expected = {}) {
        auto payment = *parse_payment(R"({"paymentMethod":")" + method + R"("})", id);
        payment.principal = principal;
        payment.idempotency_key = key;
        payment.expected_versions = std::move(expected);
        return result_of<ChangedOrder>(
            [&](auto done) { service_.pay_again(std::move(payment), std::move(done)); });
    }
    std::int64_t reserved_of(OrderId id) {
        return store_.find_and_lock(session_, std::vector<OrderId>{id}).at(0).refund_reserved_minor;
    }
    RefundOrder refund_of(const OrderView& order, std::int64_t amount_minor, const std::string& key = "") {
        auto refund = *parse_refund(R"({"amount":)" + std::to_string(amount_minor) + "}", order.id);
        refund.requested_by = admin_.user_id;
        refund.idempotency_key = key;
        return refund;
    }
    std::vector<HistoryEntry> history(OrderId id) {
        return *result_of<std::vector<HistoryEntry>>(
            [&](auto done) { service_.history(id, customer_, std::move(done)); });
    }

    messaging::PublishResult tell(const OrderView& order, PaymentStatus status, std::int64_t sequence) {
        contracts::PaymentUpdated news;
        news.order_id = order.id;
        news.payment_id = ids_.generate<PaymentId>();
        news.status = status;
        news.captured_minor = status == PaymentStatus::captured ? order.total.minor : 0;
        news.currency = order.total.currency;
        news.sequence = sequence;
        return tell(news);
    }

    messaging::PublishResult tell(const contracts::PaymentUpdated& news) {
        return publish_update(std::string(contracts::PaymentUpdated::type), contracts::to_json(news),
                              news.order_id.to_string());
    }

    messaging::PublishResult publish_update(std::string type, std::string data, std::string key) {
        messaging::Message message;
        message.id = ids_.generate<EventId>().to_string();
        message.type = std::move(type);
        message.ordering_key = std::move(key);
        message.data = std::move(data);
        // Shared: an answer may come as late as the end of the bus.
        const auto result = std::make_shared<std::optional<messaging::PublishResult>>();
        std::vector<messaging::Outgoing> outgoing;
        outgoing.push_back(
            {message, [result](messaging::PublishResult answer) { *result = std::move(answer); }});
        bus_.publish("order-updates", std::move(outgoing));
        settle();
        return result->value_or(
            messaging::PublishResult{messaging::PublishOutcome::failed, "not answered", 0});
    }

    SystemClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
    telemetry::Metrics metrics_;
    test_support::TestDatabase database_{db::orders_migrations()};
    db::Session session_{database_.options()};
    db::Scheduler scheduler_{clock_};
    messaging::EmbeddedBus bus_{
        clock_,
        random_,
        {{{"payment-events", "payment-service-sub"}, {"order-updates", "order-service-sub"}}}};
    messaging::Outbox outbox_{session_.dialect()};
    OrderStore store_{session_.dialect()};
    ProductStore products_{session_.dialect()};
    OrderWriter writer_{store_, ids_, clock_};
    messaging::Relay relay_{
        scheduler_, outbox_, bus_, random_, clock_, {.alone = true}, note_published(writer_, clock_)};
    OrderService service_{scheduler_, scheduler_, store_, products_, writer_, relay_, ids_, clock_, metrics_};
    Principal customer_{ids_.generate<UserId>(), Role::customer};
    Principal stranger_{ids_.generate<UserId>(), Role::customer};
    Principal admin_{ids_.generate<UserId>(), Role::admin};
    Principal robot_{ids_.generate<UserId>(), Role::service};
    std::vector<messaging::Message> published_;
    std::unique_ptr<messaging::Subscription> updates_;
    std::unique_ptr<messaging::Subscription> events_;
};

}  // namespace quittance::orders
