#include "orders/order_service.hpp"

#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/migrate.hpp"
#include "messaging/embedded_bus.hpp"
#include "orders/order_json.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::orders {
namespace {

using contracts::PaymentStatus;

/// The order service on a real database and the real embedded bus, in one thread: `settle` runs all work.
class OrderServiceTest : public testing::Test {
protected:
    OrderServiceTest() {
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

    ~OrderServiceTest() override {
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

TEST_F(OrderServiceTest, an_order_is_stored_published_and_paid) {
    const auto created = create(request());
    ASSERT_TRUE(created);
    EXPECT_EQ(created->order.status, OrderStatus::pending);
    EXPECT_FALSE(created->replayed);
    ASSERT_EQ(published_.size(), 1U);
    EXPECT_EQ(published_[0].type, contracts::OrderCreated::type);
    EXPECT_EQ(published_[0].ordering_key, created->order.id.to_string());
    EXPECT_EQ(find(created->order.id, customer_)->status, OrderStatus::processing);

    EXPECT_EQ(tell(created->order, PaymentStatus::captured, 1).outcome, messaging::PublishOutcome::confirmed);
    EXPECT_EQ(find(created->order.id, customer_)->status, OrderStatus::paid);
    std::vector<std::string> statuses;
    for (const auto& entry : history(created->order.id))
        statuses.emplace_back(to_string(entry.status));
    EXPECT_THAT(statuses, testing::ElementsAre("PENDING", "PROCESSING", "PAID"));
    EXPECT_EQ(outbox_.backlog(session_).rows, 0);
}

TEST_F(OrderServiceTest, what_comes_back_is_what_was_stored) {
    const auto created = create(request("", "coffee-grinder", 3));
    updates_.reset();
    auto found = store_.find(session_, std::vector<OrderId>{created->order.id});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(first_version(found[0], "pm_card_visa"), created->order);
    EXPECT_THAT(found[0].items_json, testing::HasSubstr(R"("name":"Coffee grinder")"));
}

TEST_F(OrderServiceTest, a_repeated_key_is_answered_with_the_first_answer_whatever_happened_since) {
    const auto first = create(request("key-1"));
    tell(first->order, PaymentStatus::captured, 1);
    const auto again = create(request("key-1"));
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->order, first->order);
    EXPECT_EQ(published_.size(), 1U);
}

TEST_F(OrderServiceTest, many_workers_give_each_key_one_order_and_each_order_one_cancelation) {
    constexpr std::size_t keys = 60;
    constexpr std::size_t repetitions = 8;
    std::mutex mutex;
    std::map<std::string, std::set<std::string>> orders_of;
    std::size_t answers = 0;
    std::size_t canceled = 0;
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
        workers.emplace_back([this](const std::stop_token& stop) {
            db::Session session(database_.options());
            scheduler_.run(session, stop);
        });
    }
    const auto wait_for = [&](std::size_t count) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (std::chrono::steady_clock::now() < end) {
            {
                const std::lock_guard lock(mutex);
                if (answers == count) return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        FAIL() << "only " << answers << " answers";
    };
    for (std::size_t i = 0; i < keys * repetitions; ++i) {
        const std::string key = std::to_string(i * 7 % keys);
        service_.create(request(key), [&, key](Result<CreatedOrder> created) {
            const std::lock_guard lock(mutex);
            ++answers;
            ASSERT_TRUE(created.ok()) << created.error().detail;
            orders_of[key].insert(created->order.id.to_string());
        });
    }
    wait_for(keys * repetitions);
    for (std::size_t i = 0; i < repetitions; ++i) {
        for (const auto& [key, ids] : orders_of) {
            ASSERT_EQ(ids.size(), 1U) << key;
            const SetStatus cancel{OrderStatus::canceled, std::nullopt};
            ChangeOrder change{*OrderId::parse(*ids.begin()), customer_, cancel, ""};
            service_.change(std::move(change), [&](Result<OrderView> result) {
                const std::lock_guard lock(mutex);
                ++answers;
                canceled += result ? 1 : 0;
            });
        }
    }
    wait_for(2 * keys * repetitions);
    workers.clear();
    EXPECT_EQ(orders_of.size(), keys);
    EXPECT_EQ(canceled, keys);
}

TEST_F(OrderServiceTest, a_key_with_another_request_is_refused) {
    ASSERT_TRUE(create(request("key-1")));
    EXPECT_EQ(create(request("key-1", "ceramic-mug", 3)).error().code, ErrorCode::invalid);
}

TEST_F(OrderServiceTest, a_key_belongs_to_one_user) {
    const auto mine = create(request("key-1"));
    auto theirs = request("key-1");
    theirs.request.user_id = stranger_.user_id;
    const auto other = create(theirs);
    EXPECT_FALSE(other->replayed);
    EXPECT_NE(other->order.id, mine->order.id);
}

TEST_F(OrderServiceTest, a_refused_request_does_not_use_up_its_key) {
    EXPECT_EQ(create(request("key-1", "no-such-product")).error().code, ErrorCode::invalid);
    EXPECT_FALSE(create(request("key-1"))->replayed);
}

TEST_F(OrderServiceTest, one_batch_serves_each_request_by_itself) {
    std::vector<Result<CreatedOrder>> results;
    const auto collect = [&](Result<CreatedOrder> result) { results.push_back(std::move(result)); };
    service_.create(request(), collect);
    service_.create(request("", "old"), collect);
    service_.create(request("same"), collect);
    service_.create(request("same"), collect);
    service_.create(request("same", "ceramic-mug", 9), collect);
    service_.create(request("bad", "no-such-product"), collect);
    service_.create(request("bad"), collect);
    ASSERT_TRUE(scheduler_.step(session_));
    ASSERT_EQ(results.size(), 7U) << "one step executes the whole batch";
    EXPECT_TRUE(results[0]);
    EXPECT_EQ(results[1].error().faults.at(0).pointer, "/items/0/productId");
    EXPECT_FALSE(results[2]->replayed);
    EXPECT_TRUE(results[3]->replayed);
    EXPECT_EQ(results[3]->order, results[2]->order);
    EXPECT_EQ(results[4].error().code, ErrorCode::invalid);
    EXPECT_EQ(results[5].error().code, ErrorCode::invalid);
    EXPECT_FALSE(results[6]->replayed);
    settle();
    EXPECT_EQ(published_.size(), 3U);
}

TEST_F(OrderServiceTest, other_peoples_orders_are_not_there) {
    const OrderId id = create(request())->order.id;
    EXPECT_EQ(find(id, stranger_).error().code, ErrorCode::not_found);
    EXPECT_TRUE(find(id, admin_));
    EXPECT_EQ(change(id, SetStatus{OrderStatus::canceled, {}}, stranger_).error().code, ErrorCode::not_found);
    for (const Principal& who : {stranger_, admin_})
        EXPECT_EQ(pay_again(id, who).error().code, ErrorCode::not_found);
    EXPECT_EQ(result_of<std::vector<HistoryEntry>>(
                  [&](auto done) { service_.history(id, stranger_, std::move(done)); })
                  .error()
                  .code,
              ErrorCode::not_found);
}

TEST_F(OrderServiceTest, readers_of_one_batch_each_see_only_their_own) {
    const OrderId id = create(request())->order.id;
    std::vector<bool> seen;
    for (const Principal& who : {customer_, stranger_, admin_, customer_}) {
        service_.find(id, who, [&](const Result<OrderView>& order) {
            // All of it, however many ask for it.
            seen.push_back(order.ok() && !order->items_json.empty());
        });
    }
    settle();
    EXPECT_THAT(seen, testing::ElementsAre(true, false, true, true));
}

TEST_F(OrderServiceTest, a_declined_order_is_paid_again) {
    const auto order = create(request())->order;
    tell(order, PaymentStatus::failed, 1'000'002);
    EXPECT_EQ(find(order.id, customer_)->status, OrderStatus::payment_failed);
    ASSERT_TRUE(pay_again(order.id, customer_));
    ASSERT_EQ(published_.size(), 2U);
    EXPECT_EQ(published_[1].type, contracts::PaymentRetryRequested::type);
    EXPECT_EQ(find(order.id, customer_)->status, OrderStatus::processing);
    EXPECT_EQ(tell(order, PaymentStatus::canceled, 1'000'003).outcome, messaging::PublishOutcome::confirmed);
    EXPECT_EQ(find(order.id, customer_)->status, OrderStatus::processing) << "that was the first attempt";
    tell(order, PaymentStatus::captured, 2'000'002);
    EXPECT_EQ(find(order.id, customer_)->status, OrderStatus::paid);
}

TEST_F(OrderServiceTest, a_repeated_request_pays_once) {
    const auto order = create(request())->order;
    tell(order, PaymentStatus::failed, 1);
    const auto first = pay_again(order.id, customer_, "retry-1");
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_FALSE(first->replayed);
    // The second attempt has failed by the time of the repetition: only the key keeps the bank from being
    // asked.
    tell(order, PaymentStatus::failed, 2'000'001);
    const auto again = pay_again(order.id, customer_, "retry-1");
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->order.id, order.id);
    EXPECT_EQ(published_.size(), 2U) << "an order and one more attempt";
    EXPECT_EQ(pay_again(order.id, customer_, "retry-1", "pm_card_visa").error().code, ErrorCode::invalid);
    EXPECT_FALSE(pay_again(order.id, customer_, "retry-2")->replayed);
    EXPECT_EQ(published_.size(), 3U);
}

TEST_F(OrderServiceTest, the_key_of_an_order_pays_for_nothing_else) {
    const auto order = create(request("one-key"))->order;
    tell(order, PaymentStatus::failed, 1);
    EXPECT_EQ(pay_again(order.id, customer_, "one-key").error().code, ErrorCode::invalid);
    EXPECT_EQ(published_.size(), 1U);
}

TEST_F(OrderServiceTest, a_version_guards_payments_and_refunds) {
    const auto order = create(request())->order;
    tell(order, PaymentStatus::failed, 1);
    const int version = find(order.id, customer_)->version;
    EXPECT_EQ(pay_again(order.id, customer_, "", "pm_card_visa", {{version - 1}}).error().code,
              ErrorCode::precondition_failed);
    EXPECT_EQ(published_.size(), 1U) << "nothing happened";
    EXPECT_TRUE(pay_again(order.id, customer_, "", "pm_card_visa", {{version}}));
    tell(order, PaymentStatus::captured, 2);

    auto refund = refund_of(order, 1, "guarded");
    refund.expected_versions = {{version}};
    const auto ask = [&] {
        return result_of<ChangedOrder>([&](auto done) { service_.refund(refund, std::move(done)); });
    };
    EXPECT_EQ(ask().error().code, ErrorCode::precondition_failed);
    EXPECT_EQ(reserved_of(order.id), 0);
    refund.expected_versions = {{find(order.id, customer_)->version}};
    EXPECT_TRUE(ask());
    EXPECT_EQ(reserved_of(order.id), 1);
    EXPECT_TRUE(ask()->replayed) << "a repetition comes before the condition, which its own effect broke";
}

TEST_F(OrderServiceTest, a_canceled_order_tells_the_payment_service) {
    const auto order = create(request())->order;
    ASSERT_TRUE(change(order.id, SetStatus{OrderStatus::canceled, {}}, customer_));
    ASSERT_EQ(published_.size(), 2U);
    EXPECT_EQ(published_[1].type, contracts::OrderCanceled::type);
}

TEST_F(OrderServiceTest, a_service_may_set_a_status_and_a_version_guards_it) {
    const auto order = create(request())->order;
    tell(order, PaymentStatus::captured, 1);
    EXPECT_EQ(change(order.id, SetStatus{OrderStatus::shipped, {{1, 2}}}, robot_).error().code,
              ErrorCode::precondition_failed);
    EXPECT_TRUE(change(order.id, SetStatus{OrderStatus::shipped, {{1, 3}}}, robot_));
    EXPECT_TRUE(change(order.id, SetStatus{OrderStatus::delivered, {}}, admin_));
}

TEST_F(OrderServiceTest, refunds_in_one_batch_never_ask_for_more_than_is_there) {
    const OrderView order = create(request("", "ceramic-mug", 1))->order;
    tell(order, PaymentStatus::captured, 5);
    std::vector<Result<ChangedOrder>> answers;
    for (int i = 0; i < 20; ++i) {
        service_.refund(refund_of(order, order.total.minor / 5),
                        [&](Result<ChangedOrder> answer) { answers.push_back(std::move(answer)); });
    }
    settle();
    ASSERT_EQ(answers.size(), 20U);
    EXPECT_EQ(std::ranges::count_if(answers, [](const auto& answer) { return answer.ok(); }), 5);
    const auto refused = std::ranges::find_if(answers, [](const auto& answer) { return !answer.ok(); });
    EXPECT_EQ(refused->error().code, ErrorCode::conflict);
    EXPECT_EQ(reserved_of(order.id), order.total.minor);
    EXPECT_EQ(std::ranges::count(published_, contracts::RefundRequested::type, &messaging::Message::type), 5);
}

TEST_F(OrderServiceTest, a_refund_with_a_key_is_asked_for_once) {
    const OrderView order = create(request("", "ceramic-mug", 1))->order;
    tell(order, PaymentStatus::captured, 5);
    const auto refund = [&](std::int64_t amount, const std::string& key) {
        return result_of<ChangedOrder>(
            [&](auto done) { service_.refund(refund_of(order, amount, key), std::move(done)); });
    };
    EXPECT_FALSE(refund(order.total.minor + 1, "r1")) << "what is refused does not use up its key";
    EXPECT_FALSE(refund(100, "r1")->replayed);
    const auto again = refund(100, "r1");
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->order.version, find(order.id, customer_)->version);
    EXPECT_EQ(reserved_of(order.id), 100);
    EXPECT_EQ(refund(101, "r1").error().code, ErrorCode::invalid);
    EXPECT_EQ(create(request("r2"))->replayed, false);
    EXPECT_TRUE(refund(100, "r2")) << "a key belongs to one user, and the customer is another";
    // Twice in one batch.
    std::vector<bool> replayed;
    for (int i = 0; i < 2; ++i) {
        service_.refund(refund_of(order, 50, "r3"),
                        [&](auto answer) { replayed.push_back(answer->replayed); });
    }
    settle();
    EXPECT_THAT(replayed, testing::ElementsAre(false, true));
    EXPECT_EQ(reserved_of(order.id), 250);
}

TEST_F(OrderServiceTest, a_refund_with_a_forgotten_key_is_the_refund_that_the_key_was_used_for) {
    const OrderView order = create(request("", "ceramic-mug", 1))->order;
    tell(order, PaymentStatus::captured, 1'000'002);
    const auto refund = [&](std::int64_t amount) {
        session_.run("DELETE FROM idempotency_keys");
        return result_of<ChangedOrder>(
            [&](auto done) { service_.refund(refund_of(order, amount, "r1"), std::move(done)); });
    };
    const auto refund_events = [&] {
        std::vector<RefundId> ids;
        for (const messaging::Message& message : published_) {
            if (message.type != contracts::RefundRequested::type) continue;
            const auto event = contracts::parse_payment_event(message.type, message.data);
            ids.push_back(std::get<contracts::RefundRequested>(*event).refund_id);
        }
        return ids;
    };
    EXPECT_FALSE(refund(100)->replayed);
    // While it is under way.
    EXPECT_TRUE(refund(100)->replayed);
    EXPECT_EQ(refund(101).error().code, ErrorCode::invalid);
    EXPECT_EQ(reserved_of(order.id), 100);
    const RefundId id = refund_events().at(0);
    EXPECT_EQ(refund_events().size(), 1U);
    // After it was made: the payment service, which knows it, repeats its outcome.
    contracts::PaymentUpdated made{.order_id = order.id,
                                   .payment_id = ids_.generate<PaymentId>(),
                                   .status = PaymentStatus::partially_refunded,
                                   .captured_minor = order.total.minor,
                                   .refunded_minor = 100,
                                   .currency = order.total.currency,
                                   .sequence = 1'000'004,
                                   .refund = contracts::RefundOutcome{id, 100, std::nullopt}};
    tell(made);
    EXPECT_EQ(reserved_of(order.id), 0);
    EXPECT_FALSE(refund(100)->replayed);
    EXPECT_EQ(refund_events(), (std::vector{id, id}));
    EXPECT_EQ(reserved_of(order.id), 100);
    tell(made);
    EXPECT_EQ(reserved_of(order.id), 0);
    EXPECT_EQ(find(order.id, customer_)->refunded_minor, 100);
}

TEST_F(OrderServiceTest, a_refund_of_an_order_that_is_not_there_is_refused) {
    const OrderView order = create(request())->order;
    OrderView other = order;
    other.id = ids_.generate<OrderId>();
    EXPECT_EQ(
        result_of<ChangedOrder>([&](auto done) { service_.refund(refund_of(other, 1), std::move(done)); })
            .error()
            .code,
        ErrorCode::not_found);
    EXPECT_EQ(
        result_of<ChangedOrder>([&](auto done) { service_.refund(refund_of(order, 1), std::move(done)); })
            .error()
            .code,
        ErrorCode::conflict)
        << "nothing is paid yet";
}

TEST_F(OrderServiceTest, changes_to_one_order_in_one_batch_follow_one_another) {
    const OrderId id = create(request())->order.id;
    std::vector<Result<OrderView>> results;
    for (int i = 0; i < 2; ++i) {
        service_.change({id, customer_, SetStatus{OrderStatus::canceled, {}}, ""},
                        [&](Result<OrderView> result) { results.push_back(std::move(result)); });
    }
    ASSERT_TRUE(scheduler_.step(session_));
    EXPECT_TRUE(results.at(0));
    EXPECT_EQ(results.at(1).error().code, ErrorCode::conflict);
}

TEST_F(OrderServiceTest, updates_that_cannot_be_handled_never_block_those_behind_them) {
    const auto order = create(request())->order;
    EXPECT_EQ(publish_update("no.such.type", "{}", "a").outcome, messaging::PublishOutcome::dead_lettered);
    EXPECT_EQ(publish_update(std::string(contracts::PaymentUpdated::type), "{not json", "b").outcome,
              messaging::PublishOutcome::dead_lettered);
    OrderView unknown = order;
    unknown.id = ids_.generate<OrderId>();
    EXPECT_EQ(tell(unknown, PaymentStatus::captured, 1).reason, "not answered") << "kept for later";
    OrderView dearer = order;
    dearer.total.minor += 1;
    EXPECT_EQ(tell(dearer, PaymentStatus::captured, 1).outcome, messaging::PublishOutcome::dead_lettered);
    EXPECT_EQ(tell(order, PaymentStatus::captured, 1).outcome, messaging::PublishOutcome::confirmed);
    EXPECT_EQ(find(order.id, customer_)->status, OrderStatus::paid);
    const auto less = tell(order, PaymentStatus::pending, 2);
    EXPECT_EQ(less.outcome, messaging::PublishOutcome::dead_lettered);
    EXPECT_THAT(less.reason, testing::HasSubstr("captured 2500 and refunded 0 are known"));
    EXPECT_EQ(find(order.id, customer_)->captured_minor, order.total.minor);
}

TEST_F(OrderServiceTest, an_update_that_overtakes_its_order_is_kept_until_that_is_stored) {
    const OrderId id = create(request())->order.id;
    const Order order = store_.find_and_lock(session_, std::vector<OrderId>{id}).at(0);
    // As if the order were still to be committed.
    session_.run("DELETE FROM orders");
    EXPECT_EQ(tell(order, PaymentStatus::captured, 1).reason, "not answered");
    store_.insert(session_, std::vector{order});
    const auto end = clock_.now() + std::chrono::seconds(10);
    while (find(order.id, customer_)->status != OrderStatus::paid) {
        ASSERT_LT(clock_.now(), end) << "it was not brought again";
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

TEST_F(OrderServiceTest, lists_pages_newest_first) {
    std::vector<OrderId> ids;
    for (int i = 0; i < 5; ++i)
        ids.push_back(create(request())->order.id);
    auto theirs = request();
    theirs.request.user_id = stranger_.user_id;
    static_cast<void>(create(theirs));
    const auto page = [&](OrderQuery query) {
        return *result_of<OrderPage>([&](auto done) { service_.list(query, std::move(done)); });
    };
    OrderQuery query{customer_.user_id, {}, {}, 2};
    std::vector<OrderId> seen;
    while (true) {
        const OrderPage found = page(query);
        for (const OrderView& order : found.orders)
            seen.push_back(order.id);
        if (!found.has_more) break;
        query.before = found.orders.back().id;
    }
    std::ranges::reverse(seen);
    EXPECT_EQ(seen, ids);
    EXPECT_EQ(page({{}, {}, {}, 100}).orders.size(), 6U);
    EXPECT_EQ(page({customer_.user_id, OrderStatus::paid, {}, 100}).orders.size(), 0U);
    EXPECT_EQ(page({customer_.user_id, OrderStatus::processing, {}, 5}).orders.size(), 5U);
    EXPECT_FALSE(page({customer_.user_id, OrderStatus::processing, {}, 5}).has_more);
}

TEST_F(OrderServiceTest, old_idempotency_keys_are_forgotten_and_young_ones_kept) {
    static_cast<void>(create(request("young")));
    const auto yesterday = clock_.now() - db::idempotency_key_lifetime - std::chrono::hours(1);
    const std::vector<IdempotencyKey> old{
        {customer_.user_id, "old", "f", ids_.generate<OrderId>().bytes(), yesterday}};
    store_.keys().insert_new(session_, old);
    service_.step();
    settle();
    EXPECT_TRUE(store_.keys().find(session_, old).empty());
    EXPECT_TRUE(create(request("young"))->replayed);
}

TEST_F(OrderServiceTest, many_old_idempotency_keys_are_forgotten_without_waiting_for_the_next_time) {
    const auto yesterday = clock_.now() - db::idempotency_key_lifetime - std::chrono::hours(1);
    std::vector<IdempotencyKey> old;
    for (int i = 0; i < 5'000; ++i) {
        old.push_back(
            {customer_.user_id, "old" + std::to_string(i), "f", ids_.generate<OrderId>().bytes(), yesterday});
    }
    store_.keys().insert_new(session_, old);
    for (int i = 0; i < 5; ++i) {
        service_.step();
        settle();
    }
    EXPECT_TRUE(store_.keys().find(session_, old).empty());
}

}  // namespace
}  // namespace quittance::orders
