#include "payments/payment_store.hpp"

#include <gtest/gtest.h>

#include "db/migrate.hpp"
#include "payments/payment_testing.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::payments {
namespace {

class PaymentStoreTest : public testing::Test {
protected:
    /// Stores the payment in a transaction of its own, and reads it again.
    template <class Store>
    Payment stored_by(Store store) {
        {
            db::Transaction transaction(*session_);
            store();
            transaction.commit();
        }
        const auto found = store_.find(*session_, std::vector{Visible<PaymentId>{payment_id, std::nullopt}});
        return found.at(0);
    }

    test_support::TestDatabase database_{db::payments_migrations()};
    std::unique_ptr<db::Session> session_ = database_.connect();
    const PaymentStore store_{session_->dialect()};
};

Payment captured(Payment payment) {
    const Asked asked{.call = GatewayCall::authorize, .is_first_try = true, .seen_version = payment.version};
    const GatewayResult answer{.outcome = GatewayOutcome::succeeded,
                               .provider_reference = "pi_1",
                               .captured_minor = payment.amount.minor};
    return apply_answer(payment, asked, answer, spare_id, start + seconds(1)).after;
}

TEST_F(PaymentStoreTest, what_a_charge_changes_is_stored_as_a_whole) {
    const Payment begun = payment_in(PaymentStatus::pending);
    const Payment after = captured(begun);
    ASSERT_NE(after, begun);
    ASSERT_TRUE(PaymentStore::is_change_by_charge(begun, after));
    EXPECT_EQ(stored_by([&] { store_.insert_new(*session_, std::vector{begun}); }), begun);
    EXPECT_EQ(stored_by([&] { store_.update_charge(*session_, std::vector{after}); }), after);
}

TEST_F(PaymentStoreTest, every_other_change_is_stored_as_a_whole_by_update) {
    const Payment begun = payment_in(PaymentStatus::pending);
    EXPECT_EQ(stored_by([&] { store_.insert_new(*session_, std::vector{begun}); }), begun);
    Payment other = captured(begun);
    const auto expect_stored = [&](const char* what) {
        EXPECT_FALSE(PaymentStore::is_change_by_charge(begun, other)) << what;
        EXPECT_EQ(stored_by([&] { store_.update(*session_, std::vector{other}); }), other) << what;
    };
    other.failure = {"card_declined", "The card was declined."};
    expect_stored("failure");
    other.refunded_minor = 1;
    other.refund_reserved_minor = 2;
    expect_stored("refunds");
    other.captures = 3;
    other.capture_requested_minor = 4;
    other.capture_key = "capture-1";
    expect_stored("captures");
    other.closed_at = start + seconds(5);
    other.cancel_requested = true;
    other.cancel_requested_at = start + seconds(6);
    expect_stored("what is wanted");
    other.charge_sent = false;
    other.stuck_since = start + seconds(7);
    other.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    expect_stored("the rest");
}

}  // namespace
}  // namespace quittance::payments
