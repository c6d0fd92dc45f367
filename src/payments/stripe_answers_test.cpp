#include "payments/stripe_answers.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace quittance::payments {

namespace {

using namespace std::chrono_literals;

Money money(std::int64_t minor, std::string_view code) {
    return {minor, *Currency::parse(code)};
}
const Currency eur = *Currency::parse("EUR");
const Timestamp now = timestamp_from_ms(1'795'000'000'000);

GatewayRequest request(std::string reference = "") {
    return {.payment_id = *PaymentId::parse("0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa"),
            .amount = money(1250, "EUR"),
            .provider_reference = std::move(reference)};
}

/// An intent with more members.
std::string intent(const std::string& members) {
    return R"({"object":"payment_intent","id":"pi_1",)" + members + "}";
}
StripeAnswer card_error(const std::string& code, const std::string& decline_code,
                        const std::string& members = R"("status":"requires_payment_method",
                            "last_payment_error":{"code":"card_declined"})") {
    return read_answer(402, R"({"error":{"type":"card_error","code":")" + code + R"(","decline_code":")" +
                                decline_code + R"(","message":"No.","payment_intent":)" + intent(members) +
                                "}}");
}
StripeAnswer refusal(int status, const std::string& type, const std::string& code = "",
                     const std::string& members = "") {
    const std::string with_code = code.empty() ? "" : R"(,"code":")" + code + '"';
    return read_answer(status, R"({"error":{"type":")" + type + R"(","message":"Secret words.")" + with_code +
                                   members + "}}");
}
StripeAnswer after_an_unanswered_try(StripeAnswer answer) {
    answer.earlier_unanswered = true;
    return answer;
}
StripeAnswer list(const std::string& objects, const std::string& more = "false",
                  const std::string& kind = "list") {
    return read_answer(200,
                       R"({"object":")" + kind + R"(","data":[)" + objects + R"(],"has_more":)" + more + "}");
}

struct IntentCase {
    std::string members;
    GatewayOutcome outcome;
    std::string failure_code;
};

class StripeIntent : public testing::TestWithParam<IntentCase> {};

TEST_P(StripeIntent, InEachStateMeansOneThing) {
    const auto& one = GetParam();
    const auto result = intent_result(read_answer(200, intent(one.members)), eur, now);
    EXPECT_EQ(result.outcome, one.outcome) << one.members;
    EXPECT_EQ(result.failure.code, one.failure_code);
    EXPECT_EQ(result.provider_reference, "pi_1");
}

INSTANTIATE_TEST_SUITE_P(
    States, StripeIntent,
    testing::Values(
        IntentCase{R"("status":"succeeded","amount_received":5)", GatewayOutcome::succeeded, ""},
        IntentCase{R"("status":"requires_capture","amount_received":0)", GatewayOutcome::succeeded, ""},
        IntentCase{R"("status":"processing")", GatewayOutcome::pending, ""},
        IntentCase{R"("status":"requires_action")", GatewayOutcome::requires_action,
                   "authentication_required"},
        IntentCase{R"("status":"canceled")", GatewayOutcome::canceled, "canceled"},
        IntentCase{R"("status":"canceled","last_payment_error":{"code":"expired_card"})",
                   GatewayOutcome::canceled, "expired_card"},
        IntentCase{R"("status":"requires_confirmation","created":1794999399)", GatewayOutcome::declined,
                   "not_charged"},
        IntentCase{R"("status":"requires_confirmation","created":1794999401)", GatewayOutcome::pending, ""},
        IntentCase{R"("status":"requires_payment_method","created":1794999999)", GatewayOutcome::pending, ""},
        IntentCase{
            R"("status":"requires_payment_method","created":1794999999,"last_payment_error":{"code":"card_declined"})",
            GatewayOutcome::declined, "card_declined"},
        IntentCase{R"("status":"requires_payment_method","last_payment_error":null)",
                   GatewayOutcome::declined, "not_charged"},
        IntentCase{
            R"("status":"requires_payment_method","last_payment_error":{"code":"card_declined","decline_code":"lost_card"})",
            GatewayOutcome::declined, "lost_card"},
        IntentCase{
            R"("status":"requires_payment_method","last_payment_error":{"code":"authentication_required"})",
            GatewayOutcome::requires_action, "authentication_required"},
        IntentCase{R"("status":"a state of next year")", GatewayOutcome::unknown, ""}));

TEST(StripeAnswers, TellWhatWasCapturedAndRefunded) {
    const auto result =
        look_up_result(read_answer(200, intent(R"("status":"succeeded","amount_received":500,)"
                                               R"("latest_charge":{"amount_refunded":200})")),
                       *Currency::parse("ISK"), now);
    EXPECT_EQ(result.captured_minor, 5);
    EXPECT_EQ(result.refunded_minor, 2);
}

TEST(StripeAnswers, look_up_that_does_not_show_what_was_refunded_is_unknown) {
    const auto bare =
        read_answer(200, intent(R"("status":"succeeded","amount_received":500,"latest_charge":"ch_1")"));
    EXPECT_EQ(look_up_result(bare, eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(intent_result(bare, eur, now).refunded_minor, 0) << "nothing was refunded of what is new";
}

TEST(StripeAnswers, only_an_object_of_stripes_counts_as_its_answer) {
    for (const std::string body : {"", "[]", "{}", "<html>", "null", R"({"object":7})",
                                   R"({"id":"pi_1","status":"succeeded","amount_received":5})",
                                   R"({"error":{"type":"card_error"}})", R"({"object":"payment_intent")"}) {
        EXPECT_FALSE(read_answer(200, body).spoke()) << body;
        EXPECT_EQ(intent_result(read_answer(200, body), eur, now).outcome, GatewayOutcome::unknown) << body;
        EXPECT_EQ(refund_result(read_answer(200, body), eur).outcome, GatewayOutcome::unknown) << body;
        EXPECT_FALSE(find_intent(read_answer(200, body), request(), now).readable) << body;
        EXPECT_FALSE(read_refunds(read_answer(200, body), "key", eur).readable) << body;
    }
    for (const std::string body : {"", "{}", "<html>", R"({"error":"not found"})", R"({"error":{}})",
                                   R"({"error":{"type":7}})", R"({"object":"payment_intent"})"}) {
        EXPECT_FALSE(read_answer(404, body).spoke()) << body;
    }
    EXPECT_FALSE(read_answer(302, R"({"object":"payment_intent"})").spoke());
    EXPECT_TRUE(refusal(500, "api_error").spoke());
}

TEST(StripeAnswers, object_of_another_kind_is_no_payment_and_no_refund) {
    const std::string charge = R"({"object":"charge","id":"ch_1","status":"succeeded","amount":5})";
    EXPECT_EQ(intent_result(read_answer(200, charge), eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(look_up_result(read_answer(200, charge), eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(refund_result(read_answer(200, charge), eur).outcome, GatewayOutcome::unknown);
}

TEST(StripeAnswers, stranger_that_answers_instead_refuses_nothing) {
    for (const int status : {400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 411, 413, 414, 421,
                             422, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 511}) {
        for (const std::string body :
             {"<html><body>Not here.</body></html>", "", "Not Found", R"({"error":"not found"})",
              R"({"message":"no Route matched with those values"})"}) {
            const auto answer = read_answer(status, body);
            EXPECT_EQ(intent_result(answer, eur, now).outcome, GatewayOutcome::unknown) << status << body;
            EXPECT_EQ(look_up_result(answer, eur, now).outcome, GatewayOutcome::unknown) << status << body;
            EXPECT_EQ(refund_result(answer, eur).outcome, GatewayOutcome::unknown) << status << body;
            EXPECT_FALSE(is_refusal(answer));
            EXPECT_FALSE(is_our_fault(answer));
            EXPECT_TRUE(is_worth_repeating(answer)) << status << body;
            EXPECT_TRUE(leaves_open(answer));
        }
    }
}

TEST(StripeAnswers, DeclineInTheWordsOfTheCard) {
    const auto generic = intent_result(card_error("card_declined", "generic_decline"), eur, now);
    EXPECT_EQ(generic.outcome, GatewayOutcome::declined);
    EXPECT_EQ(generic.failure.code, "card_declined");
    EXPECT_EQ(generic.failure.detail, "No.");
    EXPECT_EQ(generic.provider_reference, "pi_1");
    EXPECT_EQ(intent_result(card_error("card_declined", "insufficient_funds"), eur, now).failure.code,
              "insufficient_funds");
    EXPECT_EQ(intent_result(card_error("incorrect_cvc", "incorrect_cvc"), eur, now).failure.code,
              "incorrect_cvc");
    const auto action = intent_result(card_error("authentication_required", "authentication_required",
                                                 R"("status":"requires_payment_method",
                      "last_payment_error":{"code":"authentication_required"})"),
                                      eur, now);
    EXPECT_EQ(action.outcome, GatewayOutcome::requires_action);
    EXPECT_EQ(action.provider_reference, "pi_1");
}

TEST(StripeAnswers, decline_is_a_snapshot_after_an_unanswered_try_too) {
    const auto answer = after_an_unanswered_try(card_error("card_declined", "generic_decline"));
    EXPECT_EQ(intent_result(answer, eur, now).outcome, GatewayOutcome::declined);
}

TEST(StripeAnswers, card_error_shows_the_intent_as_it_stands_and_without_one_says_nothing) {
    EXPECT_EQ(intent_result(card_error("card_declined", "", R"("status":"canceled")"), eur, now).outcome,
              GatewayOutcome::canceled);
    EXPECT_EQ(intent_result(refusal(402, "card_error", "card_declined"), eur, now).outcome,
              GatewayOutcome::unknown)
        << "an intent that is open, and not known by its reference";
    const auto captured = intent_result(
        card_error("card_declined", "", R"("status":"succeeded","amount_received":5)"), eur, now);
    EXPECT_EQ(captured.outcome, GatewayOutcome::unknown) << "it does not say what was refunded";
    EXPECT_EQ(captured.provider_reference, "pi_1") << "by which it can be retrieved";
}

TEST(StripeAnswers, invalid_request_is_refused_without_showing_stripes_words) {
    for (const auto& blame :
         {refusal(400, "invalid_request_error", "x"), refusal(402, "invalid_request_error"),
          refusal(404, "invalid_request_error", "resource_missing")}) {
        EXPECT_TRUE(is_our_fault(blame));
        EXPECT_TRUE(is_refusal(blame));
        const auto result = intent_result(blame, eur, now);
        EXPECT_EQ(result.outcome, GatewayOutcome::refused);
        EXPECT_EQ(result.failure.detail.find("Secret"), std::string::npos);
        EXPECT_EQ(refund_result(blame, eur).outcome, GatewayOutcome::refused);
    }
    EXPECT_EQ(intent_result(refusal(400, "invalid_request_error"), eur, now).failure.code,
              "invalid_request_error");
}

TEST(StripeAnswers, invalid_request_after_an_unanswered_try_is_unknown) {
    const auto late = after_an_unanswered_try(refusal(400, "invalid_request_error", "x"));
    EXPECT_EQ(intent_result(late, eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(refund_result(late, eur).outcome, GatewayOutcome::unknown);
}

TEST(StripeAnswers, invalid_request_that_carries_the_intent_is_a_snapshot) {
    const auto answer = refusal(400, "invalid_request_error", "payment_intent_unexpected_state",
                                R"(,"payment_intent":)" + intent(R"("status":"canceled")"));
    EXPECT_EQ(intent_result(answer, eur, now).outcome, GatewayOutcome::canceled);
    EXPECT_TRUE(is_unexpected_state(answer));
}

TEST(StripeAnswers, ThatAKeyWasUsedForAnotherRequestSaysNothingOfThatOne) {
    const auto used = refusal(400, "idempotency_error");
    EXPECT_TRUE(is_our_fault(used)) << "a person has to see it";
    EXPECT_EQ(intent_result(used, eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(refund_result(used, eur).outcome, GatewayOutcome::unknown);
}

TEST(StripeAnswers, ThatSayNothingOfThePaymentLeaveItUnknown) {
    for (const auto& silent :
         {StripeAnswer{}, refusal(500, "api_error"), refusal(429, "invalid_request_error"),
          refusal(429, "rate_limit_error"), refusal(401, "invalid_request_error"),
          refusal(401, "authentication_error"), refusal(403, "invalid_request_error"),
          refusal(408, "invalid_request_error"), refusal(424, "invalid_request_error"),
          refusal(409, "invalid_request_error"), refusal(400, "api_error"), refusal(400, "rate_limit_error"),
          refusal(400, "an_error_of_next_year"), refusal(400, "card_error"),
          refusal(409, "idempotency_error", "idempotency_key_in_use")}) {
        EXPECT_EQ(intent_result(silent, eur, now).outcome, GatewayOutcome::unknown) << silent.status;
        EXPECT_EQ(refund_result(silent, eur).outcome, GatewayOutcome::unknown) << silent.status;
    }
    EXPECT_TRUE(is_our_fault(refusal(401, "invalid_request_error")));
    EXPECT_EQ(look_up_result(refusal(400, "invalid_request_error"), eur, now).outcome,
              GatewayOutcome::unknown);
    EXPECT_EQ(look_up_result(refusal(404, "invalid_request_error", "resource_missing"), eur, now).outcome,
              GatewayOutcome::not_found);
}

TEST(StripeAnswers, tell_the_time_at_the_provider) {
    auto answer = read_answer(200, intent(R"("status":"processing")"));
    answer.provider_time = now - 1h;
    EXPECT_EQ(intent_result(answer, eur, now).provider_time, now - 1h);
    EXPECT_EQ(look_up_result(answer, eur, now).provider_time, now - 1h);
    auto strangers = read_answer(404, "<html>");
    strangers.provider_time = now - 1h;
    EXPECT_FALSE(look_up_result(strangers, eur, now).provider_time) << "it is not the provider's";
}

TEST(StripeAnswers, SayWhetherToAskAgain) {
    EXPECT_TRUE(is_worth_repeating({}));
    EXPECT_TRUE(is_worth_repeating(refusal(500, "api_error")));
    EXPECT_TRUE(is_worth_repeating(refusal(429, "invalid_request_error", "lock_timeout")));
    EXPECT_TRUE(is_worth_repeating(refusal(409, "idempotency_error", "idempotency_key_in_use")));
    EXPECT_FALSE(is_worth_repeating(list("")));
    EXPECT_FALSE(is_worth_repeating(card_error("card_declined", "")));
    EXPECT_FALSE(is_worth_repeating(refusal(400, "idempotency_error")));
    auto stored = refusal(500, "api_error");
    stored.replayed = true;
    EXPECT_TRUE(stored.is_stored_error());
    EXPECT_FALSE(is_worth_repeating(stored)) << "it will never be answered otherwise";
    auto told = refusal(500, "api_error");
    told.should_retry = false;
    EXPECT_FALSE(is_worth_repeating(told));
    told = refusal(400, "invalid_request_error");
    told.should_retry = true;
    EXPECT_TRUE(is_worth_repeating(told));
    EXPECT_FALSE(is_worth_repeating({.too_long = true})) << "it would be as long again";
    auto closed = refusal(403, "invalid_request_error");
    closed.closed = true;
    EXPECT_FALSE(is_worth_repeating(closed));
}

TEST(StripeAnswers, TellOfRefunds) {
    const auto of = [](const std::string& members) {
        return refund_result(
            read_answer(200, R"({"object":"refund","id":"re_1","amount":400,)" + members + "}"), eur);
    };
    EXPECT_EQ(of(R"("status":"succeeded")").outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(of(R"("status":"succeeded")").refunded_minor, 400);
    EXPECT_EQ(of(R"("status":"succeeded","payment_intent":"pi_1")").provider_reference, "re_1")
        << "its own, by which a person finds it";
    EXPECT_EQ(of(R"("status":"succeeded","charge":{"amount_refunded":900})").all_refunded_minor, 900);
    EXPECT_FALSE(of(R"("status":"succeeded","charge":"ch_1")").all_refunded_minor);
    EXPECT_EQ(of(R"("status":"pending")").outcome, GatewayOutcome::pending);
    EXPECT_EQ(of(R"("status":"pending")").refunded_minor, 400);
    const auto failed = of(R"("status":"failed","failure_reason":"lost_or_stolen_card")");
    EXPECT_EQ(failed.outcome, GatewayOutcome::declined);
    EXPECT_EQ(failed.failure.code, "lost_or_stolen_card");
    EXPECT_EQ(failed.refunded_minor, 0);
}

std::string refund_of(const std::string& id, int amount, const std::string& status, const std::string& key) {
    return R"({"object":"refund","id":")" + id + R"(","amount":)" + std::to_string(amount) +
           R"(,"status":")" + status + R"(","metadata":{"refund_key":")" + key + R"("}})";
}

TEST(StripeAnswers, HoldTheRefundOfAKeyAndTheSumOfAll) {
    const auto refunds =
        list(refund_of("re_1", 1, "failed", "a") + "," + refund_of("re_2", 2, "succeeded", "b") + "," +
             refund_of("re_3", 4, "pending", "") + "," + refund_of("re_4", 8, "canceled", ""));
    EXPECT_EQ(read_refunds(refunds, "a", eur).found->outcome, GatewayOutcome::declined);
    EXPECT_EQ(read_refunds(refunds, "b", eur).found->outcome, GatewayOutcome::succeeded);
    const auto none = read_refunds(refunds, "c", eur);
    EXPECT_TRUE(none.readable);
    EXPECT_FALSE(none.found);
    EXPECT_EQ(none.refunded_minor, 6);
    EXPECT_EQ(none.next, "");
    EXPECT_EQ(read_refunds(list(refund_of("re_9", 1, "failed", "a"), "true"), "c", eur).next, "re_9");
    EXPECT_FALSE(read_refunds(list("", "true"), "c", eur).readable);
    EXPECT_FALSE(read_refunds(list(refund_of("re_1", 1, "a status of next year", "a")), "c", eur).readable)
        << "its amount may or may not be given back";
    EXPECT_FALSE(read_refunds(refusal(500, "api_error"), "a", eur).readable);
}

TEST(StripeAnswers, HoldTheIntentOfAPaymentOrLeadToTheNextPage) {
    const std::string other = R"({"object":"payment_intent","id":"pi_2","metadata":{"payment_id":"other"}})";
    const std::string ours = R"({"object":"payment_intent","id":"pi_3","status":"processing","metadata":)"
                             R"({"payment_id":")" +
                             request().payment_id.to_string() + R"("}})";
    const auto page = [&](const std::string& intents, const std::string& more,
                          const std::string& reference = "") {
        return find_intent(list(intents, more), request(reference), now);
    };
    EXPECT_EQ(page(other + "," + ours, "true").found->provider_reference, "pi_3");
    EXPECT_EQ(page(other + "," + ours, "true").found->outcome, GatewayOutcome::pending);
    EXPECT_EQ(page(other + "," + ours, "true", "pi_2").found->provider_reference, "pi_2");
    EXPECT_EQ(page(ours + "," + other, "true").next, "");
    EXPECT_EQ(page(other, "true").next, "pi_2");
    EXPECT_EQ(page(other, "false").next, "");
    EXPECT_TRUE(page("", "false").readable);
    EXPECT_FALSE(page("", "false").found);
    EXPECT_FALSE(page("", "true").readable) << "more, but behind what?";
    EXPECT_TRUE(find_intent(list("", "false", "search_result"), request(), now).readable);
    EXPECT_FALSE(find_intent(list("", "false", "payment_intent"), request(), now).readable);
    EXPECT_FALSE(find_intent(read_answer(200, R"({"object":"list","data":[]})"), request(), now).readable);
}

TEST(StripeAnswers, ListWhatIsHeldOfEachChargeOfOurs) {
    const std::string ours = R"(,"metadata":{"payment_id":")" + request().payment_id.to_string() + R"("}})";
    const auto held = [&](const std::string& members) {
        return read_charges(list(members + ours)).charges.at(0).held;
    };
    EXPECT_EQ(
        held(R"({"id":"pi_1","status":"succeeded","currency":"eur","amount":1250,"amount_received":1000)"),
        money(1000, "EUR"));
    EXPECT_EQ(held(R"({"id":"pi_1","status":"succeeded","currency":"jpy","amount_received":500,)"
                   R"("latest_charge":{"amount_refunded":200})"),
              money(300, "JPY"));
    EXPECT_EQ(held(R"({"id":"pi_1","status":"requires_capture","currency":"eur","amount":1250)"),
              money(1250, "EUR"));
    EXPECT_EQ(held(R"({"id":"pi_1","status":"canceled","currency":"eur","amount":1250)"), money(0, "EUR"));
    EXPECT_EQ(read_charges(list(R"({"id":"pi_1","status":"canceled","currency":"eur")" + ours, "true")).next,
              "pi_1");
}

TEST(StripeAnswers, ListTheChargesOfOthersWithoutTheirAmounts) {
    const auto page =
        read_charges(list(R"({"id":"pi_2","status":"succeeded","currency":"???","amount_received":7})"));
    ASSERT_EQ(page.charges.size(), 1U);
    EXPECT_FALSE(page.charges.front().payment_id);
    EXPECT_EQ(page.charges.front().held.minor, 0);
}

TEST(StripeAnswers, ThatDoNotSayWhatIsHeldOfOursAreNoList) {
    const std::string ours = R"(,"metadata":{"payment_id":")" + request().payment_id.to_string() + R"("}})";
    for (const std::string intent :
         {R"({"status":"succeeded","currency":"eur")", R"({"id":"pi_1","status":"succeeded","currency":"?")",
          R"({"id":"pi_1","status":"succeeded","currency":"eur","amount_received":-1)"}) {
        EXPECT_FALSE(read_charges(list(intent + ours)).readable) << intent;
    }
    EXPECT_FALSE(read_charges(read_answer(500, R"({"object":"list","data":[],"has_more":false})")).readable);
}

}  // namespace

}  // namespace quittance::payments
