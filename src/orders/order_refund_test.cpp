#include "orders/order_test_world.hpp"

namespace quittance::orders {
namespace {

using OrderRefundTest = OrderWorld;

TEST_F(OrderRefundTest, refunds_in_one_batch_never_ask_for_more_than_is_there) {
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

TEST_F(OrderRefundTest, a_refund_with_a_key_is_asked_for_once) {
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

TEST_F(OrderRefundTest, a_refund_with_a_forgotten_key_is_the_refund_that_the_key_was_used_for) {
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

TEST_F(OrderRefundTest, a_refund_of_an_order_that_is_not_there_is_refused) {
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

}  // namespace
}  // namespace quittance::orders
