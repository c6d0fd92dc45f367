#include "audit/order_audit.hpp"

#include <optional>
#include <utility>

#include <gmock/gmock.h>

#include "payments/payment_testing.hpp"

namespace quittance::audit {
namespace {

using contracts::PaymentStatus;
using orders::Order;
using orders::OrderStatus;
using payments::Payment;
using payments::payment_in;
using testing::ElementsAre;
using testing::IsEmpty;

Payment attempt(int number, PaymentStatus status) {
    Payment payment = payment_in(status);
    payment.id = *PaymentId::parse("019ab000-0000-7000-8000-00000000010" + std::to_string(number));
    payment.attempt = number;
    return payment;
}

/// An order of one attempt that shows this payment truly.
Order order_of(OrderStatus status, const Payment& payment) {
    Order order;
    order.id = payment.order_id;
    order.user_id = payment.user_id;
    order.status = status;
    order.total = payment.amount;
    order.payment_attempt = order.shown_attempt = payment.attempt;
    order.payment_status = payment.status;
    order.captured_minor = payment.captured_minor;
    order.refunded_minor = payment.refunded_minor;
    return order;
}

/// With what it knows of each attempt, of which it shows the last.
Order order_of(OrderStatus status, const std::vector<Payment>& payments) {
    Order order = order_of(status, payments.back());
    for (const Payment& payment : payments) {
        order.attempts.push_back(
            {payment.attempt, 1, payment.status, payment.captured_minor, payment.refunded_minor, {}});
    }
    return order;
}

std::vector<OrderDifferenceKind> kinds_of(const Order& order, const std::vector<Payment>& payments) {
    std::vector<OrderDifferenceKind> kinds;
    for (const OrderDifference& difference : compare(order, payments)) {
        kinds.push_back(difference.kind);
        EXPECT_EQ(difference.order_id, order.id);
        EXPECT_FALSE(difference.detail.empty());
    }
    return kinds;
}

TEST(OrderAuditTest, nothing_differs_where_both_say_the_same) {
    for (const auto& [status, payment_status] : {std::pair{OrderStatus::paid, PaymentStatus::captured},
                                                 {OrderStatus::shipped, PaymentStatus::partially_refunded},
                                                 {OrderStatus::refunded, PaymentStatus::refunded},
                                                 {OrderStatus::canceled, PaymentStatus::refunded},
                                                 {OrderStatus::canceled, PaymentStatus::canceled},
                                                 {OrderStatus::payment_failed, PaymentStatus::failed},
                                                 {OrderStatus::processing, PaymentStatus::authorized}}) {
        const Payment payment = attempt(1, payment_status);
        EXPECT_THAT(compare(order_of(status, payment), std::span(&payment, 1)), IsEmpty())
            << orders::to_string(status);
    }
}

TEST(OrderAuditTest, nothing_differs_where_an_earlier_attempt_failed) {
    const std::vector payments{attempt(1, PaymentStatus::failed), attempt(2, PaymentStatus::captured)};
    EXPECT_THAT(kinds_of(order_of(OrderStatus::paid, payments), payments), IsEmpty());
}

TEST(OrderAuditTest, an_order_that_waits_for_a_payment_that_does_not_exist_is_named) {
    Order order = order_of(OrderStatus::pending, attempt(1, PaymentStatus::pending));
    EXPECT_THAT(kinds_of(order, {}), ElementsAre(OrderDifferenceKind::order_without_payment));
    order.status = OrderStatus::canceled;
    EXPECT_THAT(kinds_of(order, {}), ElementsAre(OrderDifferenceKind::order_without_payment));
}

TEST(OrderAuditTest, money_of_a_payment_that_does_not_exist_is_named) {
    const Order order = order_of(OrderStatus::paid, attempt(1, PaymentStatus::captured));
    EXPECT_THAT(kinds_of(order, {}), ElementsAre(OrderDifferenceKind::order_without_payment,
                                                 OrderDifferenceKind::order_amounts_differ,
                                                 OrderDifferenceKind::order_status_differs));
}

TEST(OrderAuditTest, amounts_are_summed_over_all_attempts) {
    std::vector payments{attempt(1, PaymentStatus::refunded), attempt(2, PaymentStatus::captured)};
    const Order order = order_of(OrderStatus::paid, payments);
    EXPECT_THAT(kinds_of(order, payments), IsEmpty());
    payments[0].refunded_minor -= 1;
    EXPECT_THAT(kinds_of(order, payments), ElementsAre(OrderDifferenceKind::order_amounts_differ,
                                                       OrderDifferenceKind::captured_by_several));
}

TEST(OrderAuditTest, an_order_that_was_not_told_of_its_payment_is_named) {
    const Payment payment = attempt(1, PaymentStatus::captured);
    Order order = order_of(OrderStatus::processing, attempt(1, PaymentStatus::pending));
    EXPECT_THAT(kinds_of(order, {payment}), ElementsAre(OrderDifferenceKind::order_amounts_differ,
                                                        OrderDifferenceKind::order_status_differs,
                                                        OrderDifferenceKind::order_status_differs));
}

TEST(OrderAuditTest, a_status_that_the_money_denies_is_named) {
    const Payment failed = attempt(1, PaymentStatus::failed);
    EXPECT_THAT(kinds_of(order_of(OrderStatus::paid, failed), {failed}),
                ElementsAre(OrderDifferenceKind::order_status_differs));
    const Payment captured = attempt(1, PaymentStatus::captured);
    EXPECT_THAT(kinds_of(order_of(OrderStatus::payment_failed, captured), {captured}),
                ElementsAre(OrderDifferenceKind::order_status_differs));
    EXPECT_THAT(kinds_of(order_of(OrderStatus::refunded, captured), {captured}),
                ElementsAre(OrderDifferenceKind::order_status_differs));
}

TEST(OrderAuditTest, an_order_without_a_price_is_paid_by_nothing) {
    Payment free = attempt(1, PaymentStatus::captured);
    free.amount.minor = free.captured_minor = 0;
    EXPECT_THAT(kinds_of(order_of(OrderStatus::paid, free), {free}), IsEmpty());
}

TEST(OrderAuditTest, money_of_a_canceled_order_is_named_with_its_payment) {
    const std::vector payments{attempt(1, PaymentStatus::failed), attempt(2, PaymentStatus::captured)};
    const auto differences = compare(order_of(OrderStatus::canceled, payments), payments);
    ASSERT_EQ(differences.size(), 1U);
    EXPECT_EQ(differences[0].kind, OrderDifferenceKind::canceled_order_holds_money);
    EXPECT_EQ(differences[0].payment_id, payments[1].id.to_string());
    EXPECT_EQ(differences[0].detail, "it is CANCELED, and attempt 2 holds 1000");
}

TEST(OrderAuditTest, each_payment_that_holds_money_beside_another_is_named) {
    const std::vector payments{attempt(1, PaymentStatus::captured), attempt(2, PaymentStatus::failed),
                               attempt(3, PaymentStatus::captured)};
    EXPECT_THAT(kinds_of(order_of(OrderStatus::paid, payments), payments),
                ElementsAre(OrderDifferenceKind::captured_by_several));
}

TEST(OrderAuditTest, an_amount_reserved_for_a_refund_that_is_not_under_way_is_named) {
    const Payment payment = attempt(1, PaymentStatus::captured);
    Order order = order_of(OrderStatus::paid, payment);
    order.open_refunds.push_back({payments::refund_id, 300, 1});
    EXPECT_THAT(kinds_of(order, {payment}), ElementsAre(OrderDifferenceKind::refund_without_outcome));
}

}  // namespace
}  // namespace quittance::audit
