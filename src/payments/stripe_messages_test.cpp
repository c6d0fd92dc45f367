#include "payments/stripe_messages.hpp"

#include <gtest/gtest.h>

#include "core/random.hpp"

namespace quittance::payments {

namespace {

using namespace std::chrono_literals;

Money money(std::int64_t minor, std::string_view code) {
    return {minor, *Currency::parse(code)};
}
const Currency eur = *Currency::parse("EUR");
const Timestamp now = timestamp_from_ms(1'795'000'000'000);

StripeAnswer answer(int status, std::string body) {
    return {.status = status, .body = std::move(body)};
}
StripeAnswer card_error(const std::string& code, const std::string& decline_code) {
    return answer(402, R"({"error":{"type":"card_error","code":")" + code + R"(","decline_code":")" +
                           decline_code + R"(","message":"No.","payment_intent":{"id":"pi_1"}}})");
}
StripeAnswer refusal(int status, const std::string& type, const std::string& code = "") {
    const std::string with_code = code.empty() ? "" : R"(,"code":")" + code + '"';
    return answer(status,
                  R"({"error":{"type":")" + type + R"(","message":"Secret words.")" + with_code + "}}");
}

GatewayRequest request() {
    return {.payment_id = *PaymentId::parse("0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa"),
            .order_id = *OrderId::parse("0193530d-7d3c-7bbb-8bbb-bbbbbbbbbbbb"),
            .amount = money(1250, "EUR"),
            .payment_method = "pm_card_visa",
            .provider_reference = "pi_1",
            .idempotency_key = "pay-1"};
}

TEST(StripeForm, EscapesNamesAndValues) {
    EXPECT_EQ(encode_form({{"a[b]", "x y&z=\xC3\xA9"}, {"plain", "A-_.~9"}}),
              "a%5Bb%5D=x%20y%26z%3D%C3%A9&plain=A-_.~9");
    EXPECT_EQ(encode_form({}), "");
}

TEST(StripeAmounts, FollowIso4217WhereStripeDoes) {
    EXPECT_EQ(*to_stripe_amount(money(1250, "EUR")), 1250);
    EXPECT_EQ(*to_stripe_amount(money(500, "JPY")), 500);
    EXPECT_EQ(*to_stripe_amount(money(5120, "JOD")), 5120);
    EXPECT_EQ(from_stripe_amount(500, *Currency::parse("JPY")), 500);
}

TEST(StripeAmounts, KnowWhereStripeDiffers) {
    EXPECT_EQ(*to_stripe_amount(money(5, "ISK")), 500);
    EXPECT_EQ(*to_stripe_amount(money(5, "UGX")), 500);
    EXPECT_EQ(*to_stripe_amount(money(700, "MGA")), 7);
    EXPECT_EQ(from_stripe_amount(500, *Currency::parse("ISK")), 5);
    EXPECT_EQ(from_stripe_amount(7, *Currency::parse("MGA")), 700);
}

TEST(StripeAmounts, AreRefusedWhereTheyWouldHaveToBeRounded) {
    EXPECT_FALSE(to_stripe_amount(money(5124, "JOD")));
    EXPECT_FALSE(to_stripe_amount(money(750, "MGA")));
    EXPECT_FALSE(to_stripe_amount(money(max_amount_minor, "ISK")));
    EXPECT_FALSE(from_stripe_amount(550, *Currency::parse("ISK")));
    EXPECT_FALSE(from_stripe_amount(-1, eur));
}

TEST(StripeRequests, ChargeInOneCallThatNamesThePayment) {
    const auto made = create_intent(request(), 1250, true);
    EXPECT_TRUE(made.posts);
    EXPECT_EQ(made.path, "/v1/payment_intents");
    EXPECT_EQ(made.idempotency_key, "pay-1");
    EXPECT_EQ(made.form,
              "amount=1250&currency=eur&payment_method=pm_card_visa&confirm=true&capture_method=automatic"
              "&automatic_payment_methods%5Benabled%5D=true"
              "&automatic_payment_methods%5Ballow_redirects%5D=never&error_on_requires_action=true"
              "&metadata%5Border_id%5D=0193530d-7d3c-7bbb-8bbb-bbbbbbbbbbbb"
              "&metadata%5Bpayment_id%5D=0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa");
    EXPECT_NE(create_intent(request(), 1250, false).form.find("capture_method=manual"), std::string::npos);
}

TEST(StripeRequests, CannotLeaveTheirPath) {
    auto strange = request();
    strange.provider_reference = "pi_1/../../balance?x";
    EXPECT_EQ(capture_intent(strange, 800).path, "/v1/payment_intents/pi_1%2F..%2F..%2Fbalance%3Fx/capture");
    EXPECT_EQ(retrieve_intent("pi_1").path, "/v1/payment_intents/pi_1?expand%5B%5D=latest_charge");
}

TEST(StripeRequests, CancelWithoutAKeyAndRefundWithOne) {
    EXPECT_EQ(cancel_intent(request()).idempotency_key, "");
    const auto refund = create_refund(request(), 400);
    EXPECT_EQ(refund.idempotency_key, "pay-1");
    EXPECT_NE(refund.form.find("payment_intent=pi_1&amount=400&"), std::string::npos);
}

TEST(StripeRequests, SearchAndListByThePayment) {
    EXPECT_EQ(search_intents(request().payment_id).path,
              "/v1/payment_intents/search?query=metadata%5B%27payment_id%27%5D%3A%27"
              "0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa%27");
    EXPECT_EQ(list_intents(timestamp_from_ms(1'234'999), "").path,
              "/v1/payment_intents?limit=100&created%5Bgte%5D=1234");
    EXPECT_EQ(list_intents(timestamp_from_ms(1'234'000), "pi_9").path,
              "/v1/payment_intents?limit=100&created%5Bgte%5D=1234&starting_after=pi_9");
}

TEST(StripeRequests, KnowWhenAPaymentBegan) {
    class Fixed final : public Clock {
    public:
        [[nodiscard]] Timestamp now() const override { return timestamp_from_ms(1'795'000'000'123); }
        [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }
    } clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    EXPECT_EQ(begun_at(ids.generate<PaymentId>()), clock.now());
}

struct IntentCase {
    std::string members;
    GatewayOutcome outcome;
    std::string failure_code;
};

class StripeIntent : public testing::TestWithParam<IntentCase> {};

TEST_P(StripeIntent, InEachStateMeansOneThing) {
    const auto& one = GetParam();
    const auto result = intent_result(answer(200, R"({"id":"pi_1",)" + one.members + "}"), eur, now);
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
        IntentCase{R"("status":"canceled")", GatewayOutcome::declined, "canceled"},
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
        look_up_result(answer(200, R"({"id":"pi_1","status":"succeeded","amount_received":500,)"
                                   R"("latest_charge":{"amount_refunded":200}})"),
                       *Currency::parse("ISK"), now);
    EXPECT_EQ(result.captured_minor, 5);
    EXPECT_EQ(result.refunded_minor, 2);
}

TEST(StripeAnswers, ThatCannotBeReadSayNothing) {
    for (const std::string body : {"", "[]", "{}", "<html>", R"({"id":7,"status":"succeeded"})"}) {
        EXPECT_EQ(intent_result(answer(200, body), eur, now).outcome, GatewayOutcome::unknown) << body;
        EXPECT_EQ(refund_result(answer(200, body), eur).outcome, GatewayOutcome::unknown) << body;
        EXPECT_FALSE(find_intent(answer(200, body), request().payment_id).readable) << body;
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
    const auto action =
        intent_result(card_error("authentication_required", "authentication_required"), eur, now);
    EXPECT_EQ(action.outcome, GatewayOutcome::requires_action);
    EXPECT_EQ(action.provider_reference, "pi_1");
}

TEST(StripeAnswers, ThatBlameUsDeclineWithoutTellingTheCustomer) {
    for (const auto& blame : {refusal(400, "invalid_request_error", "x"),
                              refusal(404, "invalid_request_error", "resource_missing")}) {
        EXPECT_TRUE(is_our_fault(blame));
        const auto result = intent_result(blame, eur, now);
        EXPECT_EQ(result.outcome, GatewayOutcome::declined);
        EXPECT_EQ(result.failure.detail.find("Secret"), std::string::npos);
    }
    EXPECT_EQ(intent_result(refusal(400, "invalid_request_error"), eur, now).failure.code,
              "invalid_request_error");
}

TEST(StripeAnswers, ThatAKeyWasUsedForAnotherRequestSaysNothingOfThatOne) {
    const auto used = refusal(400, "idempotency_error");
    EXPECT_TRUE(is_our_fault(used)) << "a person has to see it";
    EXPECT_EQ(intent_result(used, eur, now).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(refund_result(used, eur).outcome, GatewayOutcome::unknown);
}

TEST(StripeAnswers, ThatSayNothingOfThePaymentLeaveItUnknown) {
    for (const auto& silent :
         {answer(0, ""), answer(500, "{}"), answer(503, "<html>"), refusal(429, "invalid_request_error"),
          refusal(401, "invalid_request_error"), refusal(403, "invalid_request_error"),
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

TEST(StripeAnswers, SayWhetherToAskAgain) {
    EXPECT_TRUE(is_worth_repeating(answer(0, "")));
    EXPECT_TRUE(is_worth_repeating(answer(500, "{}")));
    EXPECT_TRUE(is_worth_repeating(refusal(429, "invalid_request_error", "lock_timeout")));
    EXPECT_TRUE(is_worth_repeating(refusal(409, "idempotency_error", "idempotency_key_in_use")));
    EXPECT_FALSE(is_worth_repeating(answer(200, "{}")));
    EXPECT_FALSE(is_worth_repeating(card_error("card_declined", "")));
    EXPECT_FALSE(is_worth_repeating(refusal(400, "idempotency_error")));
    auto stored = answer(500, "{}");
    stored.replayed = true;
    EXPECT_TRUE(stored.is_stored_error());
    EXPECT_FALSE(is_worth_repeating(stored)) << "it will never be answered otherwise";
    auto told = answer(500, "{}");
    told.should_retry = false;
    EXPECT_FALSE(is_worth_repeating(told));
    told = refusal(400, "invalid_request_error");
    told.should_retry = true;
    EXPECT_TRUE(is_worth_repeating(told));
}

TEST(StripeAnswers, TellOfRefunds) {
    const auto of = [](const std::string& members) {
        return refund_result(answer(200, R"({"id":"re_1","amount":400,)" + members + "}"), eur);
    };
    EXPECT_EQ(of(R"("status":"succeeded")").outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(of(R"("status":"succeeded")").refunded_minor, 400);
    EXPECT_EQ(of(R"("status":"succeeded","payment_intent":"pi_1")").provider_reference, "re_1")
        << "its own, by which a person finds it";
    EXPECT_EQ(of(R"("status":"pending")").outcome, GatewayOutcome::pending);
    const auto failed = of(R"("status":"failed","failure_reason":"lost_or_stolen_card")");
    EXPECT_EQ(failed.outcome, GatewayOutcome::declined);
    EXPECT_EQ(failed.failure.code, "lost_or_stolen_card");
}

TEST(StripeAnswers, SayWhenNothingIsLeftToRefund) {
    EXPECT_TRUE(is_refunded_already(refusal(400, "invalid_request_error", "charge_already_refunded")));
    EXPECT_FALSE(is_refunded_already(refusal(400, "invalid_request_error", "charge_disputed")));
    EXPECT_FALSE(is_refunded_already(answer(200, "{}")));
}

TEST(StripeAnswers, HoldTheRefundOfAKey) {
    const auto list = answer(200, R"({"has_more":false,"data":[)"
                                  R"({"amount":1,"status":"failed","metadata":{"refund_key":"a"}},)"
                                  R"({"amount":2,"status":"succeeded","metadata":{"refund_key":"b"}}]})");
    EXPECT_EQ(find_refund(list, "a", eur).outcome, GatewayOutcome::declined);
    EXPECT_EQ(find_refund(list, "b", eur).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(find_refund(list, "c", eur).outcome, GatewayOutcome::not_found);
    EXPECT_EQ(find_refund(answer(200, R"({"has_more":true,"data":[]})"), "c", eur).outcome,
              GatewayOutcome::unknown);
    EXPECT_EQ(find_refund(answer(500, ""), "a", eur).outcome, GatewayOutcome::unknown);
}

TEST(StripeAnswers, HoldTheIntentOfAPaymentOrLeadToTheNextPage) {
    const std::string other = R"({"id":"pi_2","metadata":{"payment_id":"other"}})";
    const std::string ours =
        R"({"id":"pi_3","metadata":{"payment_id":")" + request().payment_id.to_string() + R"("}})";
    const auto page = [&](const std::string& intents, const std::string& more) {
        return find_intent(answer(200, R"({"data":[)" + intents + R"(],"has_more":)" + more + "}"),
                           request().payment_id);
    };
    EXPECT_EQ(page(other + "," + ours, "true").intent_id, "pi_3");
    EXPECT_EQ(page(ours + "," + other, "true").next, "");
    EXPECT_EQ(page(other, "true").next, "pi_2");
    EXPECT_EQ(page(other, "false").next, "");
    EXPECT_TRUE(page("", "false").readable);
    EXPECT_EQ(page("", "false").intent_id, "");
}

TEST(StripeAnswers, ListWhatIsHeldOfEachChargeOfOurs) {
    const std::string ours = R"(,"metadata":{"payment_id":")" + request().payment_id.to_string() + R"("}})";
    const auto list = [&](const std::string& intent, const std::string& more) {
        return read_charges(answer(200, R"({"data":[)" + intent + R"(],"has_more":)" + more + "}"));
    };
    const auto held = [&](const std::string& intent) {
        return list(intent + ours, "false").charges.at(0).held;
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
    EXPECT_EQ(list(R"({"id":"pi_1","status":"canceled","currency":"eur")" + ours, "true").next, "pi_1");
}

TEST(StripeAnswers, ListTheChargesOfOthersWithoutTheirAmounts) {
    const auto page = read_charges(
        answer(200, R"({"data":[{"id":"pi_2","status":"succeeded","currency":"???","amount_received":7}]})"));
    ASSERT_EQ(page.charges.size(), 1U);
    EXPECT_FALSE(page.charges.front().payment_id);
    EXPECT_EQ(page.charges.front().held.minor, 0);
}

TEST(StripeAnswers, ThatDoNotSayWhatIsHeldOfOursAreNoList) {
    const std::string ours = R"(,"metadata":{"payment_id":")" + request().payment_id.to_string() + R"("}})";
    for (const std::string intent :
         {R"({"status":"succeeded","currency":"eur")", R"({"id":"pi_1","status":"succeeded","currency":"?")",
          R"({"id":"pi_1","status":"succeeded","currency":"eur","amount_received":-1)"}) {
        EXPECT_FALSE(read_charges(answer(200, R"({"data":[)" + intent + ours + "]}")).readable) << intent;
    }
    EXPECT_FALSE(read_charges(answer(500, R"({"data":[]})")).readable);
}

}  // namespace

}  // namespace quittance::payments
