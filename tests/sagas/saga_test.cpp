// What both services together promise about money, while everything happens at once.
#include <iostream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>

#include "audit/order_audit.hpp"
#include "payments/ledger_audit.hpp"
#include "tests/sagas/shop.hpp"

namespace quittance::sagas {
namespace {

using contracts::PaymentStatus;
using orders::OrderStatus;
using payments::CaptureMode;

audit::OrderAudit audit_orders(const Shop& shop) {
    const auto orders = shop.orders_database().connect();
    const auto payments = shop.payments_database().connect();
    return audit::audit_orders(*orders, *payments, shop.clock.now(),
                               {.news_arrive_within = std::chrono::milliseconds(0)});
}

/// Of a shop that has settled.
void expect_balanced_books(const Shop& shop, std::int64_t orders) {
    const auto session = shop.payments_database().connect();
    const auto ledger = payments::audit_ledger(*session, 10);
    for (const auto& finding : ledger.findings)
        ADD_FAILURE() << finding.kind << ": " << finding.detail;
    const auto audit = audit_orders(shop);
    for (const auto& difference : audit.differences)
        ADD_FAILURE() << audit::to_string(difference.kind) << ": " << difference.detail;
    // What changed while its call was out is looked at once more, half a minute later.
    EXPECT_EQ(audit.compared + audit.under_way, orders);
}

/// A constraint of the database that fires fails a batch: the code has to decide before it comes to that.
void expect_no_batch_was_refused(Shop& shop) {
    // Servers with several writers refuse one of two that are in each other's way, which is tried again.
    const bool one_writer = test_support::engine_under_test() == db::Engine::sqlite;
    std::istringstream exposed(shop.metrics.expose());
    int counters = 0;
    for (std::string line; std::getline(exposed, line);) {
        if (!line.starts_with("batch_failures_total{")) continue;
        if (!one_writer && line.find("final=\"true\"") == std::string::npos) continue;
        EXPECT_TRUE(line.ends_with(" 0")) << line;
        ++counters;
    }
    EXPECT_GT(counters, 0);
}

TEST(Saga, ACancellationRacedAgainstTheCaptureEndsWithTheMoneyBackOrIsRefused) {
    constexpr int races = 500;
    Shop shop(CaptureMode::automatic);
    std::mt19937 dice(1);
    struct Race {
        OrderId id;
        std::future<Result<orders::OrderView>> canceled;
        std::future<Result<orders::OrderView>> shipped;
    };
    std::vector<Race> all;
    for (int i = 0; i < races; ++i) {
        Race race{shop.place(), {}, {}};
        const bool ships = i % 4 == 0;
        // From before the payment has begun to well after it is made: only then is there a parcel.
        std::this_thread::sleep_for(std::chrono::microseconds(dice() % (ships ? 40'000 : 12'000)));
        if (ships) race.shipped = shop.set_status(race.id, OrderStatus::shipped);
        race.canceled = shop.set_status(race.id, OrderStatus::canceled);
        all.push_back(std::move(race));
    }
    shop.settle();
    int refunded = 0;
    int refused = 0;
    for (Race& race : all) {
        const orders::Order order = shop.order(race.id);
        const payments::Payment payment = shop.payment(race.id);
        ASSERT_EQ(order.payment_status, payment.status);
        if (race.canceled.get().ok()) {
            ASSERT_EQ(order.status, OrderStatus::canceled);
            ASSERT_EQ(payment.refunded_minor, payment.captured_minor);
            ASSERT_EQ(order.refunded_minor, payment.refunded_minor);
            ASSERT_TRUE(payment.status == PaymentStatus::refunded ||
                        payment.status == PaymentStatus::canceled)
                << contracts::to_string(payment.status);
            refunded += payment.status == PaymentStatus::refunded ? 1 : 0;
        } else {
            ASSERT_EQ(order.status, OrderStatus::shipped);
            ASSERT_EQ(payment.captured_minor, 1250);
            ASSERT_EQ(payment.refunded_minor, 0);
            ++refused;
        }
    }
    EXPECT_EQ(shop.gateway.total_refunds(), refunded);
    EXPECT_EQ(shop.gateway.total_captures(), refunded + refused);
    EXPECT_GT(refunded, 0) << "some were captured before they were canceled";
    EXPECT_GT(refused, 0) << "some were shipped before they were canceled";
    expect_balanced_books(shop, races);
    expect_no_batch_was_refused(shop);
    std::cout << refunded << " refunded, " << refused << " refused, " << races - refunded - refused
              << " never captured\n";
}

TEST(Saga, TwoHundredRefundsAndCapturesAtOnceNeverMoveMoreThanThereIs) {
    constexpr int requests = 200;
    Shop shop(CaptureMode::manual);
    const OrderId id = shop.place();
    shop.settle();
    ASSERT_EQ(shop.order(id).payment_status, PaymentStatus::authorized);
    const payments::Payment authorized = shop.payment(id);

    std::vector<std::future<Result<payments::CommandedPayment>>> captures;
    std::vector<std::future<Result<orders::ChangedOrder>>> refunds;
    for (int i = 0; i < requests; ++i) {
        if (i % 2 == 0) {
            captures.push_back(shop.capture(authorized.id, 1000 + i));
        } else {
            refunds.push_back(shop.refund(id, 30));
        }
        // Past the order service, so that the payment service has to hold by itself.
        const contracts::RefundRequested event{shop.ids.generate<RefundId>(),    id, authorized.user_id,
                                               {70, authorized.amount.currency}, 1,  ""};
        if (i % 4 == 1) shop.publish(event);
        if (i % 20 == 19) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    int captured = 0;
    for (auto& capture : captures) {
        const auto answer = capture.get();
        captured += answer.ok() ? 1 : 0;
        // A constraint of the database that fires would be another code than this.
        if (!answer.ok()) {
            EXPECT_EQ(answer.error().code, ErrorCode::conflict) << answer.error().detail;
        }
    }
    EXPECT_EQ(captured, 1);
    shop.settle();
    // Now that it is captured for sure, all that is left and more is asked back.
    for (int i = 0; i < requests; ++i)
        refunds.push_back(shop.refund(id, 30));
    for (auto& refund : refunds) {
        const auto answer = refund.get();
        if (!answer.ok()) {
            EXPECT_EQ(answer.error().code, ErrorCode::conflict) << answer.error().detail;
        }
    }
    shop.settle();

    const payments::Payment payment = shop.payment(id);
    const orders::Order order = shop.order(id);
    EXPECT_GE(payment.captured_minor, 1000);
    EXPECT_LE(payment.refunded_minor, payment.captured_minor);
    EXPECT_GT(payment.refunded_minor, payment.captured_minor - 70) << "nearly all went back";
    EXPECT_EQ(payment.refund_reserved_minor, 0);
    EXPECT_EQ(order.captured_minor, payment.captured_minor);
    EXPECT_EQ(order.refunded_minor, payment.refunded_minor);
    EXPECT_TRUE(order.open_refunds.empty());
    EXPECT_EQ(order.refund_reserved_minor, 0);
    EXPECT_EQ(shop.gateway.total_captures(), 1);
    expect_balanced_books(shop, 1);
    expect_no_batch_was_refused(shop);
}

TEST(Saga, ACancellationRacedAgainstACaptureByHandEndsWithNothingTaken) {
    constexpr int races = 100;
    Shop shop(CaptureMode::manual);
    std::vector<OrderId> all;
    for (int i = 0; i < races; ++i)
        all.push_back(shop.place());
    shop.settle();
    std::vector<std::future<Result<payments::CommandedPayment>>> captures;
    std::vector<std::future<Result<orders::OrderView>>> canceled;
    for (const OrderId& id : all) {
        const PaymentId payment = shop.payment(id).id;
        captures.push_back(shop.capture(payment, 1000));
        canceled.push_back(shop.set_status(id, OrderStatus::canceled));
    }
    shop.settle();
    for (const OrderId& id : all) {
        const payments::Payment payment = shop.payment(id);
        ASSERT_EQ(payment.refunded_minor, payment.captured_minor);
        ASSERT_EQ(shop.order(id).payment_status, payment.status);
        ASSERT_TRUE(payment.status == PaymentStatus::refunded || payment.status == PaymentStatus::canceled)
            << contracts::to_string(payment.status);
    }
    for (auto& cancellation : canceled)
        EXPECT_TRUE(cancellation.get().ok());
    expect_balanced_books(shop, races);
    expect_no_batch_was_refused(shop);
}

TEST(Saga, OrdersAndPaymentsOfDifferentBackupsAreComparedPageByPage) {
    constexpr int placed = 600;  // More than two pages.
    Shop shop(CaptureMode::automatic);
    std::vector<OrderId> all;
    for (int i = 0; i < placed; ++i)
        all.push_back(shop.place());
    shop.settle();
    expect_balanced_books(shop, placed);
    EXPECT_EQ(audit_orders(shop).under_way, 0);

    const auto orders = shop.orders_database().connect();
    const auto payments = shop.payments_database().connect();
    const auto is = [](const OrderId& id) { return " = '" + id.to_string() + "'"; };
    const OrderId canceled = all[300];
    const OrderId without_order = all[0];
    const OrderId without_payment = all[599];
    orders->run("UPDATE orders SET status = 'CANCELED' WHERE id" + is(canceled));
    orders->run("DELETE FROM orders WHERE id" + is(without_order));
    payments->run("DELETE FROM payments WHERE order_id" + is(without_payment));
    const auto audit = audit_orders(shop);
    using Kind = audit::OrderDifferenceKind;
    std::multiset<std::pair<Kind, OrderId>> found;
    for (const auto& difference : audit.differences)
        found.emplace(difference.kind, difference.order_id);
    EXPECT_THAT(found, testing::UnorderedElementsAre(std::pair(Kind::canceled_order_holds_money, canceled),
                                                     std::pair(Kind::payment_without_order, without_order),
                                                     std::pair(Kind::order_without_payment, without_payment),
                                                     std::pair(Kind::order_amounts_differ, without_payment),
                                                     std::pair(Kind::order_status_differs, without_payment)));
    EXPECT_EQ(audit.compared, placed - 1);

    const auto a_few =
        audit::audit_orders(*orders, *payments, shop.clock.now(),
                            {.news_arrive_within = std::chrono::milliseconds(0), .max_differences = 2});
    EXPECT_EQ(a_few.differences.size(), 2U);
    EXPECT_TRUE(a_few.more);
    const auto at_once = audit::audit_orders(*orders, *payments, shop.clock.now(),
                                             {.news_arrive_within = std::chrono::hours(1)});
    EXPECT_EQ(at_once.under_way, placed - 1) << "news of what has just changed may be on its way";
    EXPECT_EQ(at_once.compared, 0);
}

}  // namespace
}  // namespace quittance::sagas
