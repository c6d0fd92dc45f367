// What becomes of a payment when its order is canceled, at each moment at which that can happen.
#include <chrono>
#include <string>

#include <gmock/gmock.h>

#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

using contracts::PaymentStatus;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

class PaymentCancelTest : public PaymentWorld {};

TEST_F(PaymentCancelTest, ACapturedPaymentIsRefundedUnderAStoredKey) {
    const auto event = created();
    publish(event);
    settle();
    const auto message = publish(canceled(event));
    settle();
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.status, PaymentStatus::refunded);
    EXPECT_EQ(payment.refunded_minor, 1250);
    EXPECT_EQ(gateway.calls.back().call, GatewayCall::refund);
    EXPECT_EQ(gateway.calls.back().key, refunds_of(event.order_id).front().idempotency_key);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured, PaymentStatus::refunded));
    EXPECT_EQ(updates.back().refunded_minor, 1250);
    EXPECT_GT(updates.back().sequence, updates.front().sequence);
    EXPECT_EQ(acknowledged[message.id], 1);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, ACancellationThatComesTwiceRefundsOnce) {
    const auto event = created();
    publish(event);
    settle();
    const auto message = publish(canceled(event));
    settle();
    send(message);
    const auto other = publish(canceled(event));
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::refund), 1U);
    EXPECT_EQ(updates.size(), 2U);
    EXPECT_EQ(acknowledged[message.id], 2);
    EXPECT_EQ(acknowledged[other.id], 1);
}

TEST_F(PaymentCancelTest, ACrashDuringTheRefundIsResumedUnderTheSameKey) {
    const auto event = created();
    publish(event);
    settle();
    gateway.fates[GatewayCall::refund] = {Fate::holds_answer};
    const auto message = publish(canceled(event));
    settle();
    EXPECT_EQ(acknowledged[message.id], 0) << "not acknowledged before the refund's result is committed";
    crash_and_restart();
    pass(stale_after);
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_EQ(gateway.count(GatewayCall::refund), 2U);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured, PaymentStatus::refunded));
}

TEST_F(PaymentCancelTest, ARefundIsResumedWithoutRedeliveryToo) {
    const auto event = created();
    publish(event);
    settle();
    gateway.fates[GatewayCall::refund] = {Fate::holds_answer};
    publish(canceled(event));
    settle();
    process.reset();
    start();
    pass(stale_after);
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, ARefundWithoutAnAnswerIsLookedUpAndNotMadeTwice) {
    const auto event = created();
    publish(event);
    settle();
    gateway.fates[GatewayCall::refund] = {Fate::loses_answer};
    const auto message = publish(canceled(event));
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::captured);
    EXPECT_EQ(acknowledged[message.id], 1) << "the intent is stored and has a schedule of its own";
    pass(seconds(1));
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_EQ(gateway.count(GatewayCall::refund), 1U);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, ARefundThatTheProviderRefusesIsTriedAgainUnderANewKey) {
    const auto event = created();
    publish(event);
    settle();
    gateway.fates[GatewayCall::refund] = {Fate::refuses, Fate::loses_request};
    publish(canceled(event));
    settle();
    EXPECT_EQ(refunds_of(event.order_id).front().failure->code, "refused");
    pass(minutes(1));
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.status, PaymentStatus::refunded);
    EXPECT_FALSE(payment.failure.has_value());
    std::vector<std::string> keys;
    for (const auto& call : gateway.calls) {
        if (call.call == GatewayCall::refund) keys.push_back(call.key);
    }
    const auto refunds = refunds_of(event.order_id);
    ASSERT_EQ(refunds.size(), 2U);
    EXPECT_THAT(keys, ElementsAre(refunds[0].idempotency_key, refunds[1].idempotency_key,
                                  refunds[1].idempotency_key));
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, ACancellationDuringTheChargeRefundsWhatIsCaptured) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created();
    const auto charge = publish(event);
    settle();
    const auto cancel = publish_beside(canceled(event));
    settle();
    EXPECT_EQ(acknowledged[charge.id], 0);
    EXPECT_EQ(gateway.calls.size(), 1U) << "one question at a time";
    EXPECT_TRUE(payment_of(event.order_id).cancel_requested);
    gateway.release_held();
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::captured, PaymentStatus::refunded));
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
    EXPECT_EQ(acknowledged[charge.id], 1);
    EXPECT_EQ(acknowledged[cancel.id], 1);
}

TEST_F(PaymentCancelTest, ACancellationDuringAChargeThatIsDeclinedEndsCanceled) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created("pm_card_chargeDeclined");
    publish(event);
    settle();
    publish_beside(canceled(event));
    settle();
    gateway.release_held();
    settle();
    EXPECT_EQ(gateway.calls.back().call, GatewayCall::cancel);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::canceled));
    EXPECT_EQ(gateway.count(GatewayCall::refund), 0U);
}

TEST_F(PaymentCancelTest, ACrashOfACanceledChargeIsLookedUpAndRefunded) {
    gateway.fates[GatewayCall::authorize] = {Fate::holds_answer};
    const auto event = created();
    publish(event);
    settle();
    publish_beside(canceled(event));
    settle();
    crash_and_restart();
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 1U) << "a canceled order is not charged again";
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, ACancellationThatOvertakesItsOrderStopsTheCharge) {
    const auto event = created();
    const auto cancel = publish(canceled(event));
    settle();
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::canceled));
    const auto late = publish(event);
    settle();
    EXPECT_TRUE(gateway.calls.empty());
    EXPECT_EQ(updates.size(), 1U);
    EXPECT_EQ(acknowledged[cancel.id], 1);
    EXPECT_EQ(acknowledged[late.id], 1);
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::canceled);
}

TEST_F(PaymentCancelTest, AFailedPaymentHasNothingToGiveBack) {
    const auto event = created("pm_card_chargeDeclined");
    publish(event);
    settle();
    const auto cancel = publish(canceled(event));
    settle();
    EXPECT_EQ(acknowledged[cancel.id], 1);
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::failed));
    EXPECT_EQ(gateway.calls.size(), 2U) << "it was closed before it was called failed";
    EXPECT_TRUE(payment_of(event.order_id).cancel_requested) << "should money come after all, it goes back";
}

TEST_F(PaymentCancelTest, APaymentThatWaitsForTheCustomerIsReleased) {
    const auto event = created("pm_card_authenticationRequired");
    publish(event);
    settle();
    EXPECT_EQ(gateway.calls.back().call, GatewayCall::cancel);
    const auto cancel = publish(canceled(event));
    settle();
    EXPECT_THAT(statuses_of(event.order_id),
                ElementsAre(PaymentStatus::requires_action, PaymentStatus::canceled));
    EXPECT_EQ(acknowledged[cancel.id], 1);
}

TEST_F(PaymentCancelTest, AnUnknownPaymentIsLookedUpAtOnceAndRefunded) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer};
    const auto event = created();
    publish(event);
    settle();
    publish(canceled(event));
    settle();
    EXPECT_THAT(statuses_of(event.order_id),
                ElementsAre(PaymentStatus::unknown, PaymentStatus::captured, PaymentStatus::refunded));
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(PaymentCancelTest, AnUnknownPaymentThatNeverArrivedEndsCanceled) {
    gateway.fates[GatewayCall::authorize] = {Fate::loses_request};
    const auto event = created();
    publish(event);
    settle();
    publish(canceled(event));
    pass(hours(3), minutes(1));
    EXPECT_THAT(statuses_of(event.order_id), ElementsAre(PaymentStatus::unknown, PaymentStatus::canceled));
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 1U);
    EXPECT_EQ(gateway.provider.total_captures(), 0);
}

TEST_F(PaymentCancelTest, AChargeThatArrivesWhenItWasGivenUpIsRefunded) {
    gateway.fates[GatewayCall::authorize].assign(400, Fate::holds_answer);
    gateway.fates[GatewayCall::look_up].assign(200, Fate::never_heard);
    const auto event = created();
    publish(event);
    settle();
    pass(hours(3), minutes(1));
    publish_beside(canceled(event));
    settle();
    // The process that has asked is gone, and its charge still on its way.
    crash_and_restart();
    pass(minutes(50), minutes(1));
    EXPECT_THAT(statuses_of(event.order_id), Not(Contains(PaymentStatus::canceled)))
        << "the charge may have been sent until it was canceled";
    pass(hours(2), minutes(1));
    EXPECT_EQ(statuses_of(event.order_id).back(), PaymentStatus::canceled);
    gateway.fates.clear();
    tell_of(payment_of(event.order_id));
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

}  // namespace
}  // namespace quittance::payments
