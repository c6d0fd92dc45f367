// The database's own word on orders, which holds whatever the code does.
#include <gtest/gtest.h>

#include "orders/order_store.hpp"
#include "tests/support/borders.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::orders {
namespace {

TEST(OrderConstraintsTest, amounts_and_states_that_cannot_be_are_refused) {
    const test_support::TestDatabase database(db::orders_migrations());
    const auto session = database.connect();
    const OrderRequest request{*UserId::parse("01890000-0000-7000-8000-000000000002"),
                               Actor::customer,
                               {{"mug", 2, {}}},
                               "pm_card_visa"};
    const Products products{{"mug", {"mug", "Ceramic mug", {1250, *Currency::parse("EUR")}, true}}};
    const auto placed =
        place_order(request, products, *OrderId::parse("01890000-0000-7000-8000-000000000001"),
                    timestamp_from_ms(1'700'000'000'000));
    OrderStore(session->dialect()).insert(*session, std::vector{placed->after});
    test_support::expect_borders(
        *session, "orders",
        {
            {"captured_amount = total_amount", "captured_amount = total_amount + 1"},
            {"captured_amount = 0", "captured_amount = -1"},
            {"captured_amount = 100, refunded_amount = 100", "captured_amount = 100, refunded_amount = 101"},
            {"refunded_amount = 0", "refunded_amount = -1"},
            {"captured_amount = 100, refund_reserved = 100", "captured_amount = 100, refund_reserved = 101"},
            {"refund_reserved = 0", "refund_reserved = -1"},
            {"status = 'PAID'", "status = 'LOST'"},
            {"payment_status = 'UNKNOWN'", "payment_status = 'LOST'"},
            {"currency = 'USD'", "currency = 'US'"},
            {"payment_attempt = 1", "payment_attempt = 0"},
            {"payment_sequence = 0", "payment_sequence = -1"},
            {"version = 1", "version = 0"},
        });
}

}  // namespace
}  // namespace quittance::orders
