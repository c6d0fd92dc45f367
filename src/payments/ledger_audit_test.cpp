// Whoever changes anything in the stored ledger is found out.
#include "payments/ledger_audit.hpp"

#include <string>

#include <gmock/gmock.h>

#include "payments/ledger_store.hpp"
#include "payments/payment_test_world.hpp"
#include "tests/support/database_server.hpp"

namespace quittance::payments {
namespace {

using testing::Contains;
using testing::Field;
using testing::IsEmpty;

class LedgerAuditTest : public PaymentWorld {
protected:
    LedgerAuditTest() {
        for (int i = 0; i < 3; ++i) {
            const auto event = created();
            publish(event);
            settle();
            publish(refund_of(event, 250));
            settle();
        }
        // What an intruder with the owner's rights would begin with.
        const bool on_table = test_support::engine_under_test() == db::Engine::postgresql;
        const std::string tail = on_table ? " ON ledger_entries" : "";
        session().run("DROP TRIGGER ledger_entries_never_change" + tail);
        if (!on_table) session().run("DROP TRIGGER ledger_entries_never_go");
    }

    db::Session& session() { return process->session; }
    LedgerAudit audit() { return audit_ledger(session(), 50); }
    void run(const std::string& sql) { session().run(sql); }

    /// Makes the change, expects the audit to find it, takes it back. What the database itself refuses is as
    /// good.
    void expect_found(const std::string& change, const std::string& revert) {
        SCOPED_TRACE(change);
        try {
            run(change);
        } catch (const StorageRejected&) {
            ++refused_;
            return;
        }
        ++made_;
        EXPECT_FALSE(audit().findings.empty());
        run(revert);
        ASSERT_THAT(audit().findings, IsEmpty());
    }

    /// Adds 1, 10, 100, ... to a number: each digit once.
    void flip_number(const std::string& table, const std::string& column, const std::string& where,
                     std::int64_t value) {
        std::int64_t power = 1;
        do {
            const std::string by = std::to_string(power);
            const std::string update = "UPDATE " + table + " SET " + column + " = " + column;
            expect_found(update + " + " + by + where, update + " - " + by + where);
            power *= 10;
        } while (power <= std::abs(value));
    }

    /// Changes each digit of a text, one at a time.
    void flip_text(const std::string& table, const std::string& column, const std::string& where,
                   const std::string& value) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            if (value[i] < '0' || value[i] > '9') continue;
            std::string flipped = value;
            flipped[i] = value[i] == '9' ? '0' : static_cast<char>(value[i] + 1);
            const std::string update = "UPDATE " + table + " SET " + column + " = '";
            expect_found(update + flipped + "'" + where, update + value + "'" + where);
        }
    }

    static std::string at(const LedgerEntry& entry) {
        return " WHERE chain = " + std::to_string(entry.chain) + " AND seq = " + std::to_string(entry.seq);
    }

    [[nodiscard]] std::vector<LedgerEntry> chain() {
        const LedgerStore store(session().dialect());
        return store.stretch(session(), 1, 1, 100);
    }

    int made_ = 0;
    int refused_ = 0;
};

TEST_F(LedgerAuditTest, WhatWasPostedHolds) {
    const LedgerAudit report = audit();
    EXPECT_THAT(report.findings, IsEmpty());
    EXPECT_EQ(report.entries, 12);
}

TEST_F(LedgerAuditTest, ASingleFlippedDigitInAnyColumnOfAnyEntryIsFound) {
    const auto entries = chain();
    ASSERT_EQ(entries.size(), 12U);
    // The first, one in the middle and the last: the tests of the others would say the same.
    for (const std::size_t i : {std::size_t{0}, std::size_t{6}, std::size_t{11}}) {
        const LedgerEntry& entry = entries[i];
        flip_number("ledger_entries", "amount", at(entry), entry.amount_minor);
        flip_number("ledger_entries", "posted_at", at(entry), entry.posted_at_ms);
        flip_number("ledger_entries", "payment_version", at(entry), entry.payment_version);
        flip_text("ledger_entries", "payment_id", at(entry), entry.payment_id);
        flip_text("ledger_entries", "hash", at(entry), entry.hash);
        const std::string update = "UPDATE ledger_entries SET ";
        const std::string seq = std::to_string(entry.seq);
        expect_found(update + "seq = seq + 100" + at(entry),
                     update + "seq = " + seq + " WHERE chain = 1 AND seq = " + seq + " + 100");
        expect_found(update + "chain = 2" + at(entry), update + "chain = 1 WHERE chain = 2 AND seq = " + seq);
        expect_found(update + "currency = 'USD'" + at(entry), update + "currency = 'EUR'" + at(entry));
        const std::string other_movement = entry.movement == "CAPTURE" ? "REFUND" : "CAPTURE";
        expect_found(update + "movement = '" + other_movement + "'" + at(entry),
                     update + "movement = '" + entry.movement + "'" + at(entry));
        const std::string other_account = entry.account == "sales" ? "refunds" : "sales";
        expect_found(update + "account = '" + other_account + "'" + at(entry),
                     update + "account = '" + entry.account + "'" + at(entry));
    }
    EXPECT_GT(made_, 200) << "and the database refused " << refused_;
}

TEST_F(LedgerAuditTest, AFlippedDigitInAHeadIsFound) {
    const LedgerStore store(session().dialect());
    for (const LedgerHead& head : store.heads(session())) {
        if (head.chain > 2) continue;  // One that is used, and one that is not.
        const std::string where = " WHERE chain = " + std::to_string(head.chain);
        flip_number("ledger_heads", "seq", where, head.seq);
        flip_text("ledger_heads", "hash", where, head.hash);
    }
    EXPECT_GT(made_, 60);
}

TEST_F(LedgerAuditTest, AFlippedDigitInWhatAPaymentHasMovedIsFound) {
    for (const char* column : {"captured_amount", "refunded_amount"}) {
        for (const std::int64_t by : {1, 10, 100}) {
            const std::string update = std::string("UPDATE payments SET ") + column + " = " + column;
            expect_found(update + " - " + std::to_string(by), update + " + " + std::to_string(by));
        }
    }
    EXPECT_EQ(made_, 6);
}

TEST_F(LedgerAuditTest, AMissingEntryIsFoundWhereverItStood) {
    for (const std::int64_t seq : {12, 6, 1}) {
        run("DELETE FROM ledger_entries WHERE chain = 1 AND seq = " + std::to_string(seq));
        EXPECT_THAT(audit().findings, Contains(Field(&LedgerFinding::kind, "entry_missing"))) << seq;
    }
}

TEST_F(LedgerAuditTest, TwoEntriesThatChangedPlacesAreFound) {
    run("UPDATE ledger_entries SET seq = 999 WHERE chain = 1 AND seq = 5");
    run("UPDATE ledger_entries SET seq = 5 WHERE chain = 1 AND seq = 6");
    run("UPDATE ledger_entries SET seq = 6 WHERE chain = 1 AND seq = 999");
    EXPECT_THAT(audit().findings, Contains(Field(&LedgerFinding::kind, "entry_altered")));
}

TEST_F(LedgerAuditTest, AForgedMovementThatFitsItsChainIsFoundByWhatThePaymentsSay) {
    const LedgerStore store(session().dialect());
    Posting posting;
    posting.payment_id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
    posting.amount = {500, *Currency::parse("EUR")};
    posting.posted_at = clock.now();
    Posting other = posting;
    other.account = Account::sales;
    other.amount.minor = -500;
    {
        db::Transaction transaction(session());
        store.append(session(), std::vector{posting, other});
        transaction.commit();
    }
    EXPECT_THAT(audit().findings, Contains(Field(&LedgerFinding::kind, "payment_differs")));
}

TEST_F(LedgerAuditTest, AMovementBetweenOtherAccountsIsFoundThoughItSumsToZero) {
    const LedgerStore store(session().dialect());
    for (const Movement movement : {Movement::capture, Movement::refund}) {
        Posting posting;
        posting.payment_id = *PaymentId::parse(chain().front().payment_id);
        posting.movement = movement;
        posting.account = Account::sales;
        posting.amount = {500, *Currency::parse("EUR")};
        posting.posted_at = clock.now();
        Posting other = posting;
        other.account = movement == Movement::capture ? Account::refunds : Account::provider_clearing;
        other.amount.minor = -500;
        db::Transaction transaction(session());
        store.append(session(), std::vector{posting, other});
        transaction.commit();
        const auto findings = audit().findings;
        ASSERT_EQ(findings.size(), movement == Movement::capture ? 1U : 2U);
        EXPECT_EQ(findings.back().kind, "account_differs");
        EXPECT_NE(findings.back().detail.find(to_string(movement)), std::string::npos);
    }
}

TEST_F(LedgerAuditTest, EntriesBeforeTheFirstOfAChainAreFound) {
    switch (test_support::engine_under_test()) {
        case db::Engine::sqlite: run("PRAGMA ignore_check_constraints = 1"); break;
        case db::Engine::postgresql:
            run("ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_seq_check");
            break;
        case db::Engine::mysql:
            // MySQL makes a constraint of the table of it.
            run(test_support::server_under_test() == test_support::ServerKind::mysql
                    ? "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_chk_2"
                    : "ALTER TABLE ledger_entries MODIFY seq BIGINT NOT NULL");
            break;
    }
    const std::string columns = "payment_id, payment_version, movement, currency, posted_at, hash";
    for (const std::string changed : {"0, 'sales', 500", "-1, 'refunds', -500"}) {
        run("INSERT INTO ledger_entries (chain, seq, account, amount, " + columns + ") SELECT chain, " +
            changed + ", " + columns + " FROM ledger_entries WHERE chain = 1 AND seq = 1");
    }
    const auto findings = audit().findings;
    ASSERT_EQ(findings.size(), 2U) << "and nothing else tells of them";
    EXPECT_EQ(findings.front().kind, "entry_stray");
    EXPECT_EQ(findings.front().detail, "entry -1 of chain 1 stands before the first of its chain");
}

TEST_F(LedgerAuditTest, AMovementThatDoesNotSumToZeroIsFound) {
    const LedgerStore store(session().dialect());
    Posting posting;
    posting.payment_id = *PaymentId::parse("019ab000-0000-7000-8000-000000000001");
    posting.amount = {500, *Currency::parse("EUR")};
    posting.posted_at = clock.now();
    db::Transaction transaction(session());
    store.append(session(), std::vector{posting});
    transaction.commit();
    EXPECT_THAT(audit().findings, Contains(Field(&LedgerFinding::kind, "unbalanced")));
}

}  // namespace
}  // namespace quittance::payments
