#include "payments/payment_service.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

using contracts::PaymentStatus;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PaymentServiceTest : public PaymentWorld {};

TEST_F(PaymentServiceTest, ChargesAnOrderAndTellsTheOrderService) {
    const auto event = created();
    const auto message = publish(event);
    settle();

    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.status, PaymentStatus::captured);
    EXPECT_EQ(payment.captured_minor, 1250);
    EXPECT_EQ(payment.user_id, event.user_id);
    EXPECT_EQ(payment.provider, "scripted");
    EXPECT_EQ(payment.idempotency_key, "pay-" + payment.id.to_string());
    EXPECT_EQ(payment.provider_reference, "sim_" + payment.idempotency_key);
    EXPECT_EQ(gateway.provider.captures(payment.idempotency_key), 1);
    EXPECT_EQ(acknowledged[message.id], 1);

    ASSERT_EQ(updates.size(), 1U);
    const contracts::PaymentUpdated expected{.order_id = event.order_id,
                                             .payment_id = payment.id,
                                             .status = PaymentStatus::captured,
                                             .captured_minor = 1250,
                                             .currency = event.amount.currency,
                                             .sequence = 1'000'002};
    EXPECT_EQ(updates.front(), expected);
    EXPECT_EQ(messages.front().ordering_key, event.order_id.to_string());
    EXPECT_EQ(messages.front().source, "/payment-service");
    EXPECT_EQ(messages.front().traceparent, message.traceparent);
    EXPECT_NE(messages.front().id, message.id);
}

TEST_F(PaymentServiceTest, ADuplicateDeliveryChargesAndPublishesNothingMore) {
    const auto event = created();
    const auto message = publish(event);
    settle();
    send(message);
    publish(event);  // The same request under another event id.
    settle();
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(gateway.calls.size(), 1U);
    EXPECT_EQ(updates.size(), 1U);
    EXPECT_EQ(acknowledged[message.id], 2);
    EXPECT_EQ(payments_of(event.order_id).size(), 1U);
}

TEST_F(PaymentServiceTest, DuplicatesInOneBatchChargeOnce) {
    const auto event = created();
    auto message = message_of(event);
    send(message);
    for (const std::string key : {"a", "b", "c"}) {
        message.ordering_key = key;
        send(message);
    }
    settle();
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(updates.size(), 1U);
    EXPECT_EQ(acknowledged[message.id], 4);
}

TEST_F(PaymentServiceTest, ADeclinedPaymentFailsWithItsReasonAndCanBeMadeAgain) {
    auto event = created("pm_card_chargeDeclinedLostCard");
    publish(event);
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::failed);
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates.front().failure->code, "lost_card");

    contracts::PaymentRetryRequested retry{event};
    retry.attempt = 2;
    retry.payment_method = "pm_card_mastercard";
    publish(retry);
    settle();
    ASSERT_EQ(updates.size(), 2U);
    EXPECT_EQ(updates.back().status, PaymentStatus::captured);
    EXPECT_GT(updates.back().sequence, updates.front().sequence);
    const auto payments = payments_of(event.order_id);
    ASSERT_EQ(payments.size(), 2U);
    EXPECT_EQ(payments[0].attempt, 1);
    EXPECT_EQ(payments[1].attempt, 2);
    EXPECT_NE(payments[0].idempotency_key, payments[1].idempotency_key);
}

TEST_F(PaymentServiceTest, AnOrderThatCostsNothingIsPaidWithoutTheProvider) {
    auto event = created();
    event.amount.minor = 0;
    const auto message = publish(event);
    settle();
    send(message);
    settle();
    EXPECT_THAT(gateway.calls, IsEmpty());
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured));
    EXPECT_EQ(acknowledged[message.id], 2);
    publish(canceled(event));
    settle();
    EXPECT_THAT(gateway.calls, IsEmpty());
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
}

TEST_F(PaymentServiceTest, APaymentThatNeedsTheCustomerSaysSo) {
    const auto event = created("pm_card_authenticationRequired");
    publish(event);
    settle();
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::requires_action));
    EXPECT_EQ(updates.front().failure->code, "authentication_required");
}

TEST_F(PaymentServiceTest, a_second_attempt_beside_one_that_pays_ends_without_being_charged) {
    auto event = created();
    publish(event);
    settle();
    event.attempt = 2;
    const auto message = publish(event);
    settle();
    EXPECT_EQ(acknowledged[message.id], 1);
    EXPECT_TRUE(dead_letters.empty());
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured, PaymentStatus::canceled));
    EXPECT_EQ(payments_of(event.order_id)[0].status, PaymentStatus::captured);
}

TEST_F(PaymentServiceTest, a_second_attempt_is_charged_when_the_first_is_over) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_request};
    gateway.fates[GatewayCall::look_up].assign(1000, Fate::never_heard);
    auto event = created();
    publish(event);
    settle();
    event.attempt = 2;
    const auto message = publish_beside(event);
    settle();
    EXPECT_EQ(acknowledged[message.id], 1);
    pass(minutes(59), minutes(1));
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 1U) << "the first may still be on its way";
    pass(minutes(61), minutes(1));
    EXPECT_THAT(statuses_of(event.order_id),
                ElementsAre(PaymentStatus::unknown, PaymentStatus::failed, PaymentStatus::captured));
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(PaymentServiceTest, a_first_attempt_that_turns_out_to_have_paid_ends_the_second) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer};
    auto event = created();
    publish(event);
    settle();
    event.attempt = 2;
    publish_beside(event);
    settle();
    pass(seconds(5));
    const auto payments = payments_of(event.order_id);
    ASSERT_EQ(payments.size(), 2U);
    EXPECT_EQ(payments[0].status, PaymentStatus::captured);
    EXPECT_EQ(payments[1].status, PaymentStatus::canceled);
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 1U);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(PaymentServiceTest, money_of_a_replaced_attempt_that_comes_too_late_goes_back_by_itself) {
    auto event = created("pm_card_chargeDeclined");
    publish(event);
    settle();
    event.attempt = 2;
    event.payment_method = "pm_card_visa";
    publish(event);
    settle();
    ASSERT_EQ(payments_of(event.order_id)[1].status, PaymentStatus::captured);
    // The provider says that the first one was taken after all.
    gateway.fates[GatewayCall::look_up] = {Fate::took_all};
    tell_of(payments_of(event.order_id)[0]);
    settle();
    const auto payments = payments_of(event.order_id);
    EXPECT_EQ(payments[0].captured_minor, 1250) << "what has happened can always be stored";
    EXPECT_TRUE(payments[0].cancel_requested);
    EXPECT_EQ(payments[1].status, PaymentStatus::captured) << "which has paid the order";
    EXPECT_EQ(gateway.count(GatewayCall::refund), 1U);
}

TEST_F(PaymentServiceTest, WhatCannotBeReadBecomesADeadLetterAtOnce) {
    auto unknown_type = message_of(created());
    unknown_type.type = "quittance.order.exploded.v1";
    auto not_json = message_of(created());
    not_json.data = "{";
    auto incomplete = message_of(created());
    incomplete.data = R"({"orderId": "x"})";
    for (const auto& message : {unknown_type, not_json, incomplete})
        send(message);
    settle();
    for (const auto& message : {unknown_type, not_json, incomplete}) {
        ASSERT_TRUE(dead_letters.contains(message.id)) << message.data;
        EXPECT_EQ(dead_letters[message.id].delivery_attempts, 1);
        EXPECT_FALSE(dead_letters[message.id].reason.empty());
    }
    EXPECT_THAT(gateway.calls, IsEmpty());
}

TEST_F(PaymentServiceTest, ACrashBeforeTheAnswerIsResumedUnderTheSameKey) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created();
    const auto message = publish(event);
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::pending);
    EXPECT_EQ(acknowledged[message.id], 0) << "not acknowledged before the result is committed";

    crash_and_restart();
    gateway.release_held();  // The answer comes when nobody waits for it any more.
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::captured);
    ASSERT_EQ(gateway.calls.size(), 3U);
    EXPECT_EQ(gateway.calls[0].key, gateway.calls[1].key);
    EXPECT_EQ(gateway.calls[2].call, GatewayCall::look_up) << "the answer may be an old one";
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(updates.size(), 1U);
    EXPECT_EQ(acknowledged[message.id], 1);
}

TEST_F(PaymentServiceTest, one_slow_call_is_not_repeated_and_counts_once) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created();
    const auto message = publish(event);
    settle();
    pass(10 * stale_after);
    EXPECT_EQ(gateway.calls.size(), 1U) << "one question at a time";
    EXPECT_EQ(payment_of(event.order_id).look_ups, 0);
    const auto again = publish(event);
    settle();
    gateway.release_held();
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::captured);
    EXPECT_EQ(acknowledged[again.id], 1) << "whoever waited for the same call gets its answer";
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(updates.size(), 1U);
    EXPECT_EQ(acknowledged[message.id], 1);
}

TEST_F(PaymentServiceTest, ACrashIsHealedWithoutRedeliveryToo) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created();
    publish(event);
    settle();
    process.reset();
    start();
    pass(stale_after - seconds(1));
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::pending);
    pass(seconds(1));
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::captured);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured));
}

TEST_F(PaymentServiceTest, AnUpdateThatWasCommittedButNotPublishedIsPublishedAfterACrash) {
    const auto event = created();
    publish(event);
    // Stops after the result is committed and before the bus delivers it.
    while (process->bus.queued() < 2 && process->writers.idle())
        process->bus.step();
    for (int i = 0; i < 2; ++i)
        process->writers.step(process->session);
    EXPECT_TRUE(updates.empty());
    crash_and_restart();
    pass(seconds(2));
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured));
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(PaymentServiceTest, an_unknown_outcome_is_published_and_asked_for_until_it_is_known) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer, Fate::loses_answer, Fate::loses_answer};
    gateway.fates[GatewayCall::look_up] = {Fate::loses_answer, Fate::loses_answer};
    const auto event = created();
    const auto message = publish(event);
    settle();
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::unknown));
    EXPECT_EQ(acknowledged[message.id], 1) << "asking again no longer needs the event";

    pass(milliseconds(999), milliseconds(100));
    EXPECT_EQ(gateway.calls.size(), 1U);
    pass(milliseconds(1));
    EXPECT_EQ(gateway.calls.size(), 3U) << "again, and looked for";
    pass(seconds(1));
    EXPECT_EQ(gateway.calls.size(), 3U) << "the second pause is two seconds";
    pass(seconds(1));
    EXPECT_EQ(gateway.calls.size(), 5U);
    pass(seconds(4));
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 4U);
    EXPECT_EQ(gateway.count(GatewayCall::look_up), 3U) << "the answer may be an old one";
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::unknown, PaymentStatus::captured));
    for (const auto& call : gateway.calls)
        EXPECT_EQ(call.key, gateway.calls.front().key);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    pass(minutes(1));
    EXPECT_EQ(gateway.calls.size(), 7U) << "what is known is not asked for";
}

TEST_F(PaymentServiceTest, ARedeliveryOfAnUnknownPaymentChargesNothing) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer};
    const auto event = created();
    publish(event);
    settle();
    const auto again = publish(event);
    settle();
    EXPECT_EQ(gateway.calls.size(), 1U);
    EXPECT_EQ(acknowledged[again.id], 1);
}

TEST_F(PaymentServiceTest, ARequestThatNeverArrivedIsSentAgainUnderTheSameKey) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_request};
    const auto event = created();
    publish(event);
    settle();
    pass(seconds(1));
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::unknown, PaymentStatus::captured));
    ASSERT_EQ(gateway.calls.size(), 3U);
    EXPECT_EQ(gateway.calls[1].call, GatewayCall::authorize);
    EXPECT_EQ(gateway.calls[0].key, gateway.calls[1].key);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(PaymentServiceTest, AProviderThatIsStillDecidingIsAskedAgain) {
    gateway.fates[GatewayCall::authorize] = {Fate::stays_pending};
    const auto event = created();
    const auto message = publish(event);
    settle();
    EXPECT_EQ(acknowledged[message.id], 1);
    EXPECT_THAT(statuses_of(event.order_id), IsEmpty()) << "PENDING is what the order service thinks already";
    pass(shortest_watch_pause);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured));
}

TEST_F(PaymentServiceTest, amounts_that_cannot_be_are_stored_and_wait_for_manual_review) {
    gateway.fates[GatewayCall::authorize] = {Fate::took_too_much};
    const auto event = created();
    const auto message = publish(event);
    settle();
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.captured_minor, 1251);
    EXPECT_TRUE(payment.stuck_since.has_value());
    EXPECT_EQ(acknowledged[message.id], 1);
}

TEST_F(PaymentServiceTest, a_charge_without_any_answer_ends_in_manual_review) {
    gateway.fates[GatewayCall::authorize].assign(1000, Fate::loses_request);
    gateway.fates[GatewayCall::look_up].assign(1000, Fate::loses_request);
    const auto event = created();
    publish(event);
    settle();
    pass(hours(100), minutes(15));
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.status, PaymentStatus::unknown);
    EXPECT_TRUE(payment.stuck_since.has_value());
    const std::size_t beside_repetitions = gateway.count(GatewayCall::authorize) - 1;
    EXPECT_LE(gateway.calls.size() - beside_repetitions, static_cast<std::size_t>(most_look_ups) + 1);
}

TEST_F(PaymentServiceTest, WhatWasBegunWithAProviderIsNotTakenToAnother) {
    const auto paid = created();
    publish(paid);
    settle();
    gateway.fates[GatewayCall::authorize] = {Fate::loses_request, Fate::loses_request};
    const auto open = created();
    publish(open);
    settle();
    ASSERT_EQ(payment_of(open.order_id).status, PaymentStatus::unknown);

    SimulatorGateway other;
    process.reset();
    process = start_with(other);
    const auto refund = publish(refund_of(paid, 250));
    pass(std::chrono::minutes(5));
    EXPECT_EQ(other.total_captures(), 0);
    EXPECT_EQ(other.total_refunds(), 0);
    EXPECT_EQ(acknowledged[refund.id], 1) << "it is stored, and holds up nothing behind it";
    EXPECT_EQ(refunds_of(paid.order_id).at(0).state, RefundState::requested);
    const auto next = created();
    publish(next);
    settle();
    EXPECT_EQ(other.total_captures(), 1);

    process.reset();
    start();
    pass(std::chrono::minutes(1));
    EXPECT_EQ(payment_of(open.order_id).status, PaymentStatus::captured);
    EXPECT_EQ(refunds_of(paid.order_id).at(0).state, RefundState::succeeded);
    EXPECT_EQ(other.total_captures(), 1);
}

TEST_F(PaymentServiceTest, OnlyTheOwnerAndAnAdminSeeAPayment) {
    const auto event = created();
    publish(event);
    settle();
    const Payment payment = payment_of(event.order_id);
    const Principal owner{event.user_id, Role::customer};
    const Principal stranger{created().user_id, Role::customer};
    const Principal admin{created().user_id, Role::admin};

    std::vector<Result<Payment>> found;
    for (const Principal& caller : {owner, stranger, admin}) {
        process->service.find(payment.id, caller, [&](auto result) { found.push_back(std::move(result)); });
    }
    std::vector<std::size_t> listed;
    for (const Principal& caller : {stranger, owner, admin, owner}) {
        process->service.list_by_order(event.order_id, caller,
                                       [&](auto result) { listed.push_back(result->size()); });
    }
    settle();
    ASSERT_EQ(found.size(), 3U);
    ASSERT_TRUE(found[0].ok());
    EXPECT_EQ(*found[0], payment);
    ASSERT_FALSE(found[1].ok());
    EXPECT_EQ(found[1].error().code, ErrorCode::not_found);
    EXPECT_TRUE(found[2].ok());
    EXPECT_THAT(listed, ElementsAre(0U, 1U, 1U, 1U)) << "also when all ask in one batch";
}

TEST_F(PaymentServiceTest, AThousandEventsInBatchesChargeEachOrderExactlyOnce) {
    constexpr std::size_t orders = 1000;
    std::vector<contracts::OrderCreated> events;
    std::vector<messaging::Message> sent;
    for (std::size_t i = 0; i < orders; ++i) {
        events.push_back(created());
        sent.push_back(message_of(events.back()));
    }
    for (const auto& message : sent)
        send(message);
    for (const auto& message : sent)
        send(message);
    settle();
    for (const auto& event : events) {
        const Payment payment = payment_of(event.order_id);
        ASSERT_EQ(payment.status, PaymentStatus::captured);
        ASSERT_EQ(gateway.provider.captures(payment.idempotency_key), 1);
        ASSERT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured));
    }
    EXPECT_EQ(gateway.provider.total_captures(), static_cast<std::int64_t>(orders));
    EXPECT_EQ(acknowledged.size(), orders);
    EXPECT_TRUE(dead_letters.empty());
}

TEST_F(PaymentServiceTest, ACrashInTheMiddleOfAThousandEventsChargesEachOrderExactlyOnce) {
    constexpr std::size_t orders = 1000;
    std::vector<contracts::OrderCreated> events;
    auto& fates = gateway.fates[GatewayCall::authorize];
    for (std::size_t i = 0; i < orders; ++i) {
        events.push_back(created(i % 10 == 3 ? "pm_card_chargeDeclined" : "pm_card_visa"));
        publish(events.back());
        fates.push_back(i % 3 == 0 ? Fate::holds_answer : i % 7 == 0 ? Fate::loses_answer : Fate::works);
    }
    for (int i = 0; i < 5; ++i) {
        process->bus.step();
        process->writers.step(process->session);
    }
    fates.clear();
    crash_and_restart();
    pass(stale_after + seconds(5));
    std::int64_t good = 0;
    for (std::size_t i = 0; i < orders; ++i) {
        const Payment payment = payment_of(events[i].order_id);
        const bool declined = i % 10 == 3;
        ASSERT_EQ(payment.status, declined ? PaymentStatus::failed : PaymentStatus::captured);
        ASSERT_EQ(gateway.provider.captures(payment.idempotency_key), declined ? 0 : 1);
        ASSERT_EQ(statuses_of(events[i].order_id).back(), payment.status);
        good += declined ? 0 : 1;
    }
    EXPECT_EQ(gateway.provider.total_captures(), good);
    EXPECT_EQ(acknowledged.size(), orders);
}

TEST_F(PaymentServiceTest, ManyThreadsAndASlowProviderChargeEachOrderExactlyOnce) {
    constexpr std::size_t orders = 500;
    process.reset();
    SimulatorGateway slow({.latency = milliseconds(2)});
    process = start_with(slow);
    std::vector<contracts::OrderCreated> events;
    for (std::size_t i = 0; i < orders; ++i)
        events.push_back(created());
    {
        std::jthread writer(
            [&](const std::stop_token& stop) { process->writers.run(process->session, stop); });
        std::jthread deliverer([&](const std::stop_token& stop) { process->bus.run(stop); });
        for (const auto& event : events)
            publish(event);
        for (const auto& event : events)
            publish_beside(canceled(event));
        const auto deadline = std::chrono::steady_clock::now() + seconds(60);
        while ((process->bus.queued() > 0 || !process->writers.idle() || !process->relay.idle() ||
                process->service.calls_in_flight() > 0) &&
               std::chrono::steady_clock::now() < deadline) {
            process->service.step();
            process->relay.step();
            std::this_thread::sleep_for(milliseconds(5));
        }
    }
    std::int64_t refunded = 0;
    for (const auto& event : events) {
        const Payment payment = payment_of(event.order_id);
        const bool charged = payment.status == PaymentStatus::refunded;
        ASSERT_TRUE(charged || payment.status == PaymentStatus::canceled)
            << contracts::to_string(payment.status);
        ASSERT_EQ(slow.captures(payment.idempotency_key), charged ? 1 : 0);
        ASSERT_EQ(statuses_of(event.order_id).back(), payment.status);
        refunded += charged ? 1 : 0;
    }
    EXPECT_EQ(slow.total_captures(), refunded);
    EXPECT_EQ(slow.total_refunds(), refunded);
    process.reset();
}

}  // namespace
}  // namespace quittance::payments
