// The database's own word on payments and refunds, which holds whatever the code does.
#include <gtest/gtest.h>

#include "payments/payment_test_world.hpp"
#include "tests/support/borders.hpp"

namespace quittance::payments {
namespace {

using test_support::expect_borders;

class PaymentConstraintsTest : public PaymentWorld {
protected:
    PaymentConstraintsTest() {
        publish(event_);
        settle();
    }
    db::Session& session() { return process->session; }

    const contracts::OrderCreated event_ = created();
};

TEST_F(PaymentConstraintsTest, AmountsCannotExceedWhatIsThere) {
    expect_borders(
        session(), "payments",
        {
            {"captured_amount = amount", "captured_amount = amount + 1"},
            {"captured_amount = 0", "captured_amount = -1"},
            {"refunded_amount = captured_amount", "refunded_amount = captured_amount + 1"},
            {"refunded_amount = 0", "refunded_amount = -1"},
            {"refunded_amount = 250, refund_reserved = 1000",
             "refunded_amount = 250, refund_reserved = 1001"},
            {"refund_reserved = 0", "refund_reserved = -1"},
            {"captured_amount = 800, capture_requested = 450, capture_key = 'k'",
             "captured_amount = 800, capture_requested = 451, capture_key = 'k'"},
            {"captured_amount = 0, capture_requested = 0", "captured_amount = 0, capture_requested = -1"},
        });
}

TEST_F(PaymentConstraintsTest, ACaptureThatIsAskedForHasAKeyAndOnlyThatOne) {
    expect_borders(session(), "payments",
                   {
                       {"captured_amount = 0, capture_requested = 1, capture_key = 'k'",
                        "captured_amount = 0, capture_requested = 1, capture_key = ''"},
                       {"capture_key = ''", "capture_key = 'k'"},
                       {"idempotency_key = 'k'", "idempotency_key = ''"},
                   });
}

TEST_F(PaymentConstraintsTest, StatesAndCountersAreThoseThatThereAre) {
    expect_borders(session(), "payments",
                   {
                       {"status = 'UNKNOWN'", "status = 'LOST'"},
                       {"currency = 'USD'", "currency = 'US'"},
                       {"attempt = 1", "attempt = 0"},
                       {"version = 1", "version = 0"},
                       {"captures = 0", "captures = -1"},
                       {"look_ups = 0", "look_ups = -1"},
                       {"cancel_requested = 1", "cancel_requested = 2"},
                       {"capture_at_once = 1", "capture_at_once = 2"},
                   });
}

TEST_F(PaymentConstraintsTest, ARefundMovesSomethingUnderAKeyOfItsOwn) {
    publish(refund_of(event_, 250));
    settle();
    expect_borders(session(), "refunds",
                   {
                       {"amount = 1", "amount = 0"},
                       {"state = 'FAILED'", "state = 'LOST'"},
                       {"idempotency_key = 'k'", "idempotency_key = ''"},
                   });
    publish(refund_of(event_, 250));
    settle();
    EXPECT_THROW(session().run("UPDATE refunds SET idempotency_key = 'k'"), StorageRejected);
}

TEST_F(PaymentConstraintsTest, AnOrderHasOnePaymentThatHoldsMoneyOrMay) {
    const auto other = created("pm_card_chargeDeclined");
    publish(other);
    settle();
    const std::string second_attempt = " WHERE order_id = '" + other.order_id.to_string() + "'";
    const std::string joined = "order_id = '" + event_.order_id.to_string() + "', attempt = 2";
    EXPECT_NO_THROW(session().run("UPDATE payments SET " + joined + second_attempt)) << "it has failed";
    EXPECT_THROW(session().run("UPDATE payments SET status = 'UNKNOWN' WHERE attempt = 2"), StorageRejected);
    EXPECT_THROW(session().run("UPDATE payments SET attempt = 1 WHERE attempt = 2"), StorageRejected);
}

}  // namespace
}  // namespace quittance::payments
