// What may happen to a refund: pure, without a database. The way of a refund through the service is in
// refund_test.
#include <string>

#include <gtest/gtest.h>

#include "payments/payment_testing.hpp"
#include "payments/transition.hpp"

namespace quittance::payments {
namespace {

TEST(RefundDecisions, reserves_its_amount_before_the_provider_is_asked) {
    const Transition begun = refunding(300);
    EXPECT_EQ(begun.next, GatewayCall::refund);
    EXPECT_TRUE(begun.events.empty()) << "nothing moved yet";
    EXPECT_EQ(begun.after.refund_reserved_minor, 300);
    EXPECT_EQ(begun.after.refunded_minor, 0);
    EXPECT_EQ(refundable_minor(begun.after), total - 300);
    EXPECT_EQ(begun.refunds.front().idempotency_key, "refund-" + refund_id.to_string());
}

TEST(RefundDecisions, several_go_back_until_nothing_is_left) {
    const Transition first = refunding(300);
    const auto done = apply(first, GatewayCall::refund, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(done.after.status, PaymentStatus::partially_refunded);
    EXPECT_EQ(done.after.refunded_minor, 300);
    EXPECT_EQ(done.after.refund_reserved_minor, 0);
    const contracts::RefundOutcome outcome{refund_id, 300, std::nullopt};
    EXPECT_EQ(done.events.front().refund, outcome);
    const Transition rest = request_refund(done.after, refund_request(total - 300, spare_id), start);
    const auto all = apply(rest, GatewayCall::refund, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(all.after.status, PaymentStatus::refunded);
    const auto late = apply(all, GatewayCall::refund, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(late.after, all.after) << "what is over is over";
    EXPECT_TRUE(late.refunds.empty());
}

TEST(RefundDecisions, over_what_is_left_it_fails_and_says_so) {
    const Transition first = refunding(700);
    const Transition second = request_refund(first.after, refund_request(301, spare_id), start);
    EXPECT_EQ(second.next, GatewayCall::none);
    EXPECT_EQ(second.refunds.front().state, RefundState::failed);
    ASSERT_EQ(second.events.size(), 1U);
    EXPECT_EQ(second.events.front().refund->failure->code, "not_refundable");
    EXPECT_EQ(second.after.refund_reserved_minor, 700);
    for (const PaymentStatus status :
         {PaymentStatus::pending, PaymentStatus::failed, PaymentStatus::canceled, PaymentStatus::refunded}) {
        EXPECT_EQ(request_refund(payment_in(status), refund_request(1), start).refunds.front().state,
                  RefundState::failed);
    }
    auto dollars = refund_request(1);
    dollars.amount.currency = *Currency::parse("USD");
    EXPECT_EQ(request_refund(payment_in(PaymentStatus::captured), dollars, start).next, GatewayCall::none);
}

TEST(RefundDecisions, that_the_provider_refuses_releases_its_amount) {
    const auto refused = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::declined));
    EXPECT_EQ(refused.after.status, PaymentStatus::captured);
    EXPECT_EQ(refundable_minor(refused.after), total);
    EXPECT_EQ(refused.refunds.front().state, RefundState::failed);
    EXPECT_EQ(refused.events.front().refund->failure->code, "card_declined");
    EXPECT_EQ(refused.next, GatewayCall::none);
}

TEST(RefundDecisions, of_a_canceled_payment_is_asked_for_again_under_a_new_key_when_refused) {
    const auto canceled = request_cancel(payment_in(PaymentStatus::captured), refund_id, start);
    const auto refused = apply(*canceled, GatewayCall::refund, answer(GatewayOutcome::declined));
    EXPECT_EQ(refused.next, GatewayCall::none) << "a refused refund is not asked again at once";
    ASSERT_EQ(refused.refunds.size(), 2U);
    EXPECT_EQ(refused.refunds[0].state, RefundState::failed);
    EXPECT_EQ(refused.refunds[1].amount_minor, total);
    EXPECT_NE(refused.refunds[1].idempotency_key, refused.refunds[0].idempotency_key);
    EXPECT_TRUE(refused.refunds[1].next_look_up_at.has_value());
    EXPECT_EQ(refused.after.refund_reserved_minor, total);
}

TEST(RefundDecisions, without_a_clear_answer_is_looked_up_before_it_is_asked_for_again) {
    const auto unknown = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::unknown));
    EXPECT_EQ(plan(unknown.refunds.front(), start), GatewayCall::look_up);
    const auto asked = gateway_request(unknown.after, unknown.refunds.front(), GatewayCall::look_up);
    EXPECT_EQ(asked.idempotency_key, unknown.refunds.front().idempotency_key);
    const auto made = apply(unknown, GatewayCall::look_up, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(made.after.refunded_minor, 300);
    const auto not_made = apply(unknown, GatewayCall::look_up, answer(GatewayOutcome::not_found));
    EXPECT_EQ(not_made.next, GatewayCall::refund);
    EXPECT_EQ(not_made.refunds.front().idempotency_key, unknown.refunds.front().idempotency_key);
    const auto too_late_to_send = apply(unknown, GatewayCall::look_up, answer(GatewayOutcome::not_found),
                                        start + idempotency_key_valid_for);
    EXPECT_EQ(too_late_to_send.next, GatewayCall::none);
    EXPECT_EQ(too_late_to_send.refunds.front().state, RefundState::requested);
    const auto too_late = apply(unknown, GatewayCall::look_up, answer(GatewayOutcome::not_found),
                                start + idempotency_key_valid_for + not_found_is_final_after);
    EXPECT_EQ(too_late.refunds.front().failure->code, "provider_never_received");
    EXPECT_EQ(refundable_minor(too_late.after), total);
}

TEST(RefundDecisions, whose_repetition_is_refused_ends_only_when_a_look_has_settled_what_the_first_try_did) {
    const auto unknown = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::unknown));
    const auto repeated = apply(unknown, GatewayCall::look_up, answer(GatewayOutcome::not_found));
    ASSERT_EQ(repeated.next, GatewayCall::refund);
    auto refusal = answer(GatewayOutcome::refused);
    const auto doubtful = apply(repeated, GatewayCall::refund, refusal);
    EXPECT_FALSE(doubtful.refunds.front().failure);
    refusal.failure.code = looked_for_code;
    const auto refused = apply(repeated, GatewayCall::refund, refusal);
    EXPECT_EQ(refused.refunds.front().failure->code, looked_for_code);
    EXPECT_EQ(refused.next, GatewayCall::look_up) << "which tells what is left of the payment";
}

TEST(RefundDecisions, that_a_crash_interrupted_is_asked_for_again_only_while_the_provider_remembers_its_key) {
    const Refund interrupted = refunding(300).refunds.front();
    EXPECT_EQ(plan(interrupted, start + idempotency_key_valid_for - std::chrono::milliseconds(1)),
              GatewayCall::refund);
    EXPECT_EQ(plan(interrupted, start + idempotency_key_valid_for), GatewayCall::look_up)
        << "the same key may refund twice by now";
}

TEST(RefundDecisions, what_the_provider_is_still_making_is_waited_for_however_long) {
    const auto pending = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::pending));
    EXPECT_EQ(plan(pending.refunds.front(), start), GatewayCall::look_up);
    const auto still =
        apply(pending, GatewayCall::look_up, answer(GatewayOutcome::pending), start + hours(48));
    EXPECT_EQ(still.refunds.front().state, RefundState::requested);
    EXPECT_EQ(still.next, GatewayCall::none) << "it is there, and not asked for again";
    EXPECT_EQ(still.after.refund_reserved_minor, 300);
    const auto failed = apply(still, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_EQ(failed.refunds.front().state, RefundState::failed);
    EXPECT_EQ(refundable_minor(failed.after), total);
}

/// A refund that succeeded, and of which the provider has news.
Transition in_doubt() {
    auto made = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(plan(made.refunds.back(), start), GatewayCall::none);
    made.refunds.back().next_look_up_at = start;
    EXPECT_EQ(plan(made.refunds.back(), start), GatewayCall::look_up);
    return made;
}

TEST(RefundDecisions, that_failed_after_it_succeeded_is_left_to_a_human_once) {
    const Transition before = in_doubt();
    auto failed = apply(before, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_EQ(failed.after, before.after) << "its order counts the money as given back";
    EXPECT_TRUE(failed.events.empty());
    Refund& refund = failed.refunds.back();
    EXPECT_EQ(refund.state, RefundState::succeeded);
    EXPECT_EQ(refund.failure->code, "card_declined");
    EXPECT_TRUE(refund.stuck_since);
    EXPECT_EQ(plan(refund, start), GatewayCall::none);

    ASSERT_TRUE(resume_stuck(refund, start));
    const auto seen_to = apply(failed, GatewayCall::look_up, answer(GatewayOutcome::declined));
    EXPECT_FALSE(seen_to.refunds.back().stuck_since) << "whoever asks again has seen it";
    EXPECT_TRUE(seen_to.refunds.back().failure);
}

TEST(RefundDecisions, that_succeeded_stays_so_unless_the_provider_says_otherwise) {
    const auto still = apply(in_doubt(), GatewayCall::look_up, answer(GatewayOutcome::succeeded));
    EXPECT_EQ(still.after.refunded_minor, 300);
    EXPECT_EQ(plan(still.refunds.back(), start), GatewayCall::none);
    EXPECT_FALSE(still.refunds.back().stuck_since);
    for (const auto outcome : {GatewayOutcome::unknown, GatewayOutcome::pending, GatewayOutcome::not_found}) {
        const auto unclear = apply(in_doubt(), GatewayCall::look_up, answer(outcome));
        EXPECT_EQ(plan(unclear.refunds.back(), start), GatewayCall::look_up);
        EXPECT_FALSE(unclear.refunds.back().stuck_since);
    }
}

TEST(RefundDecisions, above_what_is_left_at_the_provider_ends_and_the_remainder_goes_back_once) {
    // 600 were given back at the provider's dashboard, which nobody has told us of.
    const auto canceled = request_cancel(payment_in(PaymentStatus::captured), refund_id, start);
    const auto refused = apply(*canceled, GatewayCall::refund, answer(GatewayOutcome::refused), start, true);
    EXPECT_EQ(refused.next, GatewayCall::look_up) << "the provider's truth is read after a refusal";
    EXPECT_EQ(refused.refunds.back().state, RefundState::requested);
    const auto looked = apply(refused, GatewayCall::look_up,
                              {.outcome = GatewayOutcome::not_found, .all_refunded_minor = 600});
    EXPECT_EQ(looked.after.refunded_minor, 600);
    ASSERT_EQ(looked.refunds.size(), 2U);
    EXPECT_EQ(looked.refunds[0].failure->code, "already_given_back");
    EXPECT_EQ(looked.refunds[1].amount_minor, total - 600);
    EXPECT_EQ(looked.next, GatewayCall::refund) << "at once";
    const auto all = apply(looked, GatewayCall::refund,
                           {.outcome = GatewayOutcome::succeeded, .all_refunded_minor = total});
    EXPECT_EQ(all.after.status, PaymentStatus::refunded);
    EXPECT_EQ(all.after.refunded_minor, total);
    EXPECT_EQ(all.after.refund_reserved_minor, 0);
}

TEST(RefundDecisions, that_was_counted_before_its_answer_came_is_counted_once) {
    Transition first = refunding(300);
    first.after = apply(first.after, GatewayCall::look_up, found(total, 300)).after;
    const auto made =
        apply(first, GatewayCall::refund, {.outcome = GatewayOutcome::succeeded, .all_refunded_minor = 300});
    EXPECT_EQ(made.after.refunded_minor, 300);
    EXPECT_EQ(made.after.refund_reserved_minor, 0);
    ASSERT_EQ(made.events.size(), 1U);
    EXPECT_EQ(made.events.front().refund->refund_id, refund_id);
}

TEST(RefundDecisions, after_a_try_without_an_answer_a_refusal_says_nothing) {
    const auto silent = apply(refunding(300), GatewayCall::refund, no_answer);
    Transition again = silent;
    const auto refused = apply(again, GatewayCall::refund, answer(GatewayOutcome::refused));
    EXPECT_EQ(refused.refunds.back().state, RefundState::requested);
    EXPECT_FALSE(refused.refunds.back().failure);
    EXPECT_EQ(plan(refused.refunds.back(), start), GatewayCall::look_up);
}

TEST(RefundDecisions, an_outcome_is_repeated_for_who_asks_again) {
    const auto made = apply(refunding(300), GatewayCall::refund, answer(GatewayOutcome::succeeded));
    const Transition again = repeat_outcome(made.after, made.refunds.front(), start);
    ASSERT_EQ(again.events.size(), 1U);
    EXPECT_EQ(again.events.front().refund->amount_minor, 300);
    EXPECT_GT(again.after.version, made.after.version);
    EXPECT_EQ(again.next, GatewayCall::none);
}

TEST(RefundDecisions, know_whose_key_is_whose) {
    EXPECT_EQ(refund_of_key(refund_key(refund_id)), refund_id);
    for (const std::string_view key : {"", "refund-", "refund-7", "pay-0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa"})
        EXPECT_FALSE(refund_of_key(key)) << key;
}

}  // namespace
}  // namespace quittance::payments
