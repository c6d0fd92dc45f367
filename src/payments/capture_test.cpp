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

    Result<CommandedPayment> command(std::variant<CapturePayment, VoidPayment> what) {
        std::optional<Result<CommandedPayment>> answer;
        process->service.command({payment_of(event_.order_id).id, what},
                                 [&](auto result) { answer = std::move(result); });
        settle();
        return *answer;
    }
    Result<CommandedPayment> command_under(const std::string& key, const std::string& fingerprint,
                                           std::variant<CapturePayment, VoidPayment> what, PaymentId id,
                                           ExpectedVersions expected = {}) {
        std::optional<Result<CommandedPayment>> answer;
        process->service.command({.id = id,
                                  .command = what,
                                  .expected_versions = std::move(expected),
                                  .requested_by = admin_,
                                  .idempotency_key = key,
                                  .fingerprint = fingerprint},
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
    const UserId admin_ = event_.user_id;  // Any that is always the same.
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

TEST_F(CaptureTest, a_repeated_command_asks_the_provider_once) {
    const PaymentId id = payment().id;
    gateway.fates[GatewayCall::capture] = {Fate::declines};
    const auto first = command_under("capture-1", "capture 800", CapturePayment{800}, id);
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_FALSE(first->replayed);
    // It was declined: only the key keeps the provider from being asked again.
    for (int i = 0; i < 3; ++i) {
        const auto again = command_under("capture-1", "capture 800", CapturePayment{800}, id);
        ASSERT_TRUE(again) << again.error().detail;
        EXPECT_TRUE(again->replayed);
        EXPECT_EQ(again->payment, payment());
    }
    EXPECT_EQ(payment().captures, 1);
    EXPECT_EQ(command_under("capture-1", "capture 900", CapturePayment{900}, id).error().code,
              ErrorCode::invalid);
}

TEST_F(CaptureTest, repetitions_in_one_batch_are_one_command) {
    const PaymentId id = payment().id;
    std::vector<Result<CommandedPayment>> answers;
    for (const char* fingerprint : {"capture 800", "capture 800", "capture 900"}) {
        process->service.command({.id = id,
                                  .command = CapturePayment{800},
                                  .requested_by = admin_,
                                  .idempotency_key = "capture-1",
                                  .fingerprint = fingerprint},
                                 [&](auto result) { answers.push_back(std::move(result)); });
    }
    settle();
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_FALSE(answers[0]->replayed);
    EXPECT_TRUE(answers[1]->replayed);
    EXPECT_EQ(answers[2].error().code, ErrorCode::invalid);
    EXPECT_EQ(gateway.provider.total_captures(), 1);
    EXPECT_EQ(payment().captured_minor, 800);
}

TEST_F(CaptureTest, a_refused_command_leaves_its_key_free) {
    const PaymentId id = payment().id;
    EXPECT_EQ(command_under("key", "capture 1251", CapturePayment{1251}, id).error().code,
              ErrorCode::conflict);
    const auto other = command_under("key", "capture 800", CapturePayment{800}, id);
    ASSERT_TRUE(other) << other.error().detail;
    EXPECT_FALSE(other->replayed);
}

TEST_F(CaptureTest, another_version_refuses_a_command_before_anything_happens) {
    const Payment before = payment();
    for (const std::variant<CapturePayment, VoidPayment>& what :
         {std::variant<CapturePayment, VoidPayment>(CapturePayment{800}), {VoidPayment{}}}) {
        EXPECT_EQ(command_under("", "", what, before.id, {{before.version + 1}}).error().code,
                  ErrorCode::precondition_failed);
    }
    EXPECT_EQ(payment(), before);
    EXPECT_TRUE(command_under("", "", CapturePayment{800}, before.id, {{before.version}}));
}

TEST_F(CaptureTest, keys_are_forgotten_after_a_day) {
    ASSERT_TRUE(command_under("capture-1", "capture 800", CapturePayment{800}, payment().id));
    pass(db::idempotency_key_lifetime - minutes(30), minutes(20));
    EXPECT_TRUE(command_under("capture-1", "capture 800", CapturePayment{800}, payment().id)->replayed);
    pass(std::chrono::hours(1), minutes(20));
    EXPECT_EQ(command_under("capture-1", "capture 800", CapturePayment{800}, payment().id).error().code,
              ErrorCode::conflict);
}

}  // namespace
}  // namespace quittance::payments
