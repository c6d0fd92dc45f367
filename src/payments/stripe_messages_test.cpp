#include "payments/stripe_messages.hpp"

#include <gtest/gtest.h>

#include "core/random.hpp"

namespace quittance::payments {

namespace {

Money money(std::int64_t minor, std::string_view code) {
    return {minor, *Currency::parse(code)};
}
const Currency eur = *Currency::parse("EUR");

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
              "0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa%27&expand%5B%5D=data.latest_charge");
    EXPECT_EQ(list_intents(timestamp_from_ms(1'234'999), {}).path,
              "/v1/payment_intents?created%5Bgte%5D=1234&expand%5B%5D=data.latest_charge&limit=100");
    EXPECT_EQ(list_intents(timestamp_from_ms(1'234'000), {"pi_9", 10}).path,
              "/v1/payment_intents?created%5Bgte%5D=1234&expand%5B%5D=data.latest_charge&limit=10"
              "&starting_after=pi_9");
    EXPECT_EQ(list_refunds("pi_1", {"re_9", 1}).path,
              "/v1/refunds?payment_intent=pi_1&limit=1&starting_after=re_9");
}

TEST(StripeRequests, lists_may_be_answered_at_greater_length) {
    EXPECT_EQ(list_intents({}, {}).max_answer_bytes, stripe_list_bytes);
    EXPECT_EQ(list_refunds("pi_1", {}).max_answer_bytes, stripe_list_bytes);
    EXPECT_EQ(retrieve_intent("pi_1").max_answer_bytes, stripe_object_bytes);
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

}  // namespace

}  // namespace quittance::payments
