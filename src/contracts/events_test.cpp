#include "contracts/events.hpp"

#include <gtest/gtest.h>

namespace quittance::contracts {
namespace {

const OrderId order_id = *OrderId::parse("0193a0b1-1111-7abc-8def-000000000001");
const UserId user_id = *UserId::parse("0193a0b1-2222-7abc-8def-000000000002");
const PaymentId payment_id = *PaymentId::parse("0193a0b1-3333-7abc-8def-000000000003");
const RefundId refund_id = *RefundId::parse("0193a0b1-4444-7abc-8def-000000000004");
const Currency euro = *Currency::parse("EUR");

PaymentRequested payment_requested() {
    return {order_id, user_id, {1250, euro}, "pm_card_visa", 2};
}

PaymentUpdated payment_updated() {
    return {order_id,     payment_id,  PaymentStatus::partially_refunded, 1250, 250, euro, 2'000'007,
            std::nullopt, std::nullopt};
}

/// The reason why the text is refused; the test fails when it is not.
std::string refusal(std::string_view type, std::string_view data) {
    const auto event = parse_payment_event(type, data);
    EXPECT_FALSE(event.ok()) << data;
    return event.ok() ? std::string() : event.error().detail;
}

TEST(EventsTest, a_payment_request_has_the_documented_shape) {
    EXPECT_EQ(
        to_json(payment_requested()),
        R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001","userId":"0193a0b1-2222-7abc-8def-000000000002",)"
        R"("amount":1250,"currency":"EUR","paymentMethod":"pm_card_visa","attempt":2})");
}

TEST(EventsTest, a_cancellation_has_the_documented_shape) {
    EXPECT_EQ(
        to_json(OrderCanceled{order_id, user_id, {1250, euro}, 3}),
        R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001","userId":"0193a0b1-2222-7abc-8def-000000000002",)"
        R"("amount":1250,"currency":"EUR","attempt":3})");
}

TEST(EventsTest, a_payment_update_has_the_documented_shape) {
    EXPECT_EQ(to_json(payment_updated()),
              R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001",)"
              R"("paymentId":"0193a0b1-3333-7abc-8def-000000000003","paymentStatus":"PARTIALLY_REFUNDED",)"
              R"("capturedAmount":1250,"refundedAmount":250,"currency":"EUR","sequence":2000007,)"
              R"("attempt":2,"paymentVersion":7})");
}

TEST(EventsTest, a_refund_request_has_the_documented_shape) {
    EXPECT_EQ(
        to_json(RefundRequested{refund_id, order_id, user_id, {250, euro}, 1, "broken"}),
        R"({"refundId":"0193a0b1-4444-7abc-8def-000000000004",)"
        R"("orderId":"0193a0b1-1111-7abc-8def-000000000001","userId":"0193a0b1-2222-7abc-8def-000000000002",)"
        R"("amount":250,"currency":"EUR","attempt":1,"reason":"broken"})");
}

TEST(EventsTest, every_event_comes_back_as_it_was_written) {
    const auto created = parse_payment_event(OrderCreated::type, to_json(payment_requested()));
    ASSERT_TRUE(created.ok()) << created.error().detail;
    EXPECT_EQ(std::get<OrderCreated>(*created), OrderCreated{payment_requested()});

    const auto retry = parse_payment_event(PaymentRetryRequested::type, to_json(payment_requested()));
    ASSERT_TRUE(retry.ok()) << retry.error().detail;
    EXPECT_EQ(std::get<PaymentRetryRequested>(*retry), PaymentRetryRequested{payment_requested()});

    const OrderCanceled canceled{order_id, user_id, {max_amount_minor, euro}, 3};
    const auto parsed_canceled = parse_payment_event(OrderCanceled::type, to_json(canceled));
    ASSERT_TRUE(parsed_canceled.ok()) << parsed_canceled.error().detail;
    EXPECT_EQ(std::get<OrderCanceled>(*parsed_canceled), canceled);

    for (const std::string reason : {"", "the \"mug\" broke"}) {
        const RefundRequested refund{refund_id, order_id, user_id, {250, euro}, 2, reason};
        const auto parsed_refund = parse_payment_event(RefundRequested::type, to_json(refund));
        ASSERT_TRUE(parsed_refund.ok()) << parsed_refund.error().detail;
        EXPECT_EQ(std::get<RefundRequested>(*parsed_refund), refund);
    }

    for (const auto& failure : {std::optional<Failure>(), std::optional(Failure{"refused", "No."})}) {
        PaymentUpdated update = payment_updated();
        for (const auto& refund :
             {std::optional<RefundOutcome>(), std::optional(RefundOutcome{refund_id, 250, failure})}) {
            update.refund = refund;
            const auto updated = parse_order_update(PaymentUpdated::type, to_json(update));
            ASSERT_TRUE(updated.ok()) << updated.error().detail;
            EXPECT_EQ(*updated, update);
        }
    }
}

TEST(EventsTest, texts_of_strangers_survive_the_journey) {
    PaymentRequested request = payment_requested();
    request.payment_method = "quote\" backslash\\ tab\t line\n bell\x07 gr\u00fc\u00dfe \U0001F4B6 </script>";
    const auto created = parse_payment_event(OrderCreated::type, to_json(request));
    ASSERT_TRUE(created.ok()) << created.error().detail;
    EXPECT_EQ(std::get<OrderCreated>(*created).payment_method, request.payment_method);

    PaymentUpdated update = payment_updated();
    update.failure = Failure{"card_declined", "He said \"no\".\r\n\\ \u20ac"};
    const auto updated = parse_order_update(PaymentUpdated::type, to_json(update));
    ASSERT_TRUE(updated.ok()) << updated.error().detail;
    EXPECT_EQ(updated->failure, update.failure);
}

TEST(EventsTest, every_payment_status_has_a_text_of_its_own) {
    for (int i = 0; i <= static_cast<int>(PaymentStatus::refunded); ++i) {
        const auto status = static_cast<PaymentStatus>(i);
        EXPECT_FALSE(to_string(status).empty());
        EXPECT_EQ(parse_payment_status(to_string(status)), status);
    }
    EXPECT_EQ(parse_payment_status("captured"), std::nullopt);
    EXPECT_EQ(parse_payment_status(""), std::nullopt);
}

TEST(EventsTest, unknown_members_are_ignored_at_every_level) {
    const auto updated = parse_order_update(
        PaymentUpdated::type,
        R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001","paymentId":"0193a0b1-3333-7abc-8def-000000000003",
            "paymentStatus":"FAILED","capturedAmount":0,"refundedAmount":0,"currency":"EUR","sequence":1,
            "failure":{"code":"declined","detail":"","later":[1]},"later":{"a":1}})");
    ASSERT_TRUE(updated.ok()) << updated.error().detail;
    EXPECT_EQ(updated->failure, (Failure{"declined", ""}));
}

TEST(EventsTest, attempt_and_version_of_a_payment_follow_from_the_sequence) {
    PaymentUpdated update = payment_updated();
    EXPECT_EQ(update.attempt(), 2);
    EXPECT_EQ(update.payment_version(), 7);
    update.sequence = max_sequence;
    EXPECT_EQ(update.attempt(), max_attempt);
    EXPECT_EQ(update.payment_version(), sequences_per_attempt - 1);
    update.sequence = 7;
    EXPECT_EQ(update.attempt(), 1) << "there is none before the first";
}

std::string update_with(const std::string& members) {
    return R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001",)"
           R"("paymentId":"0193a0b1-3333-7abc-8def-000000000003","paymentStatus":"FAILED","capturedAmount":0,)"
           R"("refundedAmount":0,"currency":"EUR",)" +
           members + "}";
}

TEST(EventsTest, attempt_and_version_of_a_payment_may_be_left_out_and_may_not_contradict_the_sequence) {
    const auto read = [](const std::string& members) {
        return parse_order_update(PaymentUpdated::type, update_with(members));
    };
    const auto without = read(R"("sequence":2000007)");
    ASSERT_TRUE(without.ok()) << without.error().detail;
    EXPECT_EQ(without->attempt(), 2);
    EXPECT_TRUE(read(R"("sequence":2000007,"attempt":2,"paymentVersion":7)").ok());
    EXPECT_EQ(
        read(R"("sequence":2000007,"attempt":1,"paymentVersion":8)").error().detail,
        "The data of quittance.payment.updated.v1 is not acceptable: /attempt is 1, but /sequence says 2; "
        "/paymentVersion is 8, but /sequence says 7.");
    EXPECT_FALSE(read(R"("sequence":2000007,"attempt":"2")").ok());
    EXPECT_FALSE(read(R"("sequence":)" + std::to_string(max_sequence + 1)).ok());
}

TEST(EventsTest, an_unknown_type_is_refused_by_name) {
    EXPECT_EQ(refusal("quittance.order.created.v2", to_json(payment_requested())),
              "The type \"quittance.order.created.v2\" is not known on the topic payment-events.");
    EXPECT_FALSE(parse_order_update(OrderCreated::type, to_json(payment_updated())).ok());
}

TEST(EventsTest, a_refusal_names_every_fault) {
    EXPECT_EQ(refusal(OrderCreated::type,
                      R"({"orderId":"x","userId":"0193a0b1-2222-7abc-8def-000000000002","amount":-1,
                          "currency":"EURO","paymentMethod":"pm"})"),
              "The data of quittance.order.created.v1 is not acceptable: /orderId must be a UUID; "
              "/amount must be between 0 and 9007199254740991; /currency must be an ISO 4217 code; "
              "/attempt is required.");
    EXPECT_EQ(refusal(OrderCanceled::type, "[]"),
              "The data of quittance.order.canceled.v1 is not acceptable: the data must be an object.");
    EXPECT_EQ(parse_payment_event(OrderCreated::type, "{").error().code, ErrorCode::malformed);
    EXPECT_EQ(parse_payment_event(OrderCreated::type, "{}").error().code, ErrorCode::invalid);
}

TEST(EventsTest, a_failure_without_its_code_is_refused) {
    const auto updated = parse_order_update(
        PaymentUpdated::type,
        R"({"orderId":"0193a0b1-1111-7abc-8def-000000000001","paymentId":"0193a0b1-3333-7abc-8def-000000000003",
            "paymentStatus":"LOST","capturedAmount":0,"refundedAmount":0,"currency":"EUR","sequence":1,
            "failure":{"detail":"?"}})");
    ASSERT_FALSE(updated.ok());
    EXPECT_EQ(updated.error().faults, (std::vector<Fault>{{"/paymentStatus", "is not a known payment status"},
                                                          {"/failure/code", "is required"}}));
}

}  // namespace
}  // namespace quittance::contracts
