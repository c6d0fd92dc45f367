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

TEST_F(PaymentConstraintsTest, what_is_wanted_has_bounds_and_what_was_seen_is_only_not_negative) {
    expect_borders(session(), "payments",
                   {
                       {"captured_amount = amount + 1", "captured_amount = -1"},
                       {"refunded_amount = captured_amount + 1", "refunded_amount = -1"},
                       {"refund_reserved = 0", "refund_reserved = -1"},
                       {"capture_requested = amount, capture_key = 'k'",
                        "capture_requested = amount + 1, capture_key = 'k'"},
                       {"capture_requested = 0", "capture_requested = -1"},
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
                       {"charge_sent = 1", "charge_sent = 2"},
                       {"provider_state = 'ABSENT'", "provider_state = 'LOST'"},
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

TEST_F(PaymentConstraintsTest, an_order_has_one_payment_that_is_not_ended) {
    const auto other = created("pm_card_chargeDeclined");
    publish(other);
    settle();
    const std::string second_attempt = " WHERE order_id = '" + other.order_id.to_string() + "'";
    const std::string joined = "order_id = '" + event_.order_id.to_string() + "', attempt = 2";
    EXPECT_THROW(session().run("UPDATE payments SET " + joined + second_attempt), StorageRejected);
    EXPECT_NO_THROW(session().run("UPDATE payments SET closed_at = 1, " + joined + second_attempt));
    EXPECT_NO_THROW(session().run("UPDATE payments SET status = 'CAPTURED' WHERE attempt = 2"))
        << "what has happened can always be stored";
    EXPECT_THROW(session().run("UPDATE payments SET attempt = 1 WHERE attempt = 2"), StorageRejected);
}

}  // namespace
}  // namespace quittance::payments
