#include "tests/conformance/gateway_conformance.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

namespace quittance::payments {

namespace {

constexpr std::chrono::seconds patience{10};

/// Calls `ask(done)` and waits for the one answer.
template <class Answer = GatewayResult, class Ask>
Answer answer_of(Ask ask) {
    auto promise = std::make_shared<std::promise<Answer>>();
    auto answers = std::make_shared<std::atomic<int>>(0);
    auto future = promise->get_future();
    ask([promise, answers](Answer result) {
        if (answers->fetch_add(1) == 0) {
            promise->set_value(std::move(result));
        } else {
            ADD_FAILURE() << "the gateway answered one call twice";
        }
    });
    if (future.wait_for(patience) != std::future_status::ready) {
        ADD_FAILURE() << "the gateway did not answer";
        return {};
    }
    return future.get();
}

/// A call that had an unanswered try may not say "refused"; the same again does.
template <class Ask>
GatewayResult once_known(Ask ask) {
    GatewayResult result;
    for (int tries = 0; tries < 50 && result.outcome == GatewayOutcome::unknown; ++tries)
        result = ask();
    return result;
}

}  // namespace

void PrintTo(const GatewayCandidate& candidate, std::ostream* out) {
    *out << candidate.name;
}

GatewayConformance::GatewayConformance() : gateway_(GetParam().make()) {}

GatewayRequest GatewayConformance::payment_of(std::int64_t amount_minor, const std::string& method) {
    const auto id = ids_.generate<PaymentId>();
    return {.payment_id = id,
            .order_id = ids_.generate<OrderId>(),
            .amount = {amount_minor, *Currency::parse("EUR")},
            .payment_method = method,
            .idempotency_key = "pay-" + id.to_string()};
}

GatewayRequest GatewayConformance::follow_up(const GatewayRequest& first, const GatewayResult& result,
                                             std::int64_t amount_minor) {
    GatewayRequest request = first;
    request.amount.minor = amount_minor;
    request.provider_reference = result.provider_reference;
    request.idempotency_key = "next-" + ids_.generate<EventId>().to_string();
    return request;
}

GatewayResult GatewayConformance::authorize(const GatewayRequest& request, bool capture) {
    return answer_of([&](auto done) { gateway_->authorize(request, capture, std::move(done)); });
}
GatewayResult GatewayConformance::capture(const GatewayRequest& request) {
    return answer_of([&](auto done) { gateway_->capture(request, std::move(done)); });
}
GatewayResult GatewayConformance::refund(const GatewayRequest& request) {
    return answer_of([&](auto done) { gateway_->refund(request, std::move(done)); });
}
GatewayResult GatewayConformance::refusal_of_refund(const GatewayRequest& request) {
    return once_known([&] { return refund(request); });
}
GatewayResult GatewayConformance::refusal_of_capture(const GatewayRequest& request) {
    return once_known([&] { return capture(request); });
}
GatewayResult GatewayConformance::cancel(const GatewayRequest& request) {
    return answer_of([&](auto done) { gateway_->cancel(request, std::move(done)); });
}
GatewayResult GatewayConformance::look_up(const GatewayRequest& request) {
    return answer_of([&](auto done) { gateway_->look_up(request, std::move(done)); });
}

GatewayResult GatewayConformance::look_up_refund(const GatewayRequest& request) {
    return answer_of([&](auto done) { gateway_->look_up_refund(request, std::move(done)); });
}

std::vector<ListedCharge> GatewayConformance::listed_of(const GatewayRequest& request) {
    std::vector<ListedCharge> found;
    std::string after;
    do {
        auto page =
            answer_of<ChargePage>([&](auto done) { gateway_->list_charges(begun_, after, std::move(done)); });
        EXPECT_TRUE(page.readable);
        for (ListedCharge& charge : page.charges) {
            if (charge.payment_id == request.payment_id) found.push_back(std::move(charge));
        }
        after = std::move(page.next);
    } while (!after.empty());
    return found;
}

TEST_P(GatewayConformance, HasANameThatCanBeStored) {
    EXPECT_FALSE(gateway_->name().empty());
    EXPECT_LE(gateway_->name().size(), 32U);
}

TEST_P(GatewayConformance, ChargesAGoodMethodAndFindsTheMoneyAgain) {
    const auto request = payment_of(1250, GetParam().good_method);
    const auto charged = authorize(request, true);
    ASSERT_EQ(charged.outcome, GatewayOutcome::succeeded);
    EXPECT_FALSE(charged.provider_reference.empty());

    const auto found = look_up(follow_up(request, charged, 1250));
    EXPECT_EQ(found.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(found.captured_minor, 1250);
    EXPECT_EQ(found.refunded_minor, 0);
    EXPECT_EQ(found.provider_reference, charged.provider_reference);
}

TEST_P(GatewayConformance, DeclinesWithAReason) {
    const auto result = authorize(payment_of(1250, GetParam().declined_method), true);
    EXPECT_EQ(result.outcome, GatewayOutcome::declined);
    EXPECT_EQ(result.failure.code, GetParam().declined_code);
    EXPECT_FALSE(result.failure.detail.empty());
}

TEST_P(GatewayConformance, SaysWhenTheCustomerHasToAct) {
    const auto result = authorize(payment_of(1250, GetParam().action_method), true);
    EXPECT_EQ(result.outcome, GatewayOutcome::requires_action);
    EXPECT_EQ(result.failure.code, "authentication_required");
}

TEST_P(GatewayConformance, AnswersTheSameKeyWithTheSameResultAndChargesOnce) {
    const auto request = payment_of(700, GetParam().good_method);
    const auto first = authorize(request, true);
    const auto second = authorize(request, true);
    EXPECT_EQ(second.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(second.provider_reference, first.provider_reference);
    EXPECT_EQ(look_up(follow_up(request, first, 700)).captured_minor, 700);
}

TEST_P(GatewayConformance, ChargesOnceWhenTheSameKeyIsSentManyTimesAtOnce) {
    constexpr int senders = 8;
    const auto request = payment_of(700, GetParam().good_method);
    std::vector<std::string> references(senders);
    std::latch start(senders);
    std::vector<std::thread> threads;
    for (std::string& reference : references) {
        threads.emplace_back([&] {
            start.arrive_and_wait();
            reference = authorize(request, true).provider_reference;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const std::string& reference : references)
        EXPECT_EQ(reference, references.front());
}

TEST_P(GatewayConformance, DoesNothingUnderAKeyThatWasUsedForAnotherRequestAndDeclinesNothing) {
    auto request = payment_of(700, GetParam().good_method);
    const auto first = authorize(request, true);
    request.amount.minor = 900;
    EXPECT_EQ(authorize(request, true).outcome, GatewayOutcome::unknown) << "the first may have charged";
    EXPECT_EQ(look_up(follow_up(request, first, 700)).captured_minor, 700);
}

TEST_P(GatewayConformance, RefundsInPartsUntilNothingIsLeft) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto charged = authorize(request, true);
    const auto part = follow_up(request, charged, 400);
    EXPECT_EQ(refund(part).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(refund(part).outcome, GatewayOutcome::succeeded) << "the same key again is the same refund";
    EXPECT_EQ(look_up(follow_up(request, charged, 1000)).refunded_minor, 400);
    EXPECT_EQ(refusal_of_refund(follow_up(request, charged, 601)).outcome, GatewayOutcome::refused);
    const auto rest = refund(follow_up(request, charged, 600));
    EXPECT_EQ(rest.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(rest.refunded_minor, 600);
    EXPECT_EQ(rest.all_refunded_minor, 1000);
    EXPECT_EQ(refusal_of_refund(follow_up(request, charged, 1)).outcome, GatewayOutcome::refused);
    const auto found = look_up(follow_up(request, charged, 1000));
    EXPECT_EQ(found.captured_minor, 1000);
    EXPECT_EQ(found.refunded_minor, 1000);
}

TEST_P(GatewayConformance, FindsARefundByItsKeyAmongOthersOfThePayment) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto charged = authorize(request, true);
    const auto first = follow_up(request, charged, 400);
    const auto second = follow_up(request, charged, 100);
    EXPECT_EQ(look_up_refund(first).outcome, GatewayOutcome::not_found);
    EXPECT_EQ(look_up_refund(first).all_refunded_minor, 0);
    const auto made = refund(first);
    EXPECT_EQ(look_up_refund(second).outcome, GatewayOutcome::not_found);
    EXPECT_EQ(look_up_refund(second).all_refunded_minor, 400);
    EXPECT_EQ(refund(second).outcome, GatewayOutcome::succeeded);
    const auto found = look_up_refund(first);
    EXPECT_EQ(found.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(found.refunded_minor, 400);
    EXPECT_EQ(found.provider_reference, made.provider_reference);
    EXPECT_EQ(found.all_refunded_minor, 500);
}

TEST_P(GatewayConformance, refund_that_was_refused_is_not_found_under_its_key) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto charged = authorize(request, true);
    const auto too_much = follow_up(request, charged, 1001);
    const auto refusal = refusal_of_refund(too_much);
    EXPECT_EQ(refusal.outcome, GatewayOutcome::refused);
    EXPECT_FALSE(refusal.failure.code.empty());
    EXPECT_EQ(look_up_refund(too_much).outcome, GatewayOutcome::not_found);
}

TEST_P(GatewayConformance, answers_say_how_the_payment_stands) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto authorized = authorize(request, false);
    EXPECT_EQ(authorized.captured_minor, 0);
    const auto part = follow_up(request, authorized, 800);
    const auto captured = capture(part);
    EXPECT_EQ(captured.captured_minor, 800);
    EXPECT_EQ(captured.refunded_minor, 0);
    refund(follow_up(request, authorized, 300));
    const auto release = follow_up(request, authorized, 800);
    for (const auto& again : {capture(part), authorize(request, false), look_up(part), cancel(release)}) {
        EXPECT_EQ(again.outcome, GatewayOutcome::succeeded);
        EXPECT_EQ(again.captured_minor, 800);
        EXPECT_EQ(again.refunded_minor, 300) << "as it stands, and not as it was answered before";
    }
}

TEST_P(GatewayConformance, what_was_declined_stays_open_until_it_is_canceled) {
    const auto request = payment_of(1000, GetParam().declined_method);
    const auto declined = authorize(request, true);
    ASSERT_EQ(declined.outcome, GatewayOutcome::declined);
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::declined);
    const auto canceled = cancel(follow_up(request, declined, 1000));
    EXPECT_EQ(canceled.outcome, GatewayOutcome::canceled);
    EXPECT_EQ(canceled.failure.code, GetParam().declined_code) << "it still says why";
    EXPECT_EQ(canceled.captured_minor, 0);
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::canceled);
    EXPECT_EQ(authorize(request, true).outcome, GatewayOutcome::canceled) << "the same key makes no other";
}

TEST_P(GatewayConformance, CapturesWhatWasAuthorizedOnce) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto authorized = authorize(request, false);
    ASSERT_EQ(authorized.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(look_up(follow_up(request, authorized, 1000)).captured_minor, 0);
    EXPECT_EQ(refusal_of_capture(follow_up(request, authorized, 1001)).outcome, GatewayOutcome::refused);
    EXPECT_EQ(capture(follow_up(request, authorized, 800)).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(look_up(follow_up(request, authorized, 1000)).captured_minor, 800);
}

TEST_P(GatewayConformance, ReleasesAnAuthorizationThatCanThenNotBeCaptured) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto authorized = authorize(request, false);
    EXPECT_EQ(cancel(follow_up(request, authorized, 1000)).outcome, GatewayOutcome::canceled);
    EXPECT_EQ(capture(follow_up(request, authorized, 1000)).outcome, GatewayOutcome::canceled);
}

TEST_P(GatewayConformance, DoesNotReleaseWhatIsCaptured) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto charged = authorize(request, true);
    const auto kept = cancel(follow_up(request, charged, 1000));
    EXPECT_EQ(kept.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(kept.captured_minor, 1000);
    EXPECT_EQ(look_up(follow_up(request, charged, 1000)).captured_minor, 1000);
}

TEST_P(GatewayConformance, CapturesAPartOnceHoweverOftenItIsAsked) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto authorized = authorize(request, false);
    const auto part = follow_up(request, authorized, 300);
    EXPECT_EQ(capture(part).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(capture(part).outcome, GatewayOutcome::succeeded) << "the same key again is the same capture";
    EXPECT_EQ(capture(follow_up(request, authorized, 700)).captured_minor, 300) << "what it took before";
    EXPECT_EQ(look_up(follow_up(request, authorized, 1000)).captured_minor, 300);
    EXPECT_EQ(refusal_of_refund(follow_up(request, authorized, 301)).outcome, GatewayOutcome::refused);
    EXPECT_EQ(refund(follow_up(request, authorized, 300)).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(look_up(follow_up(request, authorized, 1000)).refunded_minor, 300);
}

TEST_P(GatewayConformance, ReleasesOnceHoweverOftenItIsAsked) {
    const auto request = payment_of(1000, GetParam().good_method);
    const auto authorized = authorize(request, false);
    const auto release = follow_up(request, authorized, 1000);
    EXPECT_EQ(cancel(release).outcome, GatewayOutcome::canceled);
    EXPECT_EQ(cancel(release).outcome, GatewayOutcome::canceled);
    const auto found = look_up(follow_up(request, authorized, 1000));
    EXPECT_EQ(found.outcome, GatewayOutcome::canceled);
    EXPECT_EQ(found.captured_minor, 0);
    EXPECT_EQ(refusal_of_refund(follow_up(request, authorized, 1000)).outcome, GatewayOutcome::refused);
}

TEST_P(GatewayConformance, ReleasesAPaymentThatWaitsForTheCustomer) {
    const auto request = payment_of(1000, GetParam().action_method);
    const auto waiting = authorize(request, true);
    ASSERT_FALSE(waiting.provider_reference.empty());
    EXPECT_EQ(cancel(follow_up(request, waiting, 1000)).outcome, GatewayOutcome::canceled);
    EXPECT_EQ(look_up(follow_up(request, waiting, 1000)).outcome, GatewayOutcome::canceled);
}

TEST_P(GatewayConformance, DeclinesTheSameKeyInTheSameWay) {
    const auto request = payment_of(1250, GetParam().declined_method);
    const auto first = authorize(request, true);
    const auto second = authorize(request, true);
    EXPECT_EQ(second.outcome, GatewayOutcome::declined);
    EXPECT_EQ(second.failure.code, first.failure.code);
    EXPECT_EQ(second.provider_reference, first.provider_reference);
}

TEST_P(GatewayConformance, FindsAPaymentInEachStateWithAndWithoutItsReference) {
    struct State {
        std::string method;
        bool capture;
        GatewayOutcome outcome;
        std::int64_t captured_minor;
    };
    const std::vector<State> states{
        {GetParam().good_method, true, GatewayOutcome::succeeded, 900},
        {GetParam().good_method, false, GatewayOutcome::succeeded, 0},
        {GetParam().declined_method, true, GatewayOutcome::declined, 0},
        {GetParam().action_method, true, GatewayOutcome::requires_action, 0},
    };
    for (const State& state : states) {
        const auto request = payment_of(900, state.method);
        const auto answer = authorize(request, state.capture);
        EXPECT_EQ(answer.outcome, state.outcome) << state.method;
        // Without a reference is how a payment stands whose first answer was lost.
        auto with_reference = request;
        with_reference.provider_reference = answer.provider_reference;
        for (const auto& asked : {request, with_reference}) {
            const auto found = look_up(asked);
            EXPECT_EQ(found.outcome, state.outcome) << state.method;
            EXPECT_EQ(found.captured_minor, state.captured_minor) << state.method;
            EXPECT_EQ(found.failure.code, answer.failure.code) << state.method;
            EXPECT_EQ(found.provider_reference, answer.provider_reference) << state.method;
        }
    }
}

TEST_P(GatewayConformance, KeepsToTheCurrencysMinorUnit) {
    for (const auto& [code, minor] : {std::pair{"JPY", 500}, {"JOD", 1250}, {"ISK", 40}, {"USD", 999}}) {
        auto request = payment_of(minor, GetParam().good_method);
        request.amount.currency = *Currency::parse(code);
        const auto charged = authorize(request, true);
        ASSERT_EQ(charged.outcome, GatewayOutcome::succeeded) << code;
        EXPECT_EQ(refund(follow_up(request, charged, minor - 10)).outcome, GatewayOutcome::succeeded) << code;
        const auto found = look_up(follow_up(request, charged, minor));
        EXPECT_EQ(found.captured_minor, minor) << code;
        EXPECT_EQ(found.refunded_minor, minor - 10) << code;
    }
}

TEST_P(GatewayConformance, ListsWhatItHoldsOfEachCharge) {
    const auto paid = payment_of(1000, GetParam().good_method);
    const auto charged = authorize(paid, true);
    const auto reserved = payment_of(800, GetParam().good_method);
    const auto authorized = authorize(reserved, false);
    const auto declined = payment_of(600, GetParam().declined_method);
    authorize(declined, true);

    auto listed = listed_of(paid);
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed.front().provider_reference, charged.provider_reference);
    EXPECT_EQ(listed.front().held, paid.amount);
    listed = listed_of(reserved);
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed.front().held, reserved.amount);
    for (const ListedCharge& charge : listed_of(declined))
        EXPECT_EQ(charge.held.minor, 0);

    refund(follow_up(paid, charged, 400));
    EXPECT_EQ(listed_of(paid).front().held.minor, 600);
    cancel(follow_up(reserved, authorized, 800));
    EXPECT_EQ(listed_of(reserved).front().held.minor, 0);
}

TEST_P(GatewayConformance, ListsEachChargeOfAPaymentThatWasChargedTwice) {
    auto request = payment_of(1000, GetParam().good_method);
    const auto first = authorize(request, true);
    request.idempotency_key += "-again";
    const auto second = authorize(request, true);
    const auto listed = listed_of(request);
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_NE(first.provider_reference, second.provider_reference);
    for (const ListedCharge& charge : listed)
        EXPECT_EQ(charge.held.minor, 1000);
}

TEST_P(GatewayConformance, DoesNotFindWhatItHasNeverSeen) {
    EXPECT_EQ(look_up(payment_of(1000, GetParam().good_method)).outcome, GatewayOutcome::not_found);
}

// The suite is instantiated in the file of each adapter.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GatewayConformance);

}  // namespace quittance::payments
