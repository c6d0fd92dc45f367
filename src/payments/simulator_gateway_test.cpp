#include "payments/simulator_gateway.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace quittance::payments {
namespace {

GatewayRequest request_for(const std::string& method, const std::string& key = "pay-1") {
    return {.amount = {1000, *Currency::parse("EUR")}, .payment_method = method, .idempotency_key = key};
}

GatewayResult charge(Gateway& gateway, const GatewayRequest& request) {
    std::optional<GatewayResult> answer;
    gateway.authorize(request, true, [&](GatewayResult result) { answer = std::move(result); });
    if (!answer) throw std::logic_error("the simulator without latency answers at once");
    return *answer;
}

TEST(SimulatorGateway, AnswersByThePaymentMethod) {
    const std::vector<std::pair<std::string, std::string>> declines{
        {"pm_card_chargeDeclined", "card_declined"},
        {"pm_card_visa_chargeDeclined", "card_declined"},
        {"pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"},
        {"pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"},
        {"pm_card_chargeDeclinedLostCard", "lost_card"},
        {"pm_card_visa_chargeDeclinedLostCard", "lost_card"},
        {"pm_card_chargeDeclinedStolenCard", "stolen_card"},
        {"pm_card_chargeDeclinedExpiredCard", "expired_card"},
        {"pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"},
        {"pm_card_chargeDeclinedProcessingError", "processing_error"},
        {"pm_card_visa_chargeDeclinedProcessingError", "processing_error"},
        {"pm_card_chargeDeclinedNoSuchReason", "unknown_payment_method"},
        {"pm_card_visa ", "unknown_payment_method"},
        {"PM_CARD_VISA", "unknown_payment_method"},
        {"chargeDeclined", "unknown_payment_method"},
        {"", "unknown_payment_method"}};
    for (const auto& [method, code] : declines) {
        SCOPED_TRACE(method);
        SimulatorGateway gateway;
        const auto result = charge(gateway, request_for(method));
        EXPECT_EQ(result.outcome, GatewayOutcome::declined);
        EXPECT_EQ(result.failure.code, code);
        EXPECT_FALSE(result.failure.detail.empty());
        EXPECT_EQ(gateway.total_captures(), 0);
    }
    for (const std::string method : {"pm_card_visa", "pm_card_mastercard"}) {
        SimulatorGateway gateway;
        EXPECT_EQ(charge(gateway, request_for(method)).outcome, GatewayOutcome::succeeded) << method;
    }
    for (const std::string method :
         {"pm_card_authenticationRequired", "pm_card_visa_authenticationRequired"}) {
        SimulatorGateway gateway;
        EXPECT_EQ(charge(gateway, request_for(method)).outcome, GatewayOutcome::requires_action) << method;
    }
}

TEST(SimulatorGateway, AnswersTheSameKeyTheSameAfterARestart) {
    for (const std::string method : {"pm_card_visa", "pm_card_chargeDeclined", "no such method"}) {
        SimulatorGateway before;
        SimulatorGateway after;
        const auto first = charge(before, request_for(method));
        const auto second = charge(after, request_for(method));
        EXPECT_EQ(first.outcome, second.outcome);
        EXPECT_EQ(first.provider_reference, second.provider_reference);
        EXPECT_EQ(first.failure, second.failure);
    }
}

TEST(SimulatorGateway, RefundsAPaymentFromBeforeARestart) {
    SimulatorGateway before;
    auto request = request_for("pm_card_visa");
    request.provider_reference = charge(before, request).provider_reference;
    request.idempotency_key = "refund-1";
    SimulatorGateway after;
    std::optional<GatewayResult> answer;
    after.refund(request, [&](GatewayResult result) { answer = std::move(result); });
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->outcome, GatewayOutcome::succeeded);
    EXPECT_FALSE(answer->all_refunded_minor) << "it does not know what went back before";
    EXPECT_EQ(after.total_refunds(), 1);
}

TEST(SimulatorGateway, CountsCapturesPerKey) {
    SimulatorGateway gateway;
    for (int i = 0; i < 3; ++i)
        (void)charge(gateway, request_for("pm_card_visa", "pay-a"));
    (void)charge(gateway, request_for("pm_card_chargeDeclined", "pay-b"));
    EXPECT_EQ(gateway.captures("pay-a"), 1);
    EXPECT_EQ(gateway.captures("pay-b"), 0);
    EXPECT_EQ(gateway.captures("pay-c"), 0);
    EXPECT_EQ(gateway.total_captures(), 1);
}

TEST(SimulatorGateway, ForgetsTheOldestAnswersAndNoOthers) {
    SimulatorGateway gateway({.remembered_answers = 2});
    for (const std::string key : {"pay-1", "pay-2", "pay-3"}) {
        (void)charge(gateway, request_for("pm_card_visa", key));
    }
    EXPECT_EQ(gateway.captures("pay-1"), 0);
    EXPECT_EQ(gateway.captures("pay-2"), 1);
    EXPECT_EQ(gateway.captures("pay-3"), 1);
}

TEST(SimulatorGateway, cancels_a_charge_that_it_has_forgotten) {
    SimulatorGateway before;
    auto request = request_for("pm_card_chargeDeclined");
    request.provider_reference = charge(before, request).provider_reference;
    request.idempotency_key = "release-1";
    SimulatorGateway after;
    std::optional<GatewayResult> answer;
    after.cancel(request, [&](GatewayResult result) { answer = std::move(result); });
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->outcome, GatewayOutcome::canceled);
}

TEST(SimulatorGateway, AnswersWhatStillWaitsWhenItIsDestroyed) {
    std::atomic<int> unknown = 0;
    {
        SimulatorGateway gateway({.latency = std::chrono::hours(1)});
        for (const std::string key : {"pay-1", "pay-2"}) {
            gateway.authorize(request_for("pm_card_visa", key), true, [&](const GatewayResult& result) {
                if (result.outcome == GatewayOutcome::unknown) ++unknown;
            });
        }
        EXPECT_EQ(unknown, 0);
    }
    EXPECT_EQ(unknown, 2);
}

}  // namespace
}  // namespace quittance::payments
