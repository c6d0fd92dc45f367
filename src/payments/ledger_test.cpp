#include "payments/ledger.hpp"

#include <stdexcept>

#include <gmock/gmock.h>

#include "payments/ledger_chain.hpp"

namespace quittance::payments {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Currency eur = *Currency::parse("EUR");

Payment payment(std::int64_t captured_minor, std::int64_t refunded_minor) {
    Payment one;
    one.id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
    one.amount = {1000, eur};
    one.captured_minor = captured_minor;
    one.refunded_minor = refunded_minor;
    one.version = 3;
    one.updated_at = timestamp_from_ms(1'800'000'000'000);
    return one;
}

Posting posting(Movement movement, Account account, std::int64_t amount_minor) {
    const Payment of = payment(0, 0);
    return {of.id, 3, movement, account, {amount_minor, eur}, of.updated_at};
}

TEST(Ledger, ACaptureMovesTheAmountFromSalesToWhatTheProviderHolds) {
    EXPECT_THAT(postings(payment(0, 0), payment(800, 0)),
                ElementsAre(posting(Movement::capture, Account::provider_clearing, 800),
                            posting(Movement::capture, Account::sales, -800)));
}

TEST(Ledger, ARefundMovesItFromTheProviderToRefunds) {
    EXPECT_THAT(postings(payment(800, 100), payment(800, 350)),
                ElementsAre(posting(Movement::refund, Account::refunds, 250),
                            posting(Movement::refund, Account::provider_clearing, -250)));
}

TEST(Ledger, WhatIsLearnedAtOnceIsPostedAtOnceAndSumsToZero) {
    const auto all = postings(payment(0, 0), payment(800, 300));
    ASSERT_EQ(all.size(), 4U);
    std::int64_t sum = 0;
    for (const Posting& one : all)
        sum += one.amount.minor;
    EXPECT_EQ(sum, 0);
}

TEST(Ledger, WithoutAMovementNothingIsPosted) {
    EXPECT_THAT(postings(payment(800, 100), payment(800, 100)), IsEmpty());
}

TEST(Ledger, MoneyThatVanishesIsNoticed) {
    EXPECT_THROW(static_cast<void>(postings(payment(800, 100), payment(700, 100))), std::logic_error);
    EXPECT_THROW(static_cast<void>(postings(payment(800, 100), payment(800, 0))), std::logic_error);
}

TEST(Ledger, AccountsAndMovementsComeBackFromTheirNames) {
    for (const Account account : {Account::provider_clearing, Account::sales, Account::refunds})
        EXPECT_EQ(parse_account(to_string(account)), account);
    for (const Movement movement : {Movement::capture, Movement::refund})
        EXPECT_EQ(parse_movement(to_string(movement)), movement);
    EXPECT_EQ(parse_account("cash"), std::nullopt);
    EXPECT_EQ(parse_movement("capture"), std::nullopt);
}

TEST(LedgerChain, EveryColumnAndTheEntryBeforeAreUnderTheSeal) {
    const LedgerEntry entry{
        1, 2, "019ab000-0000-7000-8000-000000000001", 3, "CAPTURE", "sales", "EUR", -800, 1'800'000'000'000,
        ""};
    const std::string seal = hash_after(first_hash(), entry);
    // The same text, hashed with another program (sha256sum).
    EXPECT_EQ(seal, "0f41a92b13a97e326fafc2fa5363413bd0c433c75f665b9cf9f20fda2061c694");
    const auto changed = [&](auto change) {
        LedgerEntry other = entry;
        change(other);
        return hash_after(first_hash(), other);
    };
    EXPECT_NE(changed([](LedgerEntry& other) { other.chain = 2; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.seq = 3; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.payment_id.back() = '2'; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.payment_version = 4; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.movement = "REFUND"; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.account = "refunds"; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.currency = "USD"; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.amount_minor = -801; }), seal);
    EXPECT_NE(changed([](LedgerEntry& other) { other.posted_at_ms += 1; }), seal);
    EXPECT_NE(hash_after(seal, entry), seal);
}

}  // namespace
}  // namespace quittance::payments
