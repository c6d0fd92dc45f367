// Payments that are authorized first, and captured or voided by hand.
#include <chrono>
#include <optional>
#include <string>

#include <gmock/gmock.h>

#include "payments/ledger_audit.hpp"
#include "payments/payment_test_world.hpp"
#include "payments/stuck.hpp"

namespace quittance::payments {
namespace {

using contracts::PaymentStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class CaptureTest : public PaymentWorld {
protected:
    CaptureTest() {
        mode = CaptureMode::manual;
        process.reset();
        start();
        publish(event_);
        settle();
    }

    Result<Payment> command(std::variant<CapturePayment, VoidPayment> what) {
        std::optional<Result<Payment>> answer;
        process->service.command({payment_of(event_.order_id).id, what},
                                 [&](auto result) { answer = std::move(result); });
        settle();
        return *answer;
    }
    Payment payment() { return payment_of(event_.order_id); }
    /// A capture of 8.00 EUR of which the provider says nothing for days.
    void get_stuck() {
        gateway.fates[GatewayCall::capture] = std::deque(200, Fate::loses_request);
        ASSERT_TRUE(command(CapturePayment{800}));
        pass(std::chrono::days(4), minutes(30));
    }

    const contracts::OrderCreated event_ = created();
};

TEST_F(CaptureTest, AnAuthorizedPaymentWaitsAndIsCapturedInPart) {
    EXPECT_EQ(payment().status, PaymentStatus::authorized);
    EXPECT_EQ(gateway.provider.total_captures(), 0);
    pass(minutes(5));
    EXPECT_EQ(payment().status, PaymentStatus::authorized) << "nobody takes it by themselves";
    ASSERT_TRUE(command(CapturePayment{800}));
    EXPECT_EQ(payment().status, PaymentStatus::captured);
    EXPECT_EQ(payment().captured_minor, 800);
    EXPECT_THAT(statuses_of(event_.order_id),
                ElementsAre(PaymentStatus::authorized, PaymentStatus::captured));
    EXPECT_EQ(updates.back().captured_minor, 800);
    EXPECT_EQ(command(CapturePayment{100}).error().code, ErrorCode::conflict) << "only once";
    EXPECT_EQ(command(VoidPayment{}).error().code, ErrorCode::conflict);
    EXPECT_TRUE(audit_ledger(process->session, 10).findings.empty());
}

TEST_F(CaptureTest, WithoutAnAmountAllOfItIsCaptured) {
    ASSERT_TRUE(command(CapturePayment{}));
    EXPECT_EQ(payment().captured_minor, 1250);
}

TEST_F(CaptureTest, AVoidedPaymentIsCanceled) {
    EXPECT_EQ(command(CapturePayment{1251}).error().code, ErrorCode::conflict);
    ASSERT_TRUE(command(VoidPayment{}));
    EXPECT_EQ(payment().status, PaymentStatus::canceled);
    EXPECT_THAT(statuses_of(event_.order_id),
                ElementsAre(PaymentStatus::authorized, PaymentStatus::canceled));
}

TEST_F(CaptureTest, ACaptureWithoutAnAnswerIsLookedUpAndMadeOnce) {
    gateway.fates[GatewayCall::capture] = {Fate::loses_answer};
    ASSERT_TRUE(command(CapturePayment{800}));
    EXPECT_EQ(payment().status, PaymentStatus::authorized);
    pass(minutes(1));
    EXPECT_EQ(payment().captured_minor, 800);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(CaptureTest, ACaptureThatNeverArrivedIsSentAgainUnderTheSameKey) {
    gateway.fates[GatewayCall::capture] = {Fate::loses_request};
    ASSERT_TRUE(command(CapturePayment{800}));
    pass(minutes(1));
    EXPECT_EQ(payment().captured_minor, 800);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(CaptureTest, ACrashDuringACaptureIsResumed) {
    gateway.fates[GatewayCall::capture] = {Fate::holds_answer};
    ASSERT_TRUE(command(CapturePayment{}));
    crash_and_restart();
    pass(stale_after);
    EXPECT_EQ(payment().status, PaymentStatus::captured);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
}

TEST_F(CaptureTest, ACanceledOrderIsReleasedOrRefundedWhicheverTheCaptureLeaves) {
    gateway.fates[GatewayCall::capture] = {Fate::holds_answer};
    ASSERT_TRUE(command(CapturePayment{800}));
    publish(canceled(event_));
    settle();
    gateway.release_held();
    settle();
    EXPECT_EQ(payment().status, PaymentStatus::refunded);
    EXPECT_EQ(payment().refunded_minor, 800);

    const auto other = created();
    publish(other);
    settle();
    publish(canceled(other));
    settle();
    EXPECT_EQ(payment_of(other.order_id).status, PaymentStatus::canceled);
}

TEST_F(CaptureTest, WhatNobodyKnowsStandsInTheListUntilSomebodyAsksAgain) {
    get_stuck();
    const auto list = list_stuck(process->session, 10);
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list.front().payment.id, payment().id);
    const auto asked = gateway.calls.size();
    pass(std::chrono::days(1), minutes(30));
    EXPECT_EQ(gateway.calls.size(), asked) << "nobody asks by themselves any more";

    gateway.fates.clear();
    EXPECT_FALSE(retry_stuck(process->session, event_.order_id.bytes(), clock.now()));
    EXPECT_TRUE(retry_stuck(process->session, payment().id.bytes(), clock.now()));
    pass(minutes(1));
    EXPECT_EQ(payment().captured_minor, 800);
    EXPECT_TRUE(list_stuck(process->session, 10).empty());
}

TEST_F(CaptureTest, TheMetricsSayHowManyAreStuckAndForHowLong) {
    telemetry::Metrics metrics;
    StuckWatch watch(process->readers, clock, metrics);
    const auto expect_shown = [&](int rows, seconds age) {
        EXPECT_THAT(metrics.expose(), AllOf(HasSubstr("\npayments_stuck " + std::to_string(rows) + "\n"),
                                            HasSubstr("\npayments_stuck_oldest_age_seconds " +
                                                      std::to_string(age.count()) + "\n")));
    };
    const auto look = [&] {
        watch.step();
        settle();
    };
    look();
    expect_shown(0, seconds(0));
    get_stuck();
    look();
    const auto age = duration_cast<seconds>(clock.now() - list_stuck(process->session, 10).front().since());
    EXPECT_GT(age, minutes(30)) << "it was given up after three days";
    expect_shown(1, age);
    clock.advance(minutes(10));
    expect_shown(1, age + minutes(10));

    EXPECT_TRUE(retry_stuck(process->session, payment().id.bytes(), clock.now()));
    look();
    expect_shown(0, seconds(0));
}

}  // namespace
}  // namespace quittance::payments
