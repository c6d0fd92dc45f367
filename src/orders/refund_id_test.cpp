#include "orders/refund_id.hpp"

#include <gtest/gtest.h>

namespace quittance::orders {
namespace {

const OrderId order = *OrderId::parse("01890000-0000-7000-8000-000000000001");
const UserId user = *UserId::parse("01890000-0000-7000-8000-000000000002");

TEST(RefundIdTest, is_the_same_for_the_same_user_order_and_key) {
    // Computed with Python's hashlib. It must never change: that would pay out again what was paid out.
    EXPECT_EQ(refund_id_of(user, order, "return-4711").to_string(), "75b174de-58a9-8af7-95b9-2203ad783691");
}

TEST(RefundIdTest, is_another_for_another_user_order_or_key) {
    const RefundId id = refund_id_of(user, order, "key");
    EXPECT_NE(refund_id_of(user, order, "key "), id);
    EXPECT_NE(refund_id_of(UserId(order.bytes()), order, "key"), id);
    EXPECT_NE(refund_id_of(user, OrderId(user.bytes()), "key"), id);
    EXPECT_NE(refund_id_of(UserId(order.bytes()), OrderId(user.bytes()), "key"), id);
}

TEST(RefundIdTest, is_a_uuid_of_version_8) {
    for (int i = 0; i < 100; ++i) {
        const UuidBytes bytes = refund_id_of(user, order, std::to_string(i)).bytes();
        EXPECT_EQ(bytes[6] >> 4, 8);
        EXPECT_EQ(bytes[8] >> 6, 2);
    }
}

}  // namespace
}  // namespace quittance::orders
