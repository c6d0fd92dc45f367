// What is known of an order's attempts, as the database keeps it.
#include "orders/order_store.hpp"

#include <gtest/gtest.h>

#include "tests/support/test_database.hpp"

namespace quittance::orders {
namespace {

using contracts::PaymentStatus;

const Timestamp noon = timestamp_from_ms(1'700'000'000'000);
const Currency eur = *Currency::parse("EUR");
const UserId user = *UserId::parse("01890000-0000-7000-8000-000000000002");
const OrderId first_id = *OrderId::parse("01890000-0000-7000-8000-000000000011");
const OrderId second_id = *OrderId::parse("01890000-0000-7000-8000-000000000012");

Order placed(OrderId id) {
    const Products products{{"mug", {"mug", "Ceramic mug", {1250, eur}, true}}};
    const OrderRequest request{user, Actor::customer, {{"mug", 2, {}}}, "pm_card_visa"};
    return place_order(request, products, id, noon)->after;
}

contracts::PaymentUpdated update(const Order& order, int attempt, PaymentStatus status,
                                 std::int64_t captured = 0) {
    contracts::PaymentUpdated news;
    news.order_id = order.id;
    news.status = status;
    news.captured_minor = captured;
    news.currency = eur;
    news.sequence = attempt * contracts::sequences_per_attempt + 2;
    if (status == PaymentStatus::failed)
        news.failure = contracts::Failure{"card_declined", "He said \"no\".\n\\ \u20ac"};
    return news;
}

class OrderStoreTest : public testing::Test {
protected:
    Order stored(OrderId id) { return store_.find_and_lock(*session_, std::vector{id}).at(0); }

    test_support::TestDatabase database_{db::orders_migrations()};
    std::unique_ptr<db::Session> session_ = database_.connect();
    OrderStore store_{session_->dialect()};
};

TEST_F(OrderStoreTest, what_is_known_of_each_attempt_comes_back_as_it_was_stored) {
    Order order = placed(first_id);
    store_.insert(*session_, std::vector{order});
    EXPECT_EQ(stored(first_id), order);
    const auto change = [&](Order next) {
        order = std::move(next);
        // Beside an order of a single attempt, in one batch.
        store_.update(*session_, std::vector{stored(second_id), order});
        EXPECT_EQ(stored(first_id), order);
        EXPECT_TRUE(stored(second_id).attempts.empty());
    };
    store_.insert(*session_, std::vector{placed(second_id)});
    change(apply_payment_update(order, update(order, 1, PaymentStatus::failed), noon)->after);
    EXPECT_TRUE(order.attempts.empty());
    change(pay_again(order, "pm_card_visa", Actor::customer, noon)->after);
    change(apply_payment_update(order, update(order, 2, PaymentStatus::failed), noon)->after);
    EXPECT_EQ(order.attempts.size(), 2U);
    auto late = update(order, 1, PaymentStatus::captured, 2000);
    late.sequence += 1;
    change(apply_payment_update(order, late, noon)->after);
    EXPECT_EQ(order.shown_attempt, 1);
    // A refund of an attempt other than the first names it.
    order.shown_attempt = 2;
    order.open_refunds.push_back({*RefundId::parse("01890000-0000-7000-8000-000000000003"), 300, 2});
    change(order);
    const auto view = store_.find(*session_, std::vector{first_id}).at(0);
    EXPECT_EQ(view, view_of(order));
}

TEST_F(OrderStoreTest, an_order_of_a_version_that_knows_one_attempt_is_understood) {
    store_.insert(*session_, std::vector{placed(first_id)});
    session_->run(
        "UPDATE orders SET status = 'PAYMENT_FAILED', payment_status = 'CANCELED', payment_attempt = 2, "
        "payment_sequence = 2000004");
    const Order order = stored(first_id);
    ASSERT_EQ(order.attempts.size(), 1U);
    EXPECT_EQ(order.attempts[0].attempt, 2);
    EXPECT_EQ(order.attempts[0].status, PaymentStatus::canceled);
    EXPECT_EQ(order.shown_attempt, 2);
}

}  // namespace
}  // namespace quittance::orders
