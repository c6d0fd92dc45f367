#include "payments/ledger_cursor.hpp"

#include <gtest/gtest.h>

namespace quittance::payments {
namespace {

TEST(LedgerCursorTest, IsReadAsItWasWritten) {
    const LedgerCursor cursor{1'800'000'000'000, 3, 17};
    EXPECT_EQ(to_text(cursor), "1800000000000.3.17");
    EXPECT_EQ(parse_ledger_cursor(to_text(cursor)), cursor);
}

TEST(LedgerCursorTest, WhatWasNotWrittenByUsIsNoCursor) {
    for (const auto* text : {"", ".", "1.2", "1.2.3.4", "1..3", "1.2.", "-1.2.3", "-0.0.0", "+1.2.3",
                             " 1.2.3", "1.2.3 ", "1.2.x", "1.2.9223372036854775808"}) {
        EXPECT_FALSE(parse_ledger_cursor(text)) << text;
    }
}

}  // namespace
}  // namespace quittance::payments
