#include "payments/reconciliation.hpp"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>

#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

class ReconciliationTest : public PaymentWorld {
protected:
    contracts::OrderCreated paid(const std::string& method = "pm_card_visa") {
        const auto event = created(method);
        publish(event);
        settle();
        return event;
    }
    Reconciliation run() { return reconcile(process->session, gateway, {}); }
    /// Charges the payment once more at the provider, and returns the charge's reference.
    std::string charge_beside(const Payment& payment, std::string key) {
        GatewayRequest request = gateway_request(payment, GatewayCall::authorize);
        request.idempotency_key = std::move(key);
        request.payment_method = "pm_card_visa";
        std::string reference;
        gateway.provider.authorize(
            request, true, [&](const GatewayResult& result) { reference = result.provider_reference; });
        return reference;
    }
    std::vector<DifferenceKind> kinds() {
        std::vector<DifferenceKind> all;
        for (const Difference& one : run().differences)
            all.push_back(one.kind);
        return all;
    }
};

TEST_F(ReconciliationTest, FindsNothingWhenBothSaysTheSame) {
    paid();
    const auto refunded = paid();
    publish(refund_of(refunded, 250));
    settle();
    const auto canceled_one = paid();
    publish(canceled(canceled_one));
    settle();
    paid("pm_card_chargeDeclined");
    paid("pm_card_authenticationRequired");
    const auto report = run();
    EXPECT_THAT(report.differences, IsEmpty());
    EXPECT_EQ(report.compared, 5);
    EXPECT_EQ(report.ledger_entries, 3 * 2 + 2 * 2);
}

TEST_F(ReconciliationTest, FindsMoneyThatMovedAtTheProviderOnly) {
    const auto event = paid();
    const Payment payment = payment_of(event.order_id);
    GatewayRequest request = gateway_request(payment, GatewayCall::look_up);
    request.amount.minor = 100;
    request.idempotency_key = "somebody in the dashboard";
    gateway.provider.refund(request, [](const GatewayResult&) {});
    const auto report = run();
    ASSERT_EQ(report.differences.size(), 1U);
    EXPECT_EQ(report.differences.front().kind, DifferenceKind::refunded_differs);
    EXPECT_EQ(report.differences.front().payment_id, payment.id.to_string());
    EXPECT_EQ(report.differences.front().detail, "here 0, at the provider 100");
}

TEST_F(ReconciliationTest, FindsMoneyThatIsInTheBooksOnly) {
    paid();
    process->session.run("UPDATE payments SET captured_amount = 1249");
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::amount_differs, DifferenceKind::ledger_differs));
}

TEST_F(ReconciliationTest, FindsWhatTheProviderHasNeverSeen) {
    paid();
    process->session.run("UPDATE payments SET provider_reference = 'gone'");
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::missing_at_provider, DifferenceKind::unknown_here));
}

TEST_F(ReconciliationTest, FindsAPaymentThatWasChargedTwiceUntilOneIsGivenBack) {
    const auto event = paid();
    const Payment payment = payment_of(event.order_id);
    const std::string second = charge_beside(payment, "another key");
    const auto report = run();
    ASSERT_EQ(report.differences.size(), 1U);
    EXPECT_EQ(report.differences.front().kind, DifferenceKind::charged_twice);
    EXPECT_EQ(report.differences.front().payment_id, payment.id.to_string());
    EXPECT_THAT(report.differences.front().detail, testing::HasSubstr(second));
    EXPECT_EQ(report.charges, 2);

    GatewayRequest back = gateway_request(payment, GatewayCall::look_up);
    back.provider_reference = second;
    back.idempotency_key = "given back by hand";
    gateway.provider.refund(back, [](const GatewayResult&) {});
    EXPECT_THAT(run().differences, IsEmpty());
}

TEST_F(ReconciliationTest, FindsTwoChargesOfAPaymentThatKnowsOfNone) {
    gateway.fates[GatewayCall::authorize] = {Fate::refuses};
    const auto event = paid();
    const Payment payment = payment_of(event.order_id);
    ASSERT_TRUE(payment.provider_reference.empty());
    charge_beside(payment, payment.idempotency_key);
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::unknown_here));
    charge_beside(payment, "another key");
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::unknown_here, DifferenceKind::charged_twice));
}

TEST_F(ReconciliationTest, FindsMoneyOfAPaymentThatWasDeclined) {
    const auto event = paid("pm_card_chargeDeclined");
    charge_beside(payment_of(event.order_id), "another key");
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::unknown_here));
}

TEST_F(ReconciliationTest, FindsMoneyWithoutAPaymentOfOurs) {
    const auto event = paid();
    Payment lost = payment_of(event.order_id);
    lost.id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
    charge_beside(lost, "pay-" + lost.id.to_string());
    const auto report = run();
    ASSERT_EQ(report.differences.size(), 1U);
    EXPECT_EQ(report.differences.front().kind, DifferenceKind::unknown_here);
    EXPECT_EQ(report.differences.front().payment_id, lost.id.to_string());
    EXPECT_TRUE(report.differences.front().order_id.empty());
}

TEST_F(ReconciliationTest, SaysWhenTheProviderDoesNotListItsCharges) {
    paid();
    gateway.lists_charges = false;
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::not_answered));
}

TEST_F(ReconciliationTest, FindsAnAuthorizationThatNobodyKnowsOf) {
    mode = CaptureMode::manual;
    process.reset();
    start();
    paid();
    EXPECT_THAT(kinds(), IsEmpty());
    process->session.run("UPDATE payments SET status = 'FAILED'");
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::state_differs));
}

TEST_F(ReconciliationTest, ListsWhatIsStuckAndLeavesWhatIsUnderWay) {
    gateway.fates[GatewayCall::authorize] = std::deque(200, Fate::loses_request);
    gateway.fates[GatewayCall::look_up] = std::deque(200, Fate::loses_request);
    paid();
    EXPECT_THAT(kinds(), IsEmpty());
    EXPECT_EQ(run().under_way, 1);
    pass(std::chrono::days(4), minutes(30));
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::stuck));
}

TEST_F(ReconciliationTest, SaysWhenTheProviderDoesNotAnswer) {
    paid();
    gateway.fates[GatewayCall::look_up] = {Fate::loses_request, Fate::loses_request};
    EXPECT_THAT(kinds(), ElementsAre(DifferenceKind::not_answered));
}

TEST_F(ReconciliationTest, DoesNotSearchForWhatShouldNotBeThere) {
    gateway.fates[GatewayCall::authorize] = {Fate::refuses};
    paid();
    gateway.fates[GatewayCall::look_up] = {Fate::loses_request, Fate::loses_request};
    const auto report = run();
    EXPECT_EQ(report.compared, 1);
    EXPECT_THAT(report.differences, IsEmpty());
}

TEST_F(ReconciliationTest, LeavesPaymentsOfAnotherProviderOut) {
    paid();
    process->session.run("UPDATE payments SET provider = 'other'");
    const auto report = run();
    EXPECT_EQ(report.of_others, 1);
    EXPECT_EQ(report.compared, 0);
    EXPECT_THAT(report.differences, IsEmpty());
}

}  // namespace
}  // namespace quittance::payments
