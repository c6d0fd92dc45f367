#include "orders/order_service.hpp"

#include "orders/order_test_world.hpp"

namespace quittance::orders {
namespace {

using OrderServiceTest = OrderWorld;

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

}  // namespace
}  // namespace quittance::orders
