#include "payments/payment.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include <gtest/gtest.h>

#include "payments/payment_testing.hpp"

namespace quittance::payments {
namespace {

constexpr std::array all_statuses{
    PaymentStatus::pending,  PaymentStatus::authorized,         PaymentStatus::captured,
    PaymentStatus::failed,   PaymentStatus::requires_action,    PaymentStatus::unknown,
    PaymentStatus::canceled, PaymentStatus::partially_refunded, PaymentStatus::refunded};
constexpr std::array all_outcomes{GatewayOutcome::succeeded,       GatewayOutcome::declined,
                                  GatewayOutcome::requires_action, GatewayOutcome::pending,
                                  GatewayOutcome::unknown,         GatewayOutcome::not_found};
constexpr std::array all_calls{GatewayCall::authorize, GatewayCall::look_up, GatewayCall::capture,
                               GatewayCall::cancel};

std::string name_of(PaymentStatus status, GatewayCall call, GatewayOutcome outcome, bool cancel) {
    return std::string(contracts::to_string(status)) + " call " + std::to_string(static_cast<int>(call)) +
           " outcome " + std::to_string(static_cast<int>(outcome)) + (cancel ? " cancel requested" : "");
}

/// A payment that was canceled because nobody knew of it heeds news of it, and goes back.
bool was_given_up(const Payment& payment) {
    return payment.status == PaymentStatus::canceled && payment.cancel_requested;
}

bool awaits(const Payment& payment, GatewayCall call, GatewayOutcome outcome = GatewayOutcome::succeeded) {
    const bool charge = payment.status == PaymentStatus::pending || payment.status == PaymentStatus::unknown;
    const bool capture = payment.capture_requested_minor > 0;
    const bool held = payment.status == PaymentStatus::authorized;
    const bool release = payment.cancel_requested && (payment.status == PaymentStatus::authorized ||
                                                      payment.status == PaymentStatus::requires_action);
    switch (call) {
        case GatewayCall::authorize: {
            const bool made = outcome == GatewayOutcome::succeeded || outcome == GatewayOutcome::pending ||
                              outcome == GatewayOutcome::requires_action;
            return charge || (was_given_up(payment) && made);
        }
        case GatewayCall::look_up: return charge || held || release || was_given_up(payment);
        case GatewayCall::capture: return capture;
        case GatewayCall::cancel: return release;
        case GatewayCall::refund:
        case GatewayCall::none: return false;
    }
    return false;
}

TEST(Payment, BeginsPendingUnderItsOwnKeyAndIsTakenUpAgainWhenStale) {
    const Payment payment = begin_payment(payment_id, request(2), "simulator", CaptureMode::automatic, start);
    EXPECT_EQ(payment.status, PaymentStatus::pending);
    EXPECT_EQ(payment.idempotency_key, "pay-" + payment_id.to_string());
    EXPECT_EQ(payment.attempt, 2);
    EXPECT_EQ(payment.captured_minor, 0);
    EXPECT_EQ(payment.next_look_up_at, start + stale_after);
    EXPECT_EQ(resume_call(payment, start), GatewayCall::authorize);
}

TEST(Payment, EveryAnswerInEveryStatusIsAppliedOrRefusedAndKeepsTheInvariants) {
    int applied = 0;
    int refused = 0;
    for (const PaymentStatus status : all_statuses) {
        for (const GatewayCall call : all_calls) {
            for (const GatewayOutcome outcome : all_outcomes) {
                for (const bool cancel : {false, true}) {
                    SCOPED_TRACE(name_of(status, call, outcome, cancel));
                    const Payment before = payment_in(status, cancel);
                    const auto result = apply(before, call, answer(outcome));
                    ASSERT_EQ(result.ok(), awaits(before, call, outcome));
                    if (!result) {
                        ++refused;
                        EXPECT_EQ(result.error().code, ErrorCode::conflict);
                        EXPECT_NE(result.error().detail.find(contracts::to_string(status)),
                                  std::string::npos);
                        continue;
                    }
                    ++applied;
                    const Payment& after = result->after;
                    EXPECT_NO_THROW(ensure_invariants(after));
                    EXPECT_EQ(after.version, before.version + 1);
                    EXPECT_EQ(after.updated_at, start + seconds(1));
                    EXPECT_EQ(after.idempotency_key, before.idempotency_key);
                    // What others can see is told to others, and nothing else is.
                    const bool visible = after.status != before.status ||
                                         after.captured_minor != before.captured_minor ||
                                         after.refunded_minor != before.refunded_minor;
                    EXPECT_EQ(result->events.size(), visible ? 1U : 0U);
                    // Whatever still waits for the provider is on the schedule: nothing is forgotten.
                    const bool waits = resume_call(after, start) != GatewayCall::none;
                    EXPECT_EQ(after.next_look_up_at.has_value(), waits);
                    EXPECT_TRUE(result->next == GatewayCall::none || awaits(after, result->next) ||
                                (result->next == GatewayCall::refund && !result->refunds.empty()));
                }
            }
        }
    }
    EXPECT_EQ(applied + refused, 9 * 4 * 6 * 2);
    EXPECT_EQ(applied, 2 * 2 * 2 * 6 + 2 * 2 * 6 + 6 + 3 + 6);
}

TEST(Payment, AnAnswerToAChargeDecidesTheStatus) {
    const std::map<GatewayOutcome, std::pair<PaymentStatus, PaymentStatus>> expected{
        {GatewayOutcome::succeeded, {PaymentStatus::captured, PaymentStatus::captured}},
        {GatewayOutcome::declined, {PaymentStatus::failed, PaymentStatus::canceled}},
        {GatewayOutcome::requires_action, {PaymentStatus::requires_action, PaymentStatus::requires_action}},
        {GatewayOutcome::pending, {PaymentStatus::pending, PaymentStatus::pending}},
        {GatewayOutcome::unknown, {PaymentStatus::unknown, PaymentStatus::unknown}},
        {GatewayOutcome::not_found, {PaymentStatus::unknown, PaymentStatus::unknown}}};
    for (const PaymentStatus status : {PaymentStatus::pending, PaymentStatus::unknown}) {
        for (const auto& [outcome, after] : expected) {
            SCOPED_TRACE(name_of(status, GatewayCall::authorize, outcome, false));
            EXPECT_EQ(apply(payment_in(status), GatewayCall::authorize, answer(outcome))->after.status,
                      after.first);
            EXPECT_EQ(apply(payment_in(status, true), GatewayCall::authorize, answer(outcome))->after.status,
                      after.second);
        }
    }
}

TEST(Payment, ACapturedChargeIsPublishedWithItsMoneyAndSequence) {
    const auto result =
        apply(payment_in(PaymentStatus::pending), GatewayCall::authorize, answer(GatewayOutcome::succeeded));
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->next, GatewayCall::none);
    ASSERT_EQ(result->events.size(), 1U);
    const contracts::PaymentUpdated expected{.order_id = order_id,
                                             .payment_id = payment_id,
                                             .status = PaymentStatus::captured,
                                             .captured_minor = total,
                                             .currency = eur,
                                             .sequence = 1'000'002};
    EXPECT_EQ(result->events.front(), expected);
    EXPECT_EQ(result->after.provider_reference, "ref-1");
}

TEST(Payment, AFailureHasACodeEvenWhenTheProviderGivesNone) {
    const auto declined = apply(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                                {.outcome = GatewayOutcome::declined});
    EXPECT_EQ(declined->after.failure->code, "declined");
    const auto action = apply(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                              {.outcome = GatewayOutcome::requires_action});
    EXPECT_EQ(action->events.front().failure->code, "authentication_required");
}

TEST(Payment, SequencesGrowOverTheAttemptsOfAnOrder) {
    Payment first = begin_payment(payment_id, request(1), "simulator", CaptureMode::automatic, start);
    first.version = 500;
    const auto late = apply(first, GatewayCall::authorize, answer(GatewayOutcome::declined));
    const auto next = apply(begin_payment(payment_id, request(2), "simulator", CaptureMode::automatic, start),
                            GatewayCall::authorize, answer(GatewayOutcome::succeeded));
    EXPECT_LT(late->events.front().sequence, next->events.front().sequence);
}

TEST(Payment, ACaptureThatArrivesAfterTheCancellationIsRefundedUnderAStoredKey) {
    const auto result = apply(payment_in(PaymentStatus::pending, true), GatewayCall::authorize,
                              answer(GatewayOutcome::succeeded));
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->after.status, PaymentStatus::captured);
    EXPECT_EQ(result->next, GatewayCall::refund);
    ASSERT_EQ(result->refunds.size(), 1U);
    const Refund& refund = result->refunds.front();
    EXPECT_EQ(refund.id, spare_id);
    EXPECT_EQ(refund.amount_minor, total);
    EXPECT_EQ(refund.idempotency_key, "refund-" + spare_id.to_string());
    EXPECT_EQ(result->after.refund_reserved_minor, total);
    const auto asked = gateway_request(result->after, refund, GatewayCall::refund);
    EXPECT_EQ(asked.idempotency_key, refund.idempotency_key);
    EXPECT_EQ(asked.amount.minor, total);

    const auto refunded = apply(*result, GatewayCall::refund, answer(GatewayOutcome::succeeded));
    ASSERT_TRUE(refunded.ok());
    EXPECT_EQ(refunded->after.status, PaymentStatus::refunded);
    EXPECT_EQ(refunded->after.refunded_minor, total);
    EXPECT_EQ(refunded->after.refund_reserved_minor, 0);
    EXPECT_EQ(refunded->events.front().refunded_minor, total);
    EXPECT_EQ(refunded->refunds.front().state, RefundState::succeeded);
}

TEST(Payment, CancelingDependsOnTheStatusAndIsRefusedWhenNothingCanComeBack) {
    const std::map<PaymentStatus, GatewayCall> legal{
        {PaymentStatus::pending, GatewayCall::none},
        {PaymentStatus::unknown, GatewayCall::none},
        {PaymentStatus::authorized, GatewayCall::cancel},
        {PaymentStatus::requires_action, GatewayCall::cancel},
        {PaymentStatus::captured, GatewayCall::refund},
        {PaymentStatus::partially_refunded, GatewayCall::refund}};
    for (const PaymentStatus status : all_statuses) {
        SCOPED_TRACE(contracts::to_string(status));
        const auto result = request_cancel(payment_in(status), spare_id, start + seconds(1));
        ASSERT_EQ(result.ok(), legal.contains(status));
        if (!result) {
            EXPECT_EQ(result.error().code, ErrorCode::conflict);
            continue;
        }
        EXPECT_EQ(result->next, legal.at(status));
        EXPECT_EQ(result->after.status, status);
        EXPECT_TRUE(result->after.cancel_requested);
        const bool refunds = result->next == GatewayCall::refund;
        EXPECT_TRUE(refunds ? result->refunds.front().next_look_up_at.has_value()
                            : result->after.next_look_up_at.has_value());
        EXPECT_TRUE(result->events.empty());
        EXPECT_FALSE(request_cancel(result->after, spare_id, start).ok()) << "a second time is refused";
    }
}

TEST(Payment, CancelingAPartlyRefundedPaymentGivesBackOnlyTheRest) {
    const auto result = request_cancel(payment_in(PaymentStatus::partially_refunded), spare_id, start);
    EXPECT_EQ(result->after.refund_reserved_minor, total - 300);
    EXPECT_EQ(result->refunds.front().amount_minor, total - 300);
}

TEST(Payment, CancelingAFreePaymentNeedsNoProvider) {
    auto free = request();
    free.amount.minor = 0;
    const auto captured = apply(begin_payment(payment_id, free, "simulator", CaptureMode::manual, start),
                                GatewayCall::authorize, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(captured->after.status, PaymentStatus::captured);
    const auto canceled = request_cancel(captured->after, spare_id, start);
    EXPECT_EQ(canceled->after.status, PaymentStatus::refunded);
    EXPECT_EQ(canceled->next, GatewayCall::none);
    EXPECT_EQ(canceled->events.size(), 1U);
}

TEST(Payment, ACancellationThatOvertakesItsOrderIsPublishedAndFinal) {
    const contracts::OrderCanceled event{order_id, user_id, {total, eur}, 1};
    const Transition result = begin_canceled(payment_id, event, "simulator", start);
    EXPECT_EQ(result.after.status, PaymentStatus::canceled);
    ASSERT_EQ(result.events.size(), 1U);
    EXPECT_EQ(result.events.front().status, PaymentStatus::canceled);
    EXPECT_EQ(result.events.front().sequence, 1'000'001);
    EXPECT_EQ(resume_call(result.after, start), GatewayCall::none);
    EXPECT_FALSE(is_active(result.after.status));
}

TEST(Payment, LookUpsBecomeRarerUpToOneAnHour) {
    Payment payment = payment_in(PaymentStatus::pending);
    const std::array<int, 4> first_pauses{1, 2, 4, 8};
    for (int i = 0; i < most_look_ups; ++i) {
        const auto result = apply(payment, GatewayCall::look_up, answer(GatewayOutcome::unknown), start);
        ASSERT_TRUE(result.ok());
        const auto pause = *result->after.next_look_up_at - start;
        if (i < 4) {
            EXPECT_EQ(pause, seconds(first_pauses[static_cast<std::size_t>(i)]));
        } else if (i >= 12) {
            EXPECT_EQ(pause, longest_look_up_pause);
        }
        EXPECT_EQ(result->events.size(), i == 0 ? 1U : 0U) << "UNKNOWN is news only once";
        payment = result->after;
    }
    const auto last = apply(payment, GatewayCall::look_up, answer(GatewayOutcome::unknown), start);
    EXPECT_FALSE(last->after.next_look_up_at.has_value()) << "and one day nobody asks any more";
    EXPECT_EQ(last->after.stuck_since, start);
    EXPECT_EQ(last->after.status, PaymentStatus::unknown);
    Payment again = last->after;
    EXPECT_TRUE(resume_stuck(again, start + hours(1)));
    EXPECT_EQ(again.next_look_up_at, start + hours(1));
    EXPECT_EQ(resume_call(again, start + hours(1)), GatewayCall::look_up) << "never charged blindly";
    EXPECT_FALSE(resume_stuck(again, start)) << "it does not stand in the list any more";
    const auto found_late = apply(last->after, GatewayCall::look_up, found(total));
    EXPECT_FALSE(found_late->after.stuck_since.has_value());
}

TEST(Payment, ALookUpThatFindsTheMoneySettlesAnUnknownPayment) {
    const auto result = apply(payment_in(PaymentStatus::unknown), GatewayCall::look_up, found(total));
    EXPECT_EQ(result->after.status, PaymentStatus::captured);
    EXPECT_EQ(result->after.captured_minor, total);
    EXPECT_FALSE(result->after.next_look_up_at.has_value());
}

TEST(Payment, ALookUpTellsOfRefundsMadeElsewhere) {
    const Payment unknown = payment_in(PaymentStatus::unknown);
    EXPECT_EQ(apply(unknown, GatewayCall::look_up, found(total, 300))->after.status,
              PaymentStatus::partially_refunded);
    EXPECT_EQ(apply(unknown, GatewayCall::look_up, found(total, total))->after.status,
              PaymentStatus::refunded);
}

TEST(Payment, ALookUpThatCannotBeTrueIsRefused) {
    const Payment unknown = payment_in(PaymentStatus::unknown);
    for (const auto& lie : {found(total + 1), found(total, total + 1), found(-1), found(total, -1)}) {
        const auto result = apply(unknown, GatewayCall::look_up, lie);
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().code, ErrorCode::internal);
    }
}

TEST(Payment, WhatTheProviderNeverReceivedIsSentAgainUnderTheSameKeyWhileTheKeyLives) {
    const Payment unknown = payment_in(PaymentStatus::unknown);
    const auto early = apply(unknown, GatewayCall::look_up, {.outcome = GatewayOutcome::not_found});
    EXPECT_EQ(early->next, GatewayCall::authorize);
    EXPECT_EQ(gateway_request(early->after, GatewayCall::authorize).idempotency_key, unknown.idempotency_key);
    EXPECT_EQ(gateway_request(unknown, GatewayCall::look_up).may_be_sent_until,
              start + idempotency_key_valid_for);
    const auto too_late_to_send = apply(unknown, GatewayCall::look_up, {.outcome = GatewayOutcome::not_found},
                                        start + idempotency_key_valid_for);
    EXPECT_EQ(too_late_to_send->after.status, PaymentStatus::unknown) << "one may still be on its way";
    EXPECT_EQ(too_late_to_send->next, GatewayCall::none);
    const auto late = apply(unknown, GatewayCall::look_up, {.outcome = GatewayOutcome::not_found},
                            start + idempotency_key_valid_for + not_found_is_final_after);
    EXPECT_EQ(late->after.status, PaymentStatus::failed);
    EXPECT_EQ(late->after.failure->code, "provider_never_received");
    EXPECT_EQ(late->next, GatewayCall::none);
}

TEST(Payment, ACanceledPaymentIsNeverSentAgain) {
    // Its last charge may have been sent just before the cancellation, however old the payment is.
    const Timestamp canceled_at = start + hours(5);
    const Payment unknown = request_cancel(payment_in(PaymentStatus::unknown), spare_id, canceled_at)->after;
    EXPECT_EQ(gateway_request(unknown, GatewayCall::look_up).may_be_sent_until, canceled_at);
    const GatewayResult not_found{.outcome = GatewayOutcome::not_found};
    const auto early =
        apply(unknown, GatewayCall::look_up, not_found, canceled_at + not_found_is_final_after - seconds(1));
    EXPECT_EQ(early->next, GatewayCall::none);
    EXPECT_EQ(early->after.status, PaymentStatus::unknown) << "the request may still be on its way";
    const auto late = apply(unknown, GatewayCall::look_up, not_found, canceled_at + not_found_is_final_after);
    EXPECT_EQ(late->after.status, PaymentStatus::canceled);
}

TEST(Payment, AChargeThatSucceedsAfterItWasGivenUpGoesBackByItself) {
    const Payment canceled = request_cancel(payment_in(PaymentStatus::unknown), spare_id, start)->after;
    const auto given_up = apply(canceled, GatewayCall::look_up, {.outcome = GatewayOutcome::not_found},
                                start + not_found_is_final_after);
    ASSERT_EQ(given_up->after.status, PaymentStatus::canceled);
    EXPECT_EQ(resume_call(given_up->after, start), GatewayCall::none) << "nobody asks by himself";
    for (const GatewayCall call : {GatewayCall::authorize, GatewayCall::look_up}) {
        const auto late = apply(given_up->after, call, found(total));
        ASSERT_TRUE(late.ok());
        EXPECT_EQ(late->after.status, PaymentStatus::captured);
        EXPECT_EQ(late->next, GatewayCall::refund);
        EXPECT_EQ(late->refunds.front().amount_minor, total);
    }
    Payment told = given_up->after;
    EXPECT_TRUE(heeds_news(told));
    told.next_look_up_at = start;
    EXPECT_EQ(resume_call(told, start), GatewayCall::look_up);
    const auto false_alarm = apply(told, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_EQ(false_alarm->after.status, PaymentStatus::canceled);
    EXPECT_FALSE(false_alarm->after.next_look_up_at.has_value());
    EXPECT_TRUE(false_alarm->events.empty());
}

TEST(Payment, AnInterruptedPaymentIsTakenUpWhereItWasLeft) {
    Payment pending = payment_in(PaymentStatus::pending);
    EXPECT_EQ(resume_call(pending, start + hours(22)), GatewayCall::authorize);
    EXPECT_EQ(resume_call(pending, start + hours(23)), GatewayCall::look_up) << "the key may be forgotten";
    pending.provider_reference = "ref-1";
    EXPECT_EQ(resume_call(pending, start), GatewayCall::look_up) << "the provider has it already";
    EXPECT_EQ(resume_call(payment_in(PaymentStatus::pending, true), start), GatewayCall::look_up);
    EXPECT_EQ(resume_call(payment_in(PaymentStatus::unknown), start), GatewayCall::look_up);
    EXPECT_EQ(resume_call(capturing(), start), GatewayCall::capture);
    EXPECT_EQ(resume_call(payment_in(PaymentStatus::requires_action, true), start), GatewayCall::cancel);
    for (const PaymentStatus status :
         {PaymentStatus::captured, PaymentStatus::failed, PaymentStatus::refunded,
          PaymentStatus::requires_action, PaymentStatus::canceled}) {
        EXPECT_EQ(resume_call(payment_in(status), start), GatewayCall::none) << contracts::to_string(status);
    }
}

TEST(Payment, IsCapturedByHandOnceAndInPart) {
    const Payment begun = begin_payment(payment_id, request(), "simulator", CaptureMode::manual, start);
    const auto authorized = apply(begun, GatewayCall::authorize, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(authorized->after.status, PaymentStatus::authorized);
    EXPECT_EQ(authorized->after.captured_minor, 0);
    EXPECT_EQ(authorized->events.front().status, PaymentStatus::authorized);
    EXPECT_FALSE(authorized->after.next_look_up_at.has_value());

    const auto asked = request_capture(authorized->after, 600, start);
    ASSERT_TRUE(asked.ok());
    EXPECT_EQ(asked->next, GatewayCall::capture);
    const auto sent = gateway_request(asked->after, GatewayCall::capture);
    EXPECT_EQ(sent.amount.minor, 600);
    EXPECT_EQ(sent.idempotency_key, "capture-" + payment_id.to_string() + "-1");
    EXPECT_FALSE(request_capture(asked->after, 100, start).ok()) << "one capture at a time";
    EXPECT_FALSE(request_void(asked->after, start).ok());

    const auto captured = apply(asked->after, GatewayCall::capture, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(captured->after.status, PaymentStatus::captured);
    EXPECT_EQ(captured->after.captured_minor, 600);
    EXPECT_EQ(captured->events.front().captured_minor, 600);
    EXPECT_FALSE(request_capture(captured->after, 100, start).ok()) << "the rest is released";
    EXPECT_EQ(refundable_minor(captured->after), 600);
}

TEST(Payment, NewsOfAnAuthorizationIsHeeded) {
    const Payment begun = begin_payment(payment_id, request(), "simulator", CaptureMode::manual, start);
    Payment held = apply(begun, GatewayCall::authorize, answer(GatewayOutcome::succeeded))->after;
    EXPECT_EQ(resume_call(held, start), GatewayCall::none) << "nobody asks by himself";
    EXPECT_TRUE(heeds_news(held));
    held.next_look_up_at = start;
    EXPECT_EQ(resume_call(held, start), GatewayCall::look_up);

    const auto still_held = apply(held, GatewayCall::look_up, found(0));
    EXPECT_EQ(still_held->after.status, PaymentStatus::authorized);
    EXPECT_FALSE(still_held->after.next_look_up_at.has_value());
    EXPECT_TRUE(still_held->events.empty());
    const auto captured = apply(held, GatewayCall::look_up, found(600));
    EXPECT_EQ(captured->after.status, PaymentStatus::captured) << "in the provider's dashboard";
    EXPECT_EQ(captured->events.front().captured_minor, 600);
    const auto expired = apply(held, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_EQ(expired->after.status, PaymentStatus::canceled);
    EXPECT_EQ(expired->events.size(), 1U);
    EXPECT_FALSE(request_capture(expired->after, total, start).ok());
    const auto unclear = apply(held, GatewayCall::look_up, answer(GatewayOutcome::unknown));
    EXPECT_EQ(unclear->after.status, PaymentStatus::authorized);
    EXPECT_EQ(resume_call(unclear->after, start), GatewayCall::look_up);
}

TEST(Payment, OnlyWhatIsAuthorizedIsCapturedOrVoided) {
    for (const PaymentStatus status : all_statuses) {
        SCOPED_TRACE(contracts::to_string(status));
        EXPECT_EQ(request_capture(payment_in(status), total, start).ok(),
                  status == PaymentStatus::authorized);
        EXPECT_EQ(request_void(payment_in(status), start).ok(),
                  status == PaymentStatus::authorized || status == PaymentStatus::requires_action);
    }
    for (const std::int64_t amount : {std::int64_t{0}, std::int64_t{-1}, total + 1}) {
        EXPECT_FALSE(request_capture(payment_in(PaymentStatus::authorized), amount, start).ok()) << amount;
    }
    EXPECT_FALSE(request_capture(payment_in(PaymentStatus::authorized, true), total, start).ok());
    EXPECT_EQ(request_void(payment_in(PaymentStatus::authorized), start)->next, GatewayCall::cancel);
}

TEST(Payment, ACaptureWithoutAClearAnswerIsLookedUpAndAskedForAgainUnderTheSameKey) {
    const auto unknown = apply(capturing(600), GatewayCall::capture, answer(GatewayOutcome::unknown));
    EXPECT_EQ(unknown->after.status, PaymentStatus::authorized);
    EXPECT_EQ(resume_call(unknown->after, start), GatewayCall::look_up);
    const auto made = apply(unknown->after, GatewayCall::look_up, found(600));
    EXPECT_EQ(made->after.captured_minor, 600);
    const auto not_made = apply(unknown->after, GatewayCall::look_up, found(0));
    EXPECT_EQ(not_made->next, GatewayCall::capture);
    EXPECT_EQ(not_made->after.capture_key, unknown->after.capture_key);
}

TEST(Payment, ACaptureThatIsRefusedIsLookedUpAndThenOver) {
    const auto refused = apply(capturing(), GatewayCall::capture, answer(GatewayOutcome::declined));
    EXPECT_EQ(refused->next, GatewayCall::look_up) << "it may have been captured before";
    EXPECT_EQ(apply(refused->after, GatewayCall::look_up, found(total))->after.status,
              PaymentStatus::captured);
    const auto still = apply(refused->after, GatewayCall::look_up, found(0));
    EXPECT_EQ(still->after.status, PaymentStatus::authorized);
    EXPECT_EQ(still->after.failure->code, "card_declined");
    const auto again = request_capture(still->after, total, start);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->after.capture_key, "capture-" + payment_id.to_string() + "-2");
    EXPECT_FALSE(apply_answer(again->after, {GatewayCall::capture, refused->after.capture_key},
                              answer(GatewayOutcome::succeeded), spare_id, start)
                     .ok())
        << "an answer to the first does not settle the second";
    const auto gone = apply(refused->after, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_EQ(gone->after.status, PaymentStatus::canceled) << "the authorization is gone";
}

TEST(Payment, ACancellationDuringACaptureGivesBackWhatIsTakenAndReleasesWhatIsNot) {
    const auto canceled = request_cancel(capturing(600), spare_id, start);
    ASSERT_TRUE(canceled.ok());
    EXPECT_EQ(canceled->next, GatewayCall::none);
    const auto taken = apply(canceled->after, GatewayCall::capture, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(taken->next, GatewayCall::refund);
    EXPECT_EQ(taken->refunds.front().amount_minor, 600);
    const auto refused = apply(canceled->after, GatewayCall::capture, answer(GatewayOutcome::declined));
    const auto released = apply(refused->after, GatewayCall::look_up, found(0));
    EXPECT_EQ(released->next, GatewayCall::cancel);
}

TEST(Payment, AReleaseThatIsRefusedIsLookedUpBecauseItMayHaveBeenCaptured) {
    const Payment waiting = payment_in(PaymentStatus::requires_action, true);
    const auto refused = apply(waiting, GatewayCall::cancel, answer(GatewayOutcome::declined));
    EXPECT_EQ(refused->after.status, PaymentStatus::requires_action);
    EXPECT_TRUE(refused->events.empty());
    EXPECT_EQ(resume_call(refused->after, start), GatewayCall::look_up);
    const auto captured = apply(refused->after, GatewayCall::look_up, found(total));
    EXPECT_EQ(captured->next, GatewayCall::refund);
    EXPECT_EQ(apply(waiting, GatewayCall::cancel, answer(GatewayOutcome::succeeded))->after.status,
              PaymentStatus::canceled);
}

TEST(Payment, AReleaseThatGetsNoAnswerBecomesRarerAndEndsInTheListForAHuman) {
    Payment payment = payment_in(PaymentStatus::authorized, true);
    Timestamp now = start;
    for (int asked = 0; asked < most_look_ups && !payment.stuck_since; ++asked) {
        const auto released = apply(payment, GatewayCall::cancel, answer(GatewayOutcome::unknown), now);
        EXPECT_TRUE(released->events.empty()) << "nothing that others see has changed";
        EXPECT_EQ(resume_call(released->after, now), GatewayCall::look_up);
        now = released->after.next_look_up_at.value_or(now);
        const auto still_held = apply(released->after, GatewayCall::look_up, found(0), now);
        EXPECT_EQ(still_held->next, GatewayCall::cancel);
        EXPECT_TRUE(still_held->events.empty());
        payment = still_held->after;
    }
    EXPECT_EQ(payment.status, PaymentStatus::authorized);
    EXPECT_TRUE(payment.stuck_since.has_value());
    EXPECT_FALSE(payment.next_look_up_at.has_value());
    EXPECT_GT(now - start, hours(24));
}

TEST(Payment, ALookUpTellsWhetherWhatIsToBeReleasedIsGone) {
    for (const PaymentStatus status : {PaymentStatus::authorized, PaymentStatus::requires_action}) {
        const Payment waiting = payment_in(status, true);
        const auto gone = apply(waiting, GatewayCall::look_up, answer(GatewayOutcome::declined));
        EXPECT_EQ(gone->after.status, PaymentStatus::canceled);
        EXPECT_EQ(gone->events.size(), 1U);
        EXPECT_EQ(apply(waiting, GatewayCall::look_up, answer(GatewayOutcome::pending))->after.status,
                  status);
    }
}

TEST(Payment, OnlyOnePaymentThatHoldsMoneyOrMayIsActive) {
    for (const PaymentStatus status : all_statuses) {
        const bool expected = status == PaymentStatus::pending || status == PaymentStatus::authorized ||
                              status == PaymentStatus::captured || status == PaymentStatus::unknown ||
                              status == PaymentStatus::partially_refunded;
        EXPECT_EQ(is_active(status), expected) << contracts::to_string(status);
    }
}

TEST(Payment, BrokenInvariantsAreNoticed) {
    const auto broken = [](auto spoil) {
        Payment payment = payment_in(PaymentStatus::captured);
        spoil(payment);
        EXPECT_THROW(ensure_invariants(payment), std::logic_error);
    };
    broken([](Payment& payment) { payment.captured_minor = total + 1; });
    broken([](Payment& payment) { payment.refunded_minor = total + 1; });
    broken([](Payment& payment) { payment.refunded_minor = -1; });
    broken([](Payment& payment) { payment.attempt = 0; });
    broken([](Payment& payment) { payment.idempotency_key.clear(); });
    broken([](Payment& payment) { payment.idempotency_key.assign(256, 'k'); });
    broken([](Payment& payment) { payment.refund_reserved_minor = total + 1; });
    broken([](Payment& payment) { payment.refund_reserved_minor = -1; });
    broken([](Payment& payment) { payment.capture_key = "capture"; });
    broken([](Payment& payment) { payment.capture_requested_minor = total + 1; });
}

}  // namespace
}  // namespace quittance::payments
