// Refunds that are asked for by event: one after another, at once, refused, without an answer.
#include <chrono>
#include <map>
#include <string>

#include <gmock/gmock.h>

#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

using contracts::PaymentStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;

class RefundTest : public PaymentWorld {
protected:
    /// A payment of 12.50 EUR that was made.
    contracts::OrderCreated paid() {
        const auto event = created();
        publish(event);
        settle();
        return event;
    }
    /// What the order service was told of this refund.
    std::vector<contracts::RefundOutcome> outcomes_of(const RefundId& id) {
        std::vector<contracts::RefundOutcome> outcomes;
        for (const auto& update : updates) {
            if (update.refund && update.refund->refund_id == id) outcomes.push_back(*update.refund);
        }
        return outcomes;
    }
};

TEST_F(RefundTest, PartsGoBackOneAfterAnotherUntilNothingIsLeft) {
    const auto event = paid();
    const auto first = refund_of(event, 250);
    const auto message = publish(first);
    settle();
    EXPECT_EQ(acknowledged[message.id], 1);
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::partially_refunded);
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, 250);
    publish(refund_of(event, 1000));
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
    EXPECT_THAT(
        statuses_of(event.order_id),
        ElementsAre(PaymentStatus::captured, PaymentStatus::partially_refunded, PaymentStatus::refunded));
    const auto refunds = refunds_of(event.order_id);
    ASSERT_EQ(refunds.size(), 2U);
    EXPECT_EQ(refunds[0].id, first.refund_id);
    EXPECT_EQ(refunds[0].state, RefundState::succeeded);
    EXPECT_EQ(refunds[0].reason, "broken");
    EXPECT_FALSE(refunds[0].provider_reference.empty());
    EXPECT_EQ(gateway.provider.total_refunds(), 2);
}

TEST_F(RefundTest, SeveralAtOnceNeverExceedWhatWasCaptured) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::holds_answer, Fate::holds_answer};
    const auto first = refund_of(event, 700);
    const auto second = refund_of(event, 500);
    const auto too_much = refund_of(event, 51);
    // A broker may bring them side by side.
    publish_beside(first);
    publish_beside(second);
    settle();
    EXPECT_EQ(payment_of(event.order_id).refund_reserved_minor, 1200);
    publish_beside(too_much);
    settle();
    ASSERT_EQ(outcomes_of(too_much.refund_id).size(), 1U);
    EXPECT_EQ(outcomes_of(too_much.refund_id).front().failure->code, "not_refundable");
    EXPECT_EQ(gateway.count(GatewayCall::refund), 2U) << "the provider was never asked for the third";
    gateway.release_held();
    settle();
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.refunded_minor, 1200);
    EXPECT_EQ(payment.refund_reserved_minor, 0);
    EXPECT_EQ(outcomes_of(first.refund_id).front().failure, std::nullopt);
    EXPECT_EQ(outcomes_of(second.refund_id).front().amount_minor, 500);
}

TEST_F(RefundTest, AnEventThatComesTwiceRefundsOnce) {
    const auto event = paid();
    const auto refund = refund_of(event, 250);
    const auto message = publish(refund);
    settle();
    send(message);
    publish(refund);
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::refund), 1U);
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, 250);
    for (const auto& outcome : outcomes_of(refund.refund_id))
        EXPECT_EQ(outcome, (contracts::RefundOutcome{refund.refund_id, 250, std::nullopt}));
    EXPECT_EQ(outcomes_of(refund.refund_id).size(), 3U) << "who asks again is told again";
    EXPECT_EQ(acknowledged[message.id], 2);
}

TEST_F(RefundTest, ThatOvertakesItsPaymentIsKeptUntilThatIsMade) {
    const auto event = created();
    const auto refund = refund_of(event, 250);
    const auto message = publish_beside(refund);
    settle();
    EXPECT_TRUE(gateway.calls.empty());
    EXPECT_EQ(acknowledged[message.id], 0);
    publish(event);
    settle();
    pass(minutes(1));
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, 250);
    ASSERT_EQ(outcomes_of(refund.refund_id).size(), 1U);
    EXPECT_EQ(outcomes_of(refund.refund_id).front().failure, std::nullopt);
    EXPECT_EQ(acknowledged[message.id], 1);
    EXPECT_TRUE(dead_letters.empty());
}

TEST_F(RefundTest, ARefusedOneReleasesItsAmountAndIsReported) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::refuses};
    const auto refund = refund_of(event, 1250);
    publish(refund);
    settle();
    EXPECT_EQ(outcomes_of(refund.refund_id).front().failure->code, "refused");
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::captured);
    publish(refund_of(event, 1250));
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, PaymentStatus::refunded);
}

TEST_F(RefundTest, ACrashIsResumedUnderTheSameKeyAndRefundsOnce) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::holds_answer};
    const auto refund = refund_of(event, 250);
    const auto message = publish(refund);
    settle();
    EXPECT_EQ(acknowledged[message.id], 0) << "not acknowledged before the result is committed";
    crash_and_restart();
    settle();
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, 250);
    EXPECT_EQ(gateway.count(GatewayCall::refund), 2U);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
    EXPECT_EQ(acknowledged[message.id], 1);
}

TEST_F(RefundTest, LostRequestsAndAnswersOfSeveralAtOnceEndWithEachMadeOnce) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::loses_answer, Fate::loses_request, Fate::loses_answer,
                                          Fate::loses_request};
    for (const std::int64_t amount : {100, 200, 300})
        publish_beside(refund_of(event, amount));
    settle();
    EXPECT_EQ(payment_of(event.order_id).refund_reserved_minor, 600);
    pass(minutes(10));
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, 600);
    EXPECT_EQ(payment_of(event.order_id).refund_reserved_minor, 0);
    EXPECT_EQ(gateway.provider.total_refunds(), 3);
}

TEST_F(RefundTest, ACancellationGivesBackOnlyWhatNoRefundHasReserved) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::holds_answer};
    publish(refund_of(event, 250));
    settle();
    publish_beside(canceled(event));
    settle();
    gateway.release_held();
    settle();
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(payment.status, PaymentStatus::refunded);
    EXPECT_EQ(payment.refunded_minor, 1250);
    const auto refunds = refunds_of(event.order_id);
    ASSERT_EQ(refunds.size(), 2U);
    EXPECT_EQ(refunds[0].amount_minor + refunds[1].amount_minor, 1250);
}

TEST_F(RefundTest, AProviderThatNeverAnswersLeavesItInTheListForAHuman) {
    const auto event = paid();
    gateway.fates[GatewayCall::refund] = {Fate::loses_request};
    gateway.fates[GatewayCall::look_up] = std::deque(200, Fate::loses_request);
    publish(refund_of(event, 250));
    settle();
    pass(std::chrono::days(4), minutes(30));
    const auto refunds = refunds_of(event.order_id);
    EXPECT_TRUE(refunds.front().stuck_since.has_value());
    EXPECT_EQ(refunds.front().state, RefundState::requested) << "and its amount stays reserved";
    const auto asked = gateway.calls.size();
    pass(std::chrono::days(1), minutes(30));
    EXPECT_EQ(gateway.calls.size(), asked) << "nobody asks any more";
}

}  // namespace
}  // namespace quittance::payments
