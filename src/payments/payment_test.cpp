#include "payments/payment.hpp"

#include <array>
#include <map>
#include <string>
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
                                  GatewayOutcome::canceled,        GatewayOutcome::not_found,
                                  GatewayOutcome::refused,         GatewayOutcome::unknown};
constexpr std::array all_calls{GatewayCall::authorize, GatewayCall::look_up, GatewayCall::capture,
                               GatewayCall::cancel};

Payment waiting() {
    return begin_payment(payment_id, request(2), "simulator", CaptureMode::automatic, start, true);
}

Payment manual() {
    return begin_payment(payment_id, request(), "simulator", CaptureMode::manual, start);
}

TEST(Payment, begins_pending_under_its_own_key_and_is_taken_up_again_when_stale) {
    const Payment payment = begin_payment(payment_id, request(2), "simulator", CaptureMode::automatic, start);
    EXPECT_EQ(payment.status, PaymentStatus::pending);
    EXPECT_EQ(payment.idempotency_key, "pay-" + payment_id.to_string());
    EXPECT_EQ(payment.attempt, 2);
    EXPECT_EQ(payment.next_look_up_at, start + stale_after);
    EXPECT_EQ(plan(payment, start), GatewayCall::authorize);
}

TEST(Payment, every_answer_in_every_state_is_taken_in_and_keeps_the_invariants) {
    for (const PaymentStatus status : all_statuses) {
        for (const GatewayCall call : all_calls) {
            for (const GatewayOutcome outcome : all_outcomes) {
                for (const bool cancel : {false, true}) {
                    SCOPED_TRACE(std::string(contracts::to_string(status)) + " call " +
                                 std::to_string(static_cast<int>(call)) + " outcome " +
                                 std::to_string(static_cast<int>(outcome)) + (cancel ? " canceled" : ""));
                    const Payment before = payment_in(status, cancel);
                    const Transition result = apply(before, call, answer(outcome));
                    const Payment& after = result.after;
                    EXPECT_NO_THROW(ensure_invariants(after));
                    EXPECT_EQ(after.version, before.version + (after == before ? 0 : 1));
                    EXPECT_EQ(after.idempotency_key, before.idempotency_key);
                    EXPECT_GE(after.captured_minor, before.captured_minor);
                    EXPECT_GE(after.refunded_minor, before.refunded_minor);
                    // What others can see is told to others.
                    const bool visible = after.status != before.status ||
                                         after.captured_minor != before.captured_minor ||
                                         after.refunded_minor != before.refunded_minor;
                    EXPECT_TRUE(!visible || result.events.size() == 1);
                    // Whatever is planned is on the schedule: nothing is forgotten.
                    if (plan(after, start) != GatewayCall::none) {
                        EXPECT_TRUE(after.next_look_up_at.has_value());
                    }
                }
            }
        }
    }
}

TEST(Payment, a_captured_charge_is_published_with_its_money_and_sequence) {
    const Transition result =
        apply_first(payment_in(PaymentStatus::pending), GatewayCall::authorize, found(total));
    EXPECT_EQ(result.next, GatewayCall::none);
    ASSERT_EQ(result.events.size(), 1U);
    const contracts::PaymentUpdated expected{.order_id = order_id,
                                             .payment_id = payment_id,
                                             .status = PaymentStatus::captured,
                                             .captured_minor = total,
                                             .currency = eur,
                                             .sequence = 1'000'002};
    EXPECT_EQ(result.events.front(), expected);
    EXPECT_EQ(result.after.provider_reference, "ref-1");
    EXPECT_FALSE(result.after.next_look_up_at.has_value());
}

TEST(Payment, what_is_declined_is_closed_at_the_provider_before_it_is_called_failed) {
    const Transition declined = apply_first(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                                            answer(GatewayOutcome::declined));
    EXPECT_EQ(declined.after.status, PaymentStatus::pending) << "the customer may still confirm it";
    EXPECT_TRUE(declined.events.empty());
    EXPECT_EQ(declined.next, GatewayCall::cancel);
    const Transition closed = apply(declined.after, GatewayCall::cancel, answer(GatewayOutcome::canceled));
    EXPECT_EQ(closed.after.status, PaymentStatus::failed);
    ASSERT_EQ(closed.events.size(), 1U);
    EXPECT_EQ(closed.events.front().failure->code, "card_declined") << "and not that it was closed";
    EXPECT_FALSE(closed.after.next_look_up_at.has_value());

    const Transition confirmed = apply(declined.after, GatewayCall::cancel, found(total));
    EXPECT_EQ(confirmed.after.status, PaymentStatus::captured) << "the customer was faster";
    EXPECT_FALSE(confirmed.after.failure.has_value());
}

TEST(Payment, what_waits_for_the_customer_is_closed_too_and_says_why) {
    const Transition asks = apply_first(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                                        {.outcome = GatewayOutcome::requires_action});
    EXPECT_EQ(asks.next, GatewayCall::cancel);
    const Transition closed = apply(asks.after, GatewayCall::cancel, answer(GatewayOutcome::canceled));
    EXPECT_EQ(closed.after.status, PaymentStatus::requires_action);
    EXPECT_EQ(closed.events.front().failure->code, "authentication_required");
}

TEST(Payment, closing_that_gets_no_answer_becomes_rarer_and_ends_in_manual_review) {
    Payment payment = apply_first(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                                  answer(GatewayOutcome::declined))
                          .after;
    Timestamp now = start;
    for (int asked = 0; asked <= most_look_ups && !payment.stuck_since; ++asked) {
        EXPECT_EQ(plan(payment, now), GatewayCall::cancel);
        payment = apply(payment, GatewayCall::cancel, no_answer, now).after;
        now = payment.next_look_up_at.value_or(now);
    }
    EXPECT_TRUE(payment.stuck_since.has_value());
    EXPECT_FALSE(payment.next_look_up_at.has_value());
    EXPECT_EQ(payment.status, PaymentStatus::pending);
    EXPECT_GT(now - start, hours(24));
}

TEST(Payment, a_refusal_by_the_provider_itself_is_final_only_for_the_first_try) {
    const Payment pending = payment_in(PaymentStatus::pending);
    const Transition first = apply_first(pending, GatewayCall::authorize, answer(GatewayOutcome::refused));
    EXPECT_EQ(first.after.status, PaymentStatus::failed);
    EXPECT_EQ(first.after.provider_state, ProviderState::absent);
    EXPECT_EQ(first.after.failure->code, "no_such_method");
    const Transition again = apply(pending, GatewayCall::authorize, answer(GatewayOutcome::refused));
    EXPECT_EQ(again.after.status, PaymentStatus::unknown) << "an earlier try may have been carried out";
    EXPECT_TRUE(again.after.next_look_up_at.has_value());
    const Timestamp later = again.after.updated_at + not_found_is_final_after;
    const Transition soon = apply(again.after, GatewayCall::authorize, answer(GatewayOutcome::refused),
                                  later - std::chrono::milliseconds(1));
    EXPECT_EQ(soon.after.status, PaymentStatus::unknown) << "that try may be on its way still";
}

TEST(Payment, a_repetition_that_is_refused_an_hour_after_the_last_try_is_looked_up_and_never_sent_again) {
    const Transition unknown =
        apply(payment_in(PaymentStatus::pending), GatewayCall::authorize, answer(GatewayOutcome::unknown));
    const Timestamp later = unknown.after.updated_at + not_found_is_final_after;
    const Transition refused =
        apply(unknown.after, GatewayCall::authorize, answer(GatewayOutcome::refused), later);
    EXPECT_EQ(refused.after.status, PaymentStatus::unknown) << "the first try may have been carried out";
    EXPECT_EQ(refused.next, GatewayCall::look_up);
    EXPECT_FALSE(visible_failure(refused.after));
    EXPECT_EQ(plan(refused.after, later), GatewayCall::look_up);
    EXPECT_LE(gateway_request(refused.after, GatewayCall::look_up).may_be_sent_until, later)
        << "not found has to be certain";
    const auto made = apply(refused.after, GatewayCall::look_up, found(total), later + seconds(1));
    EXPECT_EQ(made.after.status, PaymentStatus::captured);
    EXPECT_FALSE(made.after.failure);
    const auto missing =
        apply(refused.after, GatewayCall::look_up, answer(GatewayOutcome::not_found), later + seconds(1));
    EXPECT_EQ(missing.after.status, PaymentStatus::unknown) << "what a crash left behind may be on its way";
    const auto missing_still = apply(missing.after, GatewayCall::look_up, answer(GatewayOutcome::not_found),
                                     later + seconds(1) + not_found_is_final_after);
    EXPECT_EQ(missing_still.after.status, PaymentStatus::failed);
    EXPECT_EQ(missing_still.after.failure->code, "no_such_method");
}

TEST(Payment, an_answer_counts_only_for_the_state_that_asked) {
    const Payment pending = payment_in(PaymentStatus::pending);
    const Asked asked = asked_by(pending, GatewayCall::authorize);
    const Payment once = apply_answer(pending, asked, no_answer, spare_id, start).after;
    EXPECT_EQ(once.look_ups, 1);
    EXPECT_EQ(once.status, PaymentStatus::unknown);
    const Transition twice = apply_answer(once, asked, no_answer, spare_id, start);
    EXPECT_EQ(twice.after, once) << "the same answer for a second taker moves nothing";
    const Transition captured = apply_answer(once, asked, found(total), spare_id, start);
    EXPECT_EQ(captured.after.status, PaymentStatus::captured) << "but what it tells is taken in";
}

TEST(Payment, news_is_heeded_in_every_state) {
    for (const PaymentStatus status : all_statuses) {
        SCOPED_TRACE(contracts::to_string(status));
        EXPECT_NE(due_call(payment_in(status), start), GatewayCall::none);
    }
    for (const PaymentStatus status : {PaymentStatus::failed, PaymentStatus::requires_action}) {
        const Transition late = apply(payment_in(status), GatewayCall::look_up, found(total));
        EXPECT_EQ(late.after.status, PaymentStatus::captured);
        EXPECT_EQ(late.events.size(), 1U);
        EXPECT_TRUE(late.refunds.empty()) << "it pays the order if that still wants it";
    }
    const Transition canceled =
        apply(payment_in(PaymentStatus::canceled, true), GatewayCall::look_up, found(total));
    EXPECT_EQ(canceled.next, GatewayCall::refund) << "and goes back if it does not";
    EXPECT_EQ(canceled.refunds.front().amount_minor, total);
}

TEST(Payment, the_answer_to_a_repetition_is_that_of_the_first_try_and_is_followed_by_a_look) {
    const Payment unknown = payment_in(PaymentStatus::unknown);
    const Transition repeated = apply(unknown, GatewayCall::authorize, found(total));
    EXPECT_EQ(repeated.after.status, PaymentStatus::captured);
    EXPECT_EQ(repeated.next, GatewayCall::look_up) << "part of it may have gone back meanwhile";
    const Transition looked = apply(repeated.after, GatewayCall::look_up, found(total, 300));
    EXPECT_EQ(looked.after.status, PaymentStatus::partially_refunded);
    EXPECT_FALSE(looked.after.next_look_up_at.has_value());
}

TEST(Payment, an_old_snapshot_takes_nothing_back) {
    const Payment refunded = payment_in(PaymentStatus::partially_refunded);
    for (const GatewayResult& old : {found(total), found(0), answer(GatewayOutcome::declined),
                                     answer(GatewayOutcome::canceled), answer(GatewayOutcome::pending)}) {
        const Transition result = apply(refunded, GatewayCall::look_up, old);
        EXPECT_EQ(result.after.captured_minor, total);
        EXPECT_EQ(result.after.refunded_minor, 300);
        EXPECT_EQ(result.after.status, PaymentStatus::partially_refunded);
        EXPECT_TRUE(result.events.empty());
    }
}

TEST(Payment, a_refund_made_elsewhere_is_seen) {
    const Payment captured = payment_in(PaymentStatus::captured);
    const Transition part = apply(captured, GatewayCall::look_up, found(total, 300));
    EXPECT_EQ(part.after.status, PaymentStatus::partially_refunded);
    EXPECT_EQ(part.events.front().refunded_minor, 300);
    EXPECT_EQ(apply(captured, GatewayCall::look_up, found(total, total)).after.status,
              PaymentStatus::refunded);
}

TEST(Payment, amounts_that_cannot_be_are_stored_and_wait_for_manual_review) {
    const Payment pending = payment_in(PaymentStatus::pending);
    for (const GatewayResult& odd : {found(total + 1), found(total, total + 1)}) {
        const Transition result = apply(pending, GatewayCall::authorize, odd);
        EXPECT_EQ(result.after.captured_minor, odd.captured_minor);
        EXPECT_EQ(result.after.refunded_minor, odd.refunded_minor);
        EXPECT_TRUE(result.after.stuck_since.has_value());
    }
    for (const GatewayResult& nonsense : {found(-1), found(total, -1)}) {
        const Transition result = apply(pending, GatewayCall::look_up, nonsense);
        EXPECT_EQ(result.after.captured_minor, 0) << "a negative amount is no answer";
        EXPECT_TRUE(result.after.next_look_up_at.has_value());
    }
}

TEST(Payment, sequences_grow_over_the_attempts_of_an_order) {
    Payment first = payment_in(PaymentStatus::unknown);
    first.version = 500;
    const auto late = apply(first, GatewayCall::look_up, found(total));
    const auto next =
        apply_first(begin_payment(payment_id, request(2), "simulator", CaptureMode::automatic, start),
                    GatewayCall::authorize, found(total));
    EXPECT_LT(late.events.front().sequence, next.events.front().sequence);
}

TEST(Payment, a_capture_that_arrives_after_the_cancellation_is_refunded_under_a_stored_key) {
    const Transition result =
        apply(payment_in(PaymentStatus::pending, true), GatewayCall::authorize, found(total));
    EXPECT_EQ(result.after.status, PaymentStatus::captured);
    EXPECT_EQ(result.next, GatewayCall::refund);
    ASSERT_EQ(result.refunds.size(), 1U);
    const Refund& refund = result.refunds.front();
    EXPECT_EQ(refund.id, spare_id);
    EXPECT_EQ(refund.amount_minor, total);
    EXPECT_EQ(refund.idempotency_key, "refund-" + spare_id.to_string());
    EXPECT_EQ(result.after.refund_reserved_minor, total);

    const Transition refunded = apply(result, GatewayCall::refund, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(refunded.after.status, PaymentStatus::refunded);
    EXPECT_EQ(refunded.after.refunded_minor, total);
    EXPECT_EQ(refunded.after.refund_reserved_minor, 0);
    EXPECT_EQ(refunded.events.front().refunded_minor, total);
    EXPECT_EQ(refunded.refunds.front().state, RefundState::succeeded);
}

TEST(Payment, a_cancellation_is_wanted_in_every_state_and_makes_due_what_is_not_over) {
    const std::map<PaymentStatus, GatewayCall> planned{{PaymentStatus::pending, GatewayCall::look_up},
                                                       {PaymentStatus::unknown, GatewayCall::look_up},
                                                       {PaymentStatus::authorized, GatewayCall::cancel}};
    for (const PaymentStatus status : all_statuses) {
        SCOPED_TRACE(contracts::to_string(status));
        Payment before = payment_in(status);
        before.stuck_since = start;
        const auto result = request_cancel(before, spare_id, start + seconds(1));
        ASSERT_TRUE(result.ok());
        EXPECT_TRUE(result->after.cancel_requested);
        const auto expected = planned.find(status);
        EXPECT_EQ(plan(result->after, start + seconds(1)),
                  expected == planned.end() ? GatewayCall::none : expected->second);
        if (expected != planned.end()) {
            EXPECT_EQ(result->next, expected->second) << "at once";
            EXPECT_TRUE(result->after.next_look_up_at.has_value());
            EXPECT_FALSE(result->after.stuck_since.has_value()) << "it is asked again";
        } else {
            const bool has_money = refundable_minor(before) > 0;
            EXPECT_EQ(result->next, has_money ? GatewayCall::refund : GatewayCall::none);
        }
        EXPECT_FALSE(request_cancel(result->after, spare_id, start).ok()) << "a second time is refused";
    }
}

TEST(Payment, canceling_a_partly_refunded_payment_gives_back_only_the_remainder) {
    const auto result = request_cancel(payment_in(PaymentStatus::partially_refunded), spare_id, start);
    EXPECT_EQ(result->after.refund_reserved_minor, total - 300);
    EXPECT_EQ(result->refunds.front().amount_minor, total - 300);
}

TEST(Payment, canceling_a_free_payment_needs_no_provider) {
    auto free = request();
    free.amount.minor = 0;
    const auto captured =
        take_nothing(begin_payment(payment_id, free, "simulator", CaptureMode::manual, start), start);
    EXPECT_EQ(captured.after.status, PaymentStatus::captured);
    EXPECT_FALSE(captured.after.next_look_up_at.has_value());
    const auto canceled = request_cancel(captured.after, spare_id, start);
    EXPECT_EQ(canceled->after.status, PaymentStatus::refunded);
    EXPECT_EQ(canceled->next, GatewayCall::none);
    EXPECT_EQ(canceled->events.size(), 1U);
}

TEST(Payment, a_cancellation_that_overtakes_its_order_is_published_and_final) {
    const contracts::OrderCanceled event{order_id, user_id, {total, eur}, 1};
    const Transition result = begin_canceled(payment_id, event, "simulator", start);
    EXPECT_EQ(result.after.status, PaymentStatus::canceled);
    ASSERT_EQ(result.events.size(), 1U);
    EXPECT_EQ(result.events.front().sequence, 1'000'001);
    EXPECT_EQ(due_call(result.after, start), GatewayCall::none) << "the provider cannot know it";
    EXPECT_TRUE(is_over(result.after));
}

TEST(Payment, a_charge_waits_for_the_attempts_before_and_may_end_unsent) {
    const Payment payment = waiting();
    EXPECT_EQ(due_call(payment, start), GatewayCall::none);
    EXPECT_FALSE(payment.next_look_up_at.has_value());
    const Transition released = release_charge(payment, start);
    EXPECT_EQ(released.next, GatewayCall::authorize);
    const auto canceled = request_cancel(payment, spare_id, start);
    EXPECT_EQ(canceled->after.status, PaymentStatus::canceled);
    EXPECT_EQ(canceled->events.size(), 1U);
    EXPECT_TRUE(is_over(canceled->after));
    EXPECT_TRUE(is_over(request_close(payment, start)->after));
}

TEST(Payment, look_ups_become_rarer_up_to_one_an_hour_and_end_in_manual_review) {
    Payment payment = payment_in(PaymentStatus::pending, true);
    const std::array<int, 4> first_pauses{1, 2, 4, 8};
    for (int i = 0; i < most_look_ups; ++i) {
        const auto result = apply(payment, GatewayCall::look_up, no_answer, start);
        const auto pause = *result.after.next_look_up_at - start;
        if (i < 4) {
            EXPECT_EQ(pause, seconds(first_pauses.at(static_cast<std::size_t>(i))));
        } else if (i >= 12) {
            EXPECT_EQ(pause, longest_look_up_pause);
        }
        EXPECT_EQ(result.events.size(), i == 0 ? 1U : 0U) << "UNKNOWN is news only once";
        payment = result.after;
    }
    const auto last = apply(payment, GatewayCall::look_up, no_answer, start);
    EXPECT_FALSE(last.after.next_look_up_at.has_value());
    EXPECT_EQ(last.after.stuck_since, start);
    EXPECT_EQ(last.after.status, PaymentStatus::unknown);
    Payment again = last.after;
    EXPECT_TRUE(resume_stuck(again, start + hours(1)));
    EXPECT_EQ(again.next_look_up_at, start + hours(1));
    EXPECT_EQ(due_call(again, start + hours(1)), GatewayCall::look_up);
    EXPECT_FALSE(resume_stuck(again, start)) << "it does not wait any more";
}

TEST(Payment, what_the_provider_decides_later_is_watched_at_its_own_pace) {
    Payment payment = apply_first(payment_in(PaymentStatus::pending), GatewayCall::authorize,
                                  answer(GatewayOutcome::pending))
                          .after;
    EXPECT_EQ(payment.next_look_up_at, start + seconds(1) + shortest_watch_pause);
    Timestamp now = start;
    int looks = 0;
    for (; now < start + hours(24 * 14); ++looks) {
        now = payment.next_look_up_at.value();
        payment = apply(payment, GatewayCall::look_up, answer(GatewayOutcome::pending), now).after;
        EXPECT_EQ(payment.look_ups, 0) << "that it is not decided is an answer";
        EXPECT_FALSE(payment.stuck_since.has_value());
    }
    EXPECT_LT(looks, 40) << "in fourteen days";
    EXPECT_EQ(payment.status, PaymentStatus::pending);
}

TEST(Payment, an_authorization_is_looked_at_once_a_day) {
    const Payment held = apply_first(manual(), GatewayCall::authorize, found(0)).after;
    EXPECT_EQ(held.status, PaymentStatus::authorized);
    EXPECT_EQ(held.next_look_up_at, start + seconds(1) + longest_watch_pause);
    const auto expired = apply(held, GatewayCall::look_up, answer(GatewayOutcome::canceled));
    EXPECT_EQ(expired.after.status, PaymentStatus::canceled);
    EXPECT_EQ(expired.events.size(), 1U);
    EXPECT_EQ(apply(held, GatewayCall::look_up, found(600)).after.captured_minor, 600)
        << "in the provider's dashboard";
}

TEST(Payment, a_lost_charge_is_sent_again_under_the_same_key_while_the_key_lives) {
    const Payment unknown = payment_in(PaymentStatus::unknown);
    EXPECT_EQ(plan(unknown, start), GatewayCall::authorize);
    EXPECT_EQ(gateway_request(unknown, GatewayCall::authorize).idempotency_key, unknown.idempotency_key);
    const Timestamp forgotten = start + idempotency_key_valid_for;
    EXPECT_EQ(plan(unknown, forgotten), GatewayCall::look_up);
    EXPECT_EQ(gateway_request(unknown, GatewayCall::look_up).may_be_sent_until, forgotten);
    const auto early = apply(unknown, GatewayCall::look_up, not_found, forgotten);
    EXPECT_EQ(early.after.status, PaymentStatus::unknown) << "one may still be on its way";
    EXPECT_EQ(early.next, GatewayCall::none);
    const auto late = apply(unknown, GatewayCall::look_up, not_found, forgotten + not_found_is_final_after);
    EXPECT_EQ(late.after.status, PaymentStatus::failed);
    EXPECT_EQ(late.after.failure->code, "provider_never_received");
}

TEST(Payment, a_repeated_charge_without_an_answer_is_looked_for) {
    const Payment pending = payment_in(PaymentStatus::pending);
    EXPECT_EQ(apply_first(pending, GatewayCall::authorize, no_answer).next, GatewayCall::none);
    const Transition again = apply(pending, GatewayCall::authorize, no_answer);
    EXPECT_EQ(again.next, GatewayCall::look_up);
    for (const GatewayResult& nothing : {no_answer, not_found})
        EXPECT_EQ(apply(again.after, GatewayCall::look_up, nothing).after, again.after);
    EXPECT_EQ(apply(again.after, GatewayCall::look_up, found(total)).after.status, PaymentStatus::captured);
}

TEST(Payment, a_clock_that_leaps_ahead_makes_nothing_certain) {
    GatewayResult answer = not_found;
    answer.provider_time = start + seconds(5);
    const Timestamp leapt = start + hours(48);
    const auto result = apply(payment_in(PaymentStatus::unknown), GatewayCall::look_up, answer, leapt);
    EXPECT_EQ(result.after.status, PaymentStatus::unknown);
    EXPECT_TRUE(result.after.next_look_up_at.has_value());
}

TEST(Payment, a_canceled_payment_is_never_sent_again) {
    // Its last charge may have been sent just before the cancellation, however old the payment is.
    const Timestamp canceled_at = start + hours(5);
    const Payment unknown = request_cancel(payment_in(PaymentStatus::unknown), spare_id, canceled_at)->after;
    EXPECT_EQ(plan(unknown, canceled_at), GatewayCall::look_up);
    EXPECT_EQ(gateway_request(unknown, GatewayCall::look_up).may_be_sent_until, canceled_at);
    const auto early =
        apply(unknown, GatewayCall::look_up, not_found, canceled_at + not_found_is_final_after - seconds(1));
    EXPECT_EQ(early.next, GatewayCall::none);
    EXPECT_EQ(early.after.status, PaymentStatus::unknown) << "the request may still be on its way";
    const auto late = apply(unknown, GatewayCall::look_up, not_found, canceled_at + not_found_is_final_after);
    EXPECT_EQ(late.after.status, PaymentStatus::canceled);
    for (const GatewayCall call : {GatewayCall::authorize, GatewayCall::look_up}) {
        const auto made = apply(late.after, call, found(total));
        EXPECT_EQ(made.next, GatewayCall::refund) << "should it have been made after all, it goes back";
    }
    EXPECT_TRUE(apply(late.after, GatewayCall::look_up, no_answer).after.next_look_up_at.has_value())
        << "news without an answer is asked for again";
}

TEST(Payment, is_captured_by_hand_once_and_in_part) {
    const Payment authorized = payment_in(PaymentStatus::authorized);
    const auto asked = request_capture(authorized, 600, start);
    ASSERT_TRUE(asked.ok());
    EXPECT_EQ(asked->next, GatewayCall::capture);
    const auto sent = gateway_request(asked->after, GatewayCall::capture);
    EXPECT_EQ(sent.amount.minor, 600);
    EXPECT_EQ(sent.idempotency_key, "capture-" + payment_id.to_string() + "-1");
    EXPECT_FALSE(request_capture(asked->after, 100, start).ok()) << "one capture at a time";
    EXPECT_FALSE(request_void(asked->after, spare_id, start).ok());

    const auto captured = apply(asked->after, GatewayCall::capture, found(600));
    EXPECT_EQ(captured.after.status, PaymentStatus::captured);
    EXPECT_EQ(captured.events.front().captured_minor, 600);
    EXPECT_FALSE(request_capture(captured.after, 100, start).ok()) << "the rest is released";
    EXPECT_EQ(refundable_minor(captured.after), 600);
}

TEST(Payment, only_what_is_authorized_is_captured_or_voided) {
    for (const PaymentStatus status : all_statuses) {
        SCOPED_TRACE(contracts::to_string(status));
        EXPECT_EQ(request_capture(payment_in(status), total, start).ok(),
                  status == PaymentStatus::authorized);
        EXPECT_EQ(request_void(payment_in(status), spare_id, start).ok(),
                  status == PaymentStatus::authorized || status == PaymentStatus::requires_action);
    }
    for (const std::int64_t amount : {std::int64_t{0}, std::int64_t{-1}, total + 1}) {
        EXPECT_FALSE(request_capture(payment_in(PaymentStatus::authorized), amount, start).ok()) << amount;
    }
    EXPECT_FALSE(request_capture(payment_in(PaymentStatus::authorized, true), total, start).ok());
    const auto voided = request_void(payment_in(PaymentStatus::requires_action), spare_id, start);
    EXPECT_EQ(voided->after.status, PaymentStatus::canceled) << "it was closed before";
}

TEST(Payment, a_capture_without_a_clear_answer_is_asked_for_again_under_the_same_key) {
    const auto unknown = apply(capturing(600), GatewayCall::capture, no_answer);
    EXPECT_EQ(unknown.after.status, PaymentStatus::authorized);
    EXPECT_EQ(plan(unknown.after, start), GatewayCall::capture);
    EXPECT_EQ(unknown.after.capture_key, capturing(600).capture_key);
    EXPECT_EQ(apply(unknown.after, GatewayCall::capture, found(600)).after.captured_minor, 600);
    const auto still = apply(unknown.after, GatewayCall::capture, found(0));
    EXPECT_EQ(still.next, GatewayCall::none) << "answered and not done: later";
    EXPECT_TRUE(still.after.next_look_up_at.has_value());
}

TEST(Payment, a_capture_that_is_refused_is_over_and_looked_at) {
    const auto refused = apply(capturing(), GatewayCall::capture, answer(GatewayOutcome::refused));
    EXPECT_EQ(refused.after.status, PaymentStatus::authorized);
    EXPECT_EQ(refused.after.capture_requested_minor, 0);
    EXPECT_EQ(refused.events.front().failure->code, "no_such_method");
    EXPECT_EQ(refused.after.next_look_up_at, start + seconds(1)) << "the authorization may be gone";
    const auto again = request_capture(refused.after, total, start);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->after.capture_key, "capture-" + payment_id.to_string() + "-2");
    const auto after_silence = apply(apply(capturing(), GatewayCall::capture, no_answer).after,
                                     GatewayCall::capture, answer(GatewayOutcome::refused));
    EXPECT_GT(after_silence.after.capture_requested_minor, 0) << "the try before may have taken it";
}

TEST(Payment, a_cancellation_during_a_capture_gives_back_what_is_taken_and_releases_what_is_not) {
    const auto canceled = request_cancel(capturing(600), spare_id, start);
    ASSERT_TRUE(canceled.ok());
    EXPECT_EQ(plan(canceled->after, start), GatewayCall::cancel);
    const auto taken = apply(canceled->after, GatewayCall::cancel, found(600));
    EXPECT_EQ(taken.next, GatewayCall::refund);
    EXPECT_EQ(taken.refunds.front().amount_minor, 600);
    const auto released = apply(canceled->after, GatewayCall::cancel, answer(GatewayOutcome::canceled));
    EXPECT_EQ(released.after.status, PaymentStatus::canceled);
    EXPECT_EQ(released.after.capture_requested_minor, 0);
}

TEST(Payment, broken_invariants_are_noticed) {
    const auto broken = [](auto spoil) {
        Payment payment = payment_in(PaymentStatus::captured);
        spoil(payment);
        EXPECT_THROW(ensure_invariants(payment), std::logic_error);
    };
    broken([](Payment& payment) { payment.captured_minor = -1; });
    broken([](Payment& payment) { payment.refunded_minor = -1; });
    broken([](Payment& payment) { payment.attempt = 0; });
    broken([](Payment& payment) { payment.idempotency_key.clear(); });
    broken([](Payment& payment) { payment.idempotency_key.assign(256, 'k'); });
    broken([](Payment& payment) { payment.refund_reserved_minor = -1; });
    broken([](Payment& payment) { payment.capture_key = "capture"; });
    broken([](Payment& payment) { payment.capture_requested_minor = total + 1; });
    broken([](Payment& payment) { payment.charge_sent = false; });
}

}  // namespace
}  // namespace quittance::payments
