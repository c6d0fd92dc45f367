// The ledger in a real database: what payments post, and that nobody changes it afterwards.
#include "payments/ledger_store.hpp"

#include <map>
#include <set>
#include <string>
#include <thread>

#include <gmock/gmock.h>

#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

using testing::ElementsAre;

class LedgerStoreTest : public PaymentWorld {
protected:
    std::vector<LedgerEntry> entries_of(const OrderId& order_id, const LedgerCursor& after = {},
                                        std::int64_t limit = 100) {
        return ledger_.entries_of(process->reader, order_id, after, limit);
    }
    std::map<std::string, std::int64_t> balances() {
        std::map<std::string, std::int64_t> all;
        for (const Balance& balance : ledger_.balances(process->reader))
            all[balance.account + " " + balance.currency] = balance.amount_minor;
        return all;
    }

    const LedgerStore ledger_{process->session.dialect()};
};

std::vector<std::string> lines(const std::vector<LedgerEntry>& entries) {
    std::vector<std::string> all;
    for (const LedgerEntry& entry : entries)
        all.push_back(entry.movement + " " + entry.account + " " + std::to_string(entry.amount_minor));
    return all;
}

TEST_F(LedgerStoreTest, EveryMovementOfAPaymentIsPostedWithItsChange) {
    const auto event = created();
    publish(event);
    settle();
    publish(refund_of(event, 250));
    settle();
    publish(canceled(event));
    settle();
    EXPECT_THAT(lines(entries_of(event.order_id)),
                ElementsAre("CAPTURE provider_clearing 1250", "CAPTURE sales -1250", "REFUND refunds 250",
                            "REFUND provider_clearing -250", "REFUND refunds 1000",
                            "REFUND provider_clearing -1000"));
    const std::map<std::string, std::int64_t> expected{
        {"provider_clearing EUR", 0}, {"refunds EUR", 1250}, {"sales EUR", -1250}};
    EXPECT_EQ(balances(), expected);
}

TEST_F(LedgerStoreTest, WhatMovesNoMoneyPostsNothing) {
    const auto event = created("pm_card_chargeDeclined");
    publish(event);
    settle();
    EXPECT_TRUE(entries_of(event.order_id).empty());
    EXPECT_TRUE(balances().empty());
}

TEST_F(LedgerStoreTest, PagesFollowOneAnotherWithoutGapsOrRepetitions) {
    const auto event = created();
    publish(event);
    settle();
    for (int i = 0; i < 5; ++i) {
        publish(refund_of(event, 10));
        settle();
    }
    std::set<std::pair<std::int64_t, std::int64_t>> seen;
    LedgerCursor cursor;
    while (true) {
        const auto page = entries_of(event.order_id, cursor, 5);
        for (const LedgerEntry& entry : page)
            EXPECT_TRUE(seen.insert({entry.chain, entry.seq}).second) << entry.seq;
        if (page.size() < 5) break;
        cursor = {page.back().posted_at_ms, page.back().chain, page.back().seq};
    }
    EXPECT_EQ(seen.size(), 12U);
}

TEST_F(LedgerStoreTest, TheDatabaseRefusesToChangeOrRemoveAnEntry) {
    publish(created());
    settle();
    EXPECT_THROW(process->session.execute("UPDATE ledger_entries SET amount = amount + 1"), StorageRejected);
    EXPECT_THROW(process->session.execute("DELETE FROM ledger_entries"), StorageRejected);
    // Of no effect on the amounts where it is carried out, and no SQL on PostgreSQL.
    EXPECT_ANY_THROW(process->session.execute("REPLACE INTO ledger_entries SELECT * FROM ledger_entries"));
    EXPECT_EQ(balances()["sales EUR"], -1250);
}

TEST_F(LedgerStoreTest, SeveralWritersEachHaveAChainAndNoneIsTorn) {
    constexpr int writers = 4;
    constexpr int batches = 25;
    Payment before;
    before.id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
    before.amount = {10, *Currency::parse("EUR")};
    Payment after = before;
    after.captured_minor = 10;
    after.updated_at = clock.now();
    std::vector<std::thread> threads;
    for (int i = 0; i < writers; ++i) {
        threads.emplace_back([&] {
            db::Session session(database_.options());
            for (int batch = 0; batch < batches;) {
                try {
                    db::Transaction transaction(session);
                    ledger_.append(session, postings(before, after));
                    transaction.commit();
                    ++batch;
                } catch (const StorageConflict&) {
                    // Somebody was in the way; again, as the batcher does.
                } catch (const std::exception& failure) {
                    ADD_FAILURE() << failure.what();
                    return;
                }
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    std::int64_t entries = 0;
    for (const LedgerHead& head : ledger_.heads(process->reader)) {
        std::string hash = first_hash();
        const auto chain = ledger_.stretch(process->reader, head.chain, 1, head.seq);
        ASSERT_EQ(std::ssize(chain), head.seq);
        for (const LedgerEntry& entry : chain) {
            hash = hash_after(hash, entry);
            ASSERT_EQ(entry.hash, hash);
        }
        EXPECT_EQ(hash, head.hash);
        entries += head.seq;
    }
    EXPECT_EQ(entries, writers * batches * 2);
}

}  // namespace
}  // namespace quittance::payments
