#include "orders/order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::orders {
namespace {

using contracts::PaymentStatus;
using testing::ElementsAre;

const Timestamp noon = timestamp_from_ms(1'700'000'000'000);
const Timestamp later = timestamp_from_ms(1'700'000'001'000);
const Currency eur = *Currency::parse("EUR");
const Currency jpy = *Currency::parse("JPY");
const OrderId order_id = *OrderId::parse("01890000-0000-7000-8000-000000000001");
const UserId user_id = *UserId::parse("01890000-0000-7000-8000-000000000002");

const Products products{
    {"mug", {"mug", "Ceramic mug", {1250, eur}, true}},
    {"beans", {"beans", "Coffee beans", {1890, eur}, true}},
    {"old", {"old", "Old thing", {100, eur}, false}},
    {"card", {"card", "Gift card", {5000, jpy}, true}},
    {"yacht", {"yacht", "Yacht", {max_amount_minor, eur}, true}},
};

OrderRequest request(std::vector<RequestedItem> items) {
    return {user_id, Actor::customer, std::move(items), "pm_card_visa"};
}

Order placed() {
    return place_order(request({{"mug", 2, {}}, {"beans", 1, {}}}), products, order_id, noon)->after;
}

Order in_status(OrderStatus status, PaymentStatus payment_status) {
    Order order = placed();
    order.status = status;
    order.payment_status = payment_status;
    return order;
}

contracts::PaymentUpdated update(PaymentStatus status, std::int64_t sequence = 5) {
    contracts::PaymentUpdated news;
    news.order_id = order_id;
    news.status = status;
    news.currency = eur;
    news.sequence = sequence;
    const bool has_money = status == PaymentStatus::captured || status == PaymentStatus::refunded;
    news.captured_minor = has_money ? placed().total.minor : 0;
    news.refunded_minor = status == PaymentStatus::refunded ? placed().total.minor : 0;
    if (status == PaymentStatus::failed) news.failure = contracts::Failure{"card_declined", "No."};
    return news;
}

std::vector<std::string> statuses(const Transition& transition) {
    std::vector<std::string> names;
    for (const auto& entry : transition.history)
        names.emplace_back(to_string(entry.status));
    return names;
}

TEST(PlaceOrder, takes_names_and_prices_from_the_catalogue) {
    const auto transition =
        place_order(request({{"mug", 2, {}}, {"beans", 3, {}}}), products, order_id, noon);
    ASSERT_TRUE(transition);
    const Order& order = transition->after;
    EXPECT_EQ(order.total, (Money{2 * 1250 + 3 * 1890, eur}));
    EXPECT_EQ(order.items_json,
              R"([{"productId":"mug","name":"Ceramic mug","quantity":2,"unitPrice":1250},)"
              R"({"productId":"beans","name":"Coffee beans","quantity":3,"unitPrice":1890}])");
    EXPECT_EQ(order.status, OrderStatus::pending);
    EXPECT_EQ(order.version, 1);
    EXPECT_THAT(statuses(*transition), ElementsAre("PENDING"));
    ASSERT_EQ(transition->events.size(), 1U);
    const auto& created = std::get<contracts::OrderCreated>(transition->events[0]);
    EXPECT_EQ(created.amount, order.total);
    EXPECT_EQ(created.attempt, 1);
}

TEST(PlaceOrder, names_every_item_at_fault) {
    const auto refused = place_order(
        request({{"none", 1, {}}, {"old", 1, {}}, {"mug", 1, {}}, {"card", 1, {}}, {"yacht", 1, {}}}),
        products, order_id, noon);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid);
    std::vector<std::string> pointers;
    for (const auto& fault : refused.error().faults)
        pointers.push_back(fault.pointer);
    EXPECT_THAT(pointers, ElementsAre("/items/0/productId", "/items/1/productId", "/items/3/productId",
                                      "/items/4/quantity"));
}

TEST(PlaceOrder, refuses_a_line_and_a_sum_that_overflow) {
    EXPECT_FALSE(place_order(request({{"yacht", 2, {}}}), products, order_id, noon));
    EXPECT_FALSE(place_order(request({{"yacht", max_quantity, {}}}), products, order_id, noon));
    EXPECT_TRUE(place_order(request({{"yacht", 1, {}}}), products, order_id, noon));
}

TEST(PlaceOrder, takes_a_price_from_outside_when_one_is_given) {
    const auto transition =
        place_order(request({{"mug", 1, Money{99, eur}}, {"not-in-catalogue", 2, Money{50, eur}}}), products,
                    order_id, noon);
    ASSERT_TRUE(transition);
    EXPECT_EQ(transition->after.total.minor, 199);
    EXPECT_EQ(transition->after.items_json,
              R"([{"productId":"mug","name":"Ceramic mug","quantity":1,"unitPrice":99},)"
              R"({"productId":"not-in-catalogue","name":"not-in-catalogue","quantity":2,"unitPrice":50}])");
}

TEST(FirstVersion, is_the_order_as_it_was_placed) {
    const Order first = placed();
    auto paid = apply_payment_update(first, update(PaymentStatus::failed), later);
    auto again = pay_again(paid->after, "pm_card_mastercard", Actor::customer, later);
    EXPECT_EQ(first_version(again->after, "pm_card_visa"), first);
}

/// As much of it as the step takes.
Order with_money_for(OrderStatus step, Order order) {
    const bool is_back = step == OrderStatus::refunded;
    const bool is_held = step == OrderStatus::paid || step == OrderStatus::shipped;
    if (is_held || is_back) order.captured_minor = order.total.minor;
    if (is_back) order.refunded_minor = order.total.minor;
    return order;
}

TEST(SetStatus, follows_the_legal_steps_and_no_others) {
    using enum OrderStatus;
    const std::map<OrderStatus, std::vector<OrderStatus>> legal{
        {pending, {processing, canceled}},
        {processing, {paid, payment_failed, canceled}},
        {paid, {shipped, canceled, refunded}},
        {payment_failed, {processing, canceled}},
        {canceled, {}},
        {shipped, {delivered, refunded}},
        {delivered, {refunded}},
        {refunded, {}},
    };
    for (const auto& [from, targets] : legal) {
        for (const auto& [to, unused] : legal) {
            const bool expected = std::ranges::find(targets, to) != targets.end();
            EXPECT_EQ(is_legal(from, to), expected) << to_string(from) << " to " << to_string(to);
            const Order order = with_money_for(to, in_status(from, PaymentStatus::failed));
            const auto result = set_status(order, to, Actor::admin, later);
            EXPECT_EQ(result.ok(), expected) << to_string(from) << " to " << to_string(to);
            if (result) {
                EXPECT_EQ(result->after.version, order.version + 1);
                EXPECT_EQ(result->after.updated_at, later);
            } else {
                EXPECT_EQ(result.error().code, ErrorCode::conflict);
                EXPECT_NE(result.error().detail.find(to_string(from)), std::string::npos);
                EXPECT_NE(result.error().detail.find(to_string(to)), std::string::npos);
            }
        }
    }
}

TEST(SetStatus, lets_customers_cancel_and_nothing_else) {
    const auto canceled = set_status(placed(), OrderStatus::canceled, Actor::customer, later);
    ASSERT_TRUE(canceled);
    ASSERT_EQ(canceled->events.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<contracts::OrderCanceled>(canceled->events[0]));
    for (const auto target : {OrderStatus::processing, OrderStatus::paid, OrderStatus::shipped}) {
        EXPECT_EQ(set_status(placed(), target, Actor::customer, later).error().code, ErrorCode::forbidden);
    }
}

TEST(SetStatus, does_not_claim_a_refund_that_did_not_happen) {
    const auto refused = set_status(in_status(OrderStatus::paid, PaymentStatus::captured),
                                    OrderStatus::refunded, Actor::admin, later);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
}

std::string refusal(const Order& order, OrderStatus target) {
    const auto refused = set_status(order, target, Actor::admin, later);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    return refused.error().detail;
}

TEST(SetStatus, only_money_makes_an_order_paid) {
    Order order = in_status(OrderStatus::processing, PaymentStatus::authorized);
    EXPECT_EQ(
        refusal(order, OrderStatus::paid),
        "An order that is PROCESSING becomes PAID when all of its total is captured, and not before: of "
        "43.90 EUR 0.00 EUR is.");
    order.captured_minor = order.total.minor - 1;
    EXPECT_THAT(refusal(order, OrderStatus::paid), testing::HasSubstr("43.89 EUR"));
    order.captured_minor = order.total.minor;
    EXPECT_TRUE(set_status(order, OrderStatus::paid, Actor::service, later));
    Order free = in_status(OrderStatus::processing, PaymentStatus::pending);
    free.total.minor = 0;
    EXPECT_TRUE(set_status(free, OrderStatus::paid, Actor::admin, later)) << "there is nothing to pay";
}

TEST(SetStatus, does_not_call_an_order_unpaid_while_its_payment_may_still_bring_money) {
    for (const auto status : {PaymentStatus::pending, PaymentStatus::authorized, PaymentStatus::unknown}) {
        EXPECT_EQ(refusal(in_status(OrderStatus::processing, status), OrderStatus::payment_failed),
                  "An order that is PROCESSING becomes PAYMENT_FAILED when no payment may still bring money, "
                  "and not while one is " +
                      std::string(contracts::to_string(status)) + ".");
    }
    for (const auto status :
         {PaymentStatus::failed, PaymentStatus::requires_action, PaymentStatus::canceled}) {
        EXPECT_TRUE(set_status(in_status(OrderStatus::processing, status), OrderStatus::payment_failed,
                               Actor::admin, later));
    }
    Order held = in_status(OrderStatus::processing, PaymentStatus::failed);
    held.captured_minor = 1;
    EXPECT_THAT(refusal(held, OrderStatus::payment_failed), testing::HasSubstr("may still bring money"));
}

TEST(SetStatus, ships_nothing_without_money) {
    Order order = in_status(OrderStatus::paid, PaymentStatus::pending);
    EXPECT_EQ(refusal(order, OrderStatus::shipped),
              "An order that is PAID becomes SHIPPED only while some of its money is held; 0.00 EUR was "
              "captured, and 0.00 EUR has gone back.");
    order.captured_minor = 500;
    EXPECT_TRUE(set_status(order, OrderStatus::shipped, Actor::admin, later)) << "captured by hand, in part";
    order.refunded_minor = 500;
    EXPECT_THAT(refusal(order, OrderStatus::shipped), testing::HasSubstr("5.00 EUR has gone back"));
    order.total.minor = order.captured_minor = order.refunded_minor = 0;
    EXPECT_TRUE(set_status(order, OrderStatus::shipped, Actor::admin, later)) << "a free order";
}

TEST(PayAgain, starts_a_new_attempt_after_a_failure) {
    const Order failed = apply_payment_update(placed(), update(PaymentStatus::failed), later)->after;
    const auto again = pay_again(failed, "pm_card_mastercard", Actor::customer, later);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->after.status, OrderStatus::processing);
    EXPECT_EQ(again->after.payment_attempt, 2);
    EXPECT_FALSE(again->after.failure);
    const auto& retry = std::get<contracts::PaymentRetryRequested>(again->events.at(0));
    EXPECT_EQ(retry.attempt, 2);
    EXPECT_EQ(retry.payment_method, "pm_card_mastercard");
}

TEST(PayAgain, refuses_while_money_may_still_arrive) {
    EXPECT_EQ(pay_again(placed(), "x", Actor::customer, later).error().code, ErrorCode::conflict);
    for (const auto status : {PaymentStatus::pending, PaymentStatus::unknown, PaymentStatus::captured}) {
        const Order order = in_status(OrderStatus::payment_failed, status);
        EXPECT_EQ(pay_again(order, "x", Actor::customer, later).error().code, ErrorCode::conflict);
    }
}

TEST(NotePaymentRequested, moves_only_a_pending_order) {
    EXPECT_THAT(statuses(note_payment_requested(placed(), later)), ElementsAre("PROCESSING"));
    for (const auto status : {OrderStatus::processing, OrderStatus::paid, OrderStatus::canceled}) {
        EXPECT_TRUE(note_payment_requested(in_status(status, PaymentStatus::pending), later).history.empty());
    }
}

TEST(ApplyPaymentUpdate, walks_every_status_on_the_way) {
    const auto from_pending = apply_payment_update(placed(), update(PaymentStatus::captured), later);
    EXPECT_THAT(statuses(*from_pending), ElementsAre("PROCESSING", "PAID"));
    EXPECT_EQ(from_pending->history[0].payment_status, PaymentStatus::pending);
    EXPECT_EQ(from_pending->history[1].payment_status, PaymentStatus::captured);
    EXPECT_EQ(from_pending->after.version, 3);

    const Order processing = in_status(OrderStatus::processing, PaymentStatus::pending);
    EXPECT_THAT(statuses(*apply_payment_update(processing, update(PaymentStatus::captured), later)),
                ElementsAre("PAID"));
    EXPECT_THAT(statuses(*apply_payment_update(processing, update(PaymentStatus::unknown), later)),
                ElementsAre("PROCESSING"));
    EXPECT_THAT(statuses(*apply_payment_update(placed(), update(PaymentStatus::unknown), later)),
                ElementsAre("PROCESSING", "PROCESSING"));
}

TEST(ApplyPaymentUpdate, reports_a_failure_with_its_reason) {
    const auto failed = apply_payment_update(placed(), update(PaymentStatus::failed), later);
    EXPECT_THAT(statuses(*failed), ElementsAre("PROCESSING", "PAYMENT_FAILED"));
    EXPECT_EQ(failed->after.failure->code, "card_declined");
    for (const auto status : {PaymentStatus::requires_action, PaymentStatus::canceled}) {
        EXPECT_EQ(apply_payment_update(placed(), update(status), later)->after.status,
                  OrderStatus::payment_failed);
    }
}

TEST(ApplyPaymentUpdate, takes_money_that_arrives_after_a_reported_failure) {
    const Order failed = in_status(OrderStatus::payment_failed, PaymentStatus::unknown);
    EXPECT_THAT(statuses(*apply_payment_update(failed, update(PaymentStatus::captured), later)),
                ElementsAre("PROCESSING", "PAID"));
}

TEST(ApplyPaymentUpdate, ignores_what_is_not_newer) {
    const Order paid = apply_payment_update(placed(), update(PaymentStatus::captured, 7), later)->after;
    for (const std::int64_t sequence : {7, 6, 0}) {
        const auto stale = apply_payment_update(paid, update(PaymentStatus::failed, sequence), later);
        ASSERT_TRUE(stale);
        EXPECT_TRUE(stale->history.empty());
        EXPECT_EQ(stale->after, paid);
    }
}

TEST(ApplyPaymentUpdate, keeps_a_canceled_order_canceled_and_shows_where_its_money_is) {
    const Order canceled = set_status(placed(), OrderStatus::canceled, Actor::customer, later)->after;
    const auto captured = apply_payment_update(canceled, update(PaymentStatus::captured, 5), later);
    EXPECT_EQ(captured->after.status, OrderStatus::canceled);
    const auto refunded = apply_payment_update(captured->after, update(PaymentStatus::refunded, 6), later);
    EXPECT_EQ(refunded->after.status, OrderStatus::canceled);
    EXPECT_EQ(refunded->after.payment_status, PaymentStatus::refunded);
    EXPECT_EQ(refunded->after.refunded_minor, canceled.total.minor);
}

TEST(ApplyPaymentUpdate, makes_a_fully_refunded_order_refunded) {
    for (const auto status : {OrderStatus::paid, OrderStatus::shipped, OrderStatus::delivered}) {
        const Order order = in_status(status, PaymentStatus::captured);
        EXPECT_EQ(apply_payment_update(order, update(PaymentStatus::refunded), later)->after.status,
                  OrderStatus::refunded);
    }
}

TEST(ApplyPaymentUpdate, refuses_what_cannot_be_about_this_order) {
    auto other_currency = update(PaymentStatus::captured);
    other_currency.currency = jpy;
    EXPECT_EQ(apply_payment_update(placed(), other_currency, later).error().code, ErrorCode::invalid);
    auto too_much = update(PaymentStatus::captured);
    too_much.captured_minor += 1;
    EXPECT_EQ(apply_payment_update(placed(), too_much, later).error().code, ErrorCode::invalid);
}

Order paid() {
    return apply_payment_update(in_status(OrderStatus::processing, PaymentStatus::pending),
                                update(PaymentStatus::captured), noon)
        ->after;
}

const RefundId refund_id = *RefundId::parse("01890000-0000-7000-8000-000000000003");
const RefundId other_refund = *RefundId::parse("01890000-0000-7000-8000-000000000004");

TEST(RequestRefund, reserves_the_amount_and_tells_the_payment_service) {
    const auto requested = request_refund(paid(), refund_id, 1000, "broken", Actor::admin, later);
    ASSERT_TRUE(requested);
    EXPECT_EQ(requested->after.refund_reserved_minor, 1000);
    EXPECT_THAT(requested->after.open_refunds, ElementsAre(OpenRefund{refund_id, 1000}));
    EXPECT_EQ(requested->after.status, OrderStatus::paid) << "nothing moved yet";
    EXPECT_EQ(requested->history.front().reason, "refund of 10.00 EUR requested: broken");
    const contracts::RefundRequested event{refund_id, order_id, user_id, {1000, eur}, 1, "broken"};
    EXPECT_EQ(std::get<contracts::RefundRequested>(requested->events.front()), event);
}

TEST(RequestRefund, without_an_amount_asks_for_all_that_is_left) {
    const Order order = request_refund(paid(), refund_id, 1000, "", Actor::admin, later)->after;
    const auto rest = request_refund(order, other_refund, std::nullopt, "", Actor::admin, later);
    EXPECT_EQ(rest->after.refund_reserved_minor, order.total.minor);
    const auto nothing = request_refund(rest->after, *RefundId::parse(order_id.to_string()), std::nullopt, "",
                                        Actor::admin, later);
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().code, ErrorCode::conflict);
}

TEST(RequestRefund, that_is_open_already_is_not_reserved_twice) {
    const Order order = request_refund(paid(), refund_id, 1000, "", Actor::admin, later)->after;
    for (const auto amount : {std::optional<std::int64_t>(1000), std::optional<std::int64_t>()}) {
        const auto again = request_refund(order, refund_id, amount, "", Actor::admin, later);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->after, order);
        EXPECT_TRUE(again->history.empty());
        EXPECT_TRUE(again->events.empty());
    }
    const auto other = request_refund(order, refund_id, 999, "", Actor::admin, later);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::invalid);
    EXPECT_EQ(other.error().detail,
              "The same refund is under way already, of 10.00 EUR and not of 9.99 EUR.");
}

TEST(RequestRefund, refuses_more_than_is_left) {
    const Order order = request_refund(paid(), refund_id, 1000, "", Actor::admin, later)->after;
    const std::int64_t left = order.total.minor - 1000;
    EXPECT_TRUE(request_refund(order, other_refund, left, "", Actor::admin, later));
    for (const std::int64_t amount : {left + 1, std::int64_t{0}, std::int64_t{-1}}) {
        EXPECT_FALSE(request_refund(order, other_refund, amount, "", Actor::admin, later)) << amount;
    }
    EXPECT_FALSE(request_refund(placed(), refund_id, 1, "", Actor::admin, later)) << "nothing is paid";
    Order canceled = paid();
    canceled.status = OrderStatus::canceled;
    EXPECT_FALSE(request_refund(canceled, refund_id, 1, "", Actor::admin, later)) << "it goes back by itself";
}

TEST(ApplyPaymentUpdate, settles_a_refund_once_whenever_the_news_comes) {
    const Order order = request_refund(paid(), refund_id, 1000, "", Actor::admin, later)->after;
    auto news = update(PaymentStatus::partially_refunded, 6);
    news.captured_minor = order.total.minor;
    news.refunded_minor = 1000;
    news.refund = contracts::RefundOutcome{refund_id, 1000, std::nullopt};
    const auto settled = apply_payment_update(order, news, later);
    EXPECT_EQ(settled->after.refund_reserved_minor, 0);
    EXPECT_EQ(settled->after.refunded_minor, 1000);
    EXPECT_EQ(refundable_minor(settled->after), order.total.minor - 1000);
    EXPECT_TRUE(apply_payment_update(settled->after, news, later)->history.empty()) << "a repetition";

    // Newer news came first: the refund is settled all the same, and nothing else is touched.
    Order newer = order;
    newer.payment_sequence = 7;
    newer.refunded_minor = 1000;
    const auto late = apply_payment_update(newer, news, later);
    EXPECT_TRUE(late->after.open_refunds.empty());
    EXPECT_EQ(late->after.payment_sequence, 7);
    EXPECT_EQ(late->history.size(), 1U);
}

TEST(ApplyPaymentUpdate, releases_a_refund_that_failed_and_says_why) {
    const Order order = request_refund(paid(), refund_id, 1000, "", Actor::admin, later)->after;
    auto news = update(PaymentStatus::captured, 6);
    news.refund = contracts::RefundOutcome{refund_id, 1000, contracts::Failure{"refused", "No."}};
    const auto failed = apply_payment_update(order, news, later);
    EXPECT_EQ(failed->after.refund_reserved_minor, 0);
    EXPECT_EQ(failed->after.refunded_minor, 0);
    EXPECT_EQ(failed->history.front().reason, "refund of 10.00 EUR failed: refused");
}

TEST(ApplyPaymentUpdate, shows_what_was_captured_and_keeps_an_authorized_order_waiting) {
    const Order processing = in_status(OrderStatus::processing, PaymentStatus::pending);
    const auto authorized = apply_payment_update(processing, update(PaymentStatus::authorized), noon);
    EXPECT_EQ(authorized->after.status, OrderStatus::processing);
    EXPECT_EQ(authorized->after.payment_status, PaymentStatus::authorized);
    auto part = update(PaymentStatus::captured, 6);
    part.captured_minor = 900;
    const auto captured = apply_payment_update(authorized->after, part, noon);
    EXPECT_EQ(captured->after.status, OrderStatus::paid);
    EXPECT_EQ(captured->after.captured_minor, 900);
    EXPECT_EQ(refundable_minor(captured->after), 900);
}

TEST(History, has_a_line_for_each_version) {
    Order order = placed();
    int version = 1;
    const auto follow = [&](const Transition& transition) {
        for (const auto& entry : transition.history)
            EXPECT_EQ(entry.version, ++version);
        order = transition.after;
        EXPECT_EQ(order.version, version);
    };
    follow(note_payment_requested(order, later));
    follow(*apply_payment_update(order, update(PaymentStatus::failed, 1'000'001), later));
    follow(*pay_again(order, "pm_card_visa", Actor::customer, later));
    follow(*apply_payment_update(order, update(PaymentStatus::captured, 2'000'001), later));
    follow(*set_status(order, OrderStatus::shipped, Actor::admin, later));
    follow(*set_status(order, OrderStatus::delivered, Actor::admin, later));
    EXPECT_EQ(version, 7);
}

}  // namespace
}  // namespace quittance::orders
