#include "payments/ledger_audit.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "payments/ledger_store.hpp"

namespace quittance::payments {

namespace {

constexpr std::int64_t entries_per_page = 10'000;

class Audit {
public:
    Audit(db::Session& session, std::size_t limit)
        : session_(session), store_(session.dialect()), limit_(limit) {}

    LedgerAudit run() {
        const auto heads = store_.heads(session_);
        for (const LedgerHead& head : heads)
            follow(head);
        find_strays(heads);
        compare_with_payments();
        return std::move(report_);
    }

private:
    /// The lines of one movement stand side by side and sum to zero.
    struct Open {
        std::string movement;
        std::string currency;
        std::int64_t sum = 0;
    };

    void follow(const LedgerHead& head) {
        std::string hash = first_hash();
        std::int64_t expected = 1;
        open_.reset();
        while (expected <= head.seq) {
            const std::int64_t last = std::min(head.seq, expected + entries_per_page - 1);
            const auto page = store_.stretch(session_, head.chain, expected, last);
            for (const LedgerEntry& entry : page) {
                if (entry.seq != expected) {
                    note("entry_missing", where(head.chain, expected) + " is not there");
                    return;
                }
                if (entry.hash != hash_after(hash, entry)) {
                    note("entry_altered", where(head.chain, entry.seq) +
                                              " is not what was posted, or does not follow the one before");
                }
                hash = entry.hash;
                balance(entry);
                ++expected;
                ++report_.entries;
            }
            if (page.empty() || page.back().seq < last) {
                note("entry_missing", where(head.chain, expected) + " is not there");
                return;
            }
        }
        close();
        if (hash != head.hash) {
            note("head_altered",
                 "the head of chain " + std::to_string(head.chain) + " is not the hash of its last entry");
        }
    }

    void balance(const LedgerEntry& entry) {
        // Else a movement that sums to zero could leave out what the provider holds.
        const std::string_view other = entry.movement == to_string(Movement::capture)
                                           ? to_string(Account::sales)
                                           : to_string(Account::refunds);
        if (entry.account != to_string(Account::provider_clearing) && entry.account != other) {
            note("account_differs",
                 where(entry.chain, entry.seq) + " posts a " + entry.movement + " to " + entry.account);
        }
        const std::string movement =
            entry.payment_id + " version " + std::to_string(entry.payment_version) + " " + entry.movement;
        if (open_ && (open_->movement != movement || open_->currency != entry.currency)) close();
        if (!open_) open_ = Open{movement, entry.currency, 0};
        open_->sum += entry.amount_minor;
    }

    void close() {
        if (open_ && open_->sum != 0) {
            note("unbalanced", "the movement " + open_->movement + " sums to " + std::to_string(open_->sum) +
                                   " " + open_->currency + ", and not to 0");
        }
        open_.reset();
    }

    /// Entries that no head vouches for: of a chain without a head, behind the head as it is now, or
    /// before the first.
    void find_strays(const std::vector<LedgerHead>& heads) {
        static const std::string sql =
            "SELECT ledger_entries.chain, MAX(ledger_entries.seq) FROM ledger_entries LEFT JOIN ledger_heads "
            "ON ledger_heads.chain = ledger_entries.chain WHERE ledger_heads.chain IS NULL OR "
            "ledger_entries.seq > ledger_heads.seq GROUP BY ledger_entries.chain";
        for (const auto& [chain, seq] : session_.select<std::int64_t, std::int64_t>(sql))
            note("head_altered", where(chain, seq) + " stands behind the head of its chain");
        // No chain begins before its first entry, so nobody follows one that stands there.
        static const std::string before_the_first =
            "SELECT chain, seq FROM ledger_entries WHERE seq < 1 ORDER BY chain, seq LIMIT :rows";
        const auto strays = session_.select<std::int64_t, std::int64_t>(
            before_the_first, {static_cast<std::int64_t>(limit_ + 1)});
        for (const auto& [chain, seq] : strays)
            note("entry_stray", where(chain, seq) + " stands before the first of its chain");
        if (heads.empty()) note("head_altered", "the heads of the chains are gone");
    }

    /// One statement, so that it sees one moment.
    void compare_with_payments() {
        static const std::string sql =
            "SELECT ids.id, COALESCE(payments.captured_amount, 0), COALESCE(payments.refunded_amount, 0), "
            "CAST(COALESCE(posted.captured, 0) AS CHAR(40)), CAST(COALESCE(posted.refunded, 0) AS CHAR(40)) "
            "FROM (SELECT id FROM payments UNION SELECT payment_id FROM ledger_entries) AS ids "
            "LEFT JOIN payments ON payments.id = ids.id LEFT JOIN "
            "(SELECT payment_id, "
            "SUM(CASE WHEN movement = 'CAPTURE' AND account = 'provider_clearing' THEN amount ELSE 0 END) "
            "AS captured, "
            "SUM(CASE WHEN movement = 'REFUND' AND account = 'refunds' THEN amount ELSE 0 END) AS refunded "
            "FROM ledger_entries GROUP BY payment_id) AS posted ON posted.payment_id = ids.id "
            "WHERE payments.id IS NULL OR COALESCE(posted.captured, 0) <> payments.captured_amount OR "
            "COALESCE(posted.refunded, 0) <> payments.refunded_amount LIMIT :rows";
        const auto differing =
            session_.select<std::string, std::int64_t, std::int64_t, std::string, std::string>(
                sql, {static_cast<std::int64_t>(limit_ + 1)});
        for (const auto& [id, captured, refunded, posted_captured, posted_refunded] : differing) {
            note("payment_differs", "payment " + id + " has captured " + std::to_string(captured) +
                                        " and refunded " + std::to_string(refunded) + "; posted are " +
                                        trimmed(posted_captured) + " and " + trimmed(posted_refunded));
        }
    }

    /// PostgreSQL fills CHAR with spaces.
    static std::string trimmed(const std::string& text) { return text.substr(0, text.find(' ')); }

    static std::string where(std::int64_t chain, std::int64_t seq) {
        return "entry " + std::to_string(seq) + " of chain " + std::to_string(chain);
    }

    void note(std::string kind, std::string detail) {
        if (report_.findings.size() >= limit_) {
            report_.more = true;
            return;
        }
        report_.findings.push_back({std::move(kind), std::move(detail)});
    }

    db::Session& session_;
    const LedgerStore store_;
    const std::size_t limit_;
    LedgerAudit report_;
    std::optional<Open> open_;
};

}  // namespace

LedgerAudit audit_ledger(db::Session& session, std::size_t limit) {
    return Audit(session, limit).run();
}

}  // namespace quittance::payments
