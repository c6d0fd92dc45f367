#include "payments/ledger_audit.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "payments/ledger_store.hpp"

namespace quittance::payments {

namespace {

/// A page of either takes some tens of milliseconds and a few megabytes.
constexpr std::int64_t entries_per_page = 5'000;
constexpr std::int64_t payments_per_page = 2'000;

/// What the entries of one payment sum to. As text: the sum of forged entries may be larger than any amount.
struct Sums {
    std::string captured = "0";
    std::string refunded = "0";
};

/// PostgreSQL fills CHAR with spaces.
std::string trimmed(const std::string& text) {
    return text.substr(0, text.find(' '));
}

const std::string summed =
    "CAST(COALESCE(SUM(CASE WHEN movement = 'CAPTURE' AND account = 'provider_clearing' THEN amount ELSE 0 "
    "END), 0) AS CHAR(40)), "
    "CAST(COALESCE(SUM(CASE WHEN movement = 'REFUND' AND account = 'refunds' THEN amount ELSE 0 END), 0) AS "
    "CHAR(40))";

class Audit {
public:
    Audit(db::Session& session, std::size_t limit, const ReportAuditProgress& progress)
        : session_(session),
          store_(session.dialect()),
          limit_(limit),
          progress_(progress),
          // No stored id comes before it; but for one that was put there, which is looked at by itself.
          first_id_(session.dialect().engine() == db::Engine::postgresql
                        ? "00000000-0000-0000-0000-000000000000"
                        : "") {}

    LedgerAudit run() {
        const auto heads = store_.heads(session_);
        for (const LedgerHead& head : heads)
            total_ += head.seq;
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
            tell({"entries", report_.entries, total_});
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
        std::set<std::int64_t> chains;
        for (const LedgerHead& head : heads) {
            chains.insert(head.chain);
            find_behind_head(head.chain);
            find_before_first(head.chain);
        }
        if (heads.empty()) note("head_altered", "the heads of the chains are gone");
        // From one chain to the next, a look into the index each.
        static const std::string next_chain =
            "SELECT chain FROM ledger_entries WHERE chain > :chain ORDER BY chain LIMIT 1";
        std::int64_t last = std::numeric_limits<std::int64_t>::min();
        while (!report_.more) {
            const auto next = session_.select<std::int64_t>(next_chain, {last});
            if (next.empty()) return;
            last = std::get<0>(next.front());
            if (chains.contains(last)) continue;
            find_before_first(last);
            find_last_without_head(last);
        }
    }

    /// The head is read in the same statement: entries and heads grow meanwhile.
    void find_behind_head(std::int64_t chain) {
        static const std::string sql =
            "SELECT seq FROM ledger_entries WHERE chain = :chain AND seq > (SELECT seq FROM ledger_heads "
            "WHERE chain = :same_chain) ORDER BY chain DESC, seq DESC LIMIT 1";
        for (const auto& [seq] : session_.select<std::int64_t>(sql, {chain, chain}))
            note("head_altered", where(chain, seq) + " stands behind the head of its chain");
    }

    void find_last_without_head(std::int64_t chain) {
        static const std::string sql =
            "SELECT seq FROM ledger_entries WHERE chain = :chain AND seq >= 1 AND NOT EXISTS (SELECT 1 FROM "
            "ledger_heads WHERE chain = :same_chain) ORDER BY chain DESC, seq DESC LIMIT 1";
        for (const auto& [seq] : session_.select<std::int64_t>(sql, {chain, chain}))
            note("head_altered", where(chain, seq) + " stands in a chain without a head");
    }

    /// No chain begins before its first entry, so nobody follows one that stands there.
    void find_before_first(std::int64_t chain) {
        static const std::string sql =
            "SELECT seq FROM ledger_entries WHERE chain = :chain AND seq < 1 ORDER BY chain, seq LIMIT :rows";
        const auto strays =
            session_.select<std::int64_t>(sql, {chain, static_cast<std::int64_t>(limit_ + 1)});
        for (const auto& [seq] : strays)
            note("entry_stray", where(chain, seq) + " stands before the first of its chain");
    }

    /// Goes through payments and entries side by side, in the order of the payments' ids. The two are read
    /// one after the other, so a payment that moved in between may seem to differ: it is compared again.
    void compare_with_payments() {
        compare_again(first_id_);
        std::string after = first_id_;
        while (!report_.more) {
            auto payments = payments_behind(after);
            std::optional<std::string> until;
            if (std::ssize(payments) == payments_per_page) until = std::get<0>(payments.back());
            const auto posted = sums_between(after, until);
            // Payments without an entry are few, so are entries without a payment; but either may be all.
            const bool more_posted = std::ssize(posted) == payments_per_page;
            if (more_posted) until = std::get<0>(posted.back());
            const auto past = [&](const std::string& id) { return until && id > *until; };

            auto entry = posted.begin();
            const auto compare_strays = [&](const std::string& before) {
                for (; entry != posted.end() && std::get<0>(*entry) < before && !report_.more; ++entry)
                    compare_again(std::get<0>(*entry));
            };
            for (const auto& [id, captured, refunded] : payments) {
                if (past(id) || report_.more) break;
                compare_strays(id);
                Sums sums;
                if (entry != posted.end() && std::get<0>(*entry) == id) {
                    sums = {trimmed(std::get<1>(*entry)), trimmed(std::get<2>(*entry))};
                    ++entry;
                }
                ++report_.payments;
                const bool same =
                    sums.captured == std::to_string(captured) && sums.refunded == std::to_string(refunded);
                if (!same) compare_again(id);
            }
            for (; entry != posted.end() && !report_.more; ++entry)
                compare_again(std::get<0>(*entry));
            tell({"payments", report_.payments, 0});
            if (!until) return;
            after = *until;
        }
    }

    using PaymentRow = std::tuple<std::string, std::int64_t, std::int64_t>;
    std::vector<PaymentRow> payments_behind(const std::string& after) {
        static const std::string sql =
            "SELECT id, captured_amount, refunded_amount FROM payments WHERE id > :after ORDER BY id LIMIT " +
            std::to_string(payments_per_page);
        return session_.select<std::string, std::int64_t, std::int64_t>(sql, {after});
    }

    using SumsRow = std::tuple<std::string, std::string, std::string>;
    std::vector<SumsRow> sums_between(const std::string& after, const std::optional<std::string>& until) {
        static const std::string begin =
            "SELECT payment_id, " + summed + " FROM ledger_entries WHERE payment_id > :after ";
        static const std::string end =
            "GROUP BY payment_id ORDER BY payment_id LIMIT " + std::to_string(payments_per_page);
        static const std::string to_the_last = begin + end;
        static const std::string to_one = begin + "AND payment_id <= :until " + end;
        if (!until) return session_.select<std::string, std::string, std::string>(to_the_last, {after});
        return session_.select<std::string, std::string, std::string>(to_one, {after, *until});
    }

    /// One statement, so that it sees one moment.
    void compare_again(const std::string& id) {
        static const std::string sql =
            "SELECT (SELECT COUNT(*) FROM payments WHERE id = :id), "
            "COALESCE((SELECT captured_amount FROM payments WHERE id = :id_of_captured), 0), "
            "COALESCE((SELECT refunded_amount FROM payments WHERE id = :id_of_refunded), 0), "
            "COUNT(*), " +
            summed + " FROM ledger_entries WHERE payment_id = :id_of_entries";
        const auto rows =
            session_.select<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string, std::string>(
                sql, {id, id, id, id});
        const auto& [payments, captured, refunded, entries, posted_captured, posted_refunded] = rows.at(0);
        const bool same = trimmed(posted_captured) == std::to_string(captured) &&
                          trimmed(posted_refunded) == std::to_string(refunded);
        if (same && (payments > 0 || entries == 0)) return;
        note("payment_differs", "payment " + id + " has captured " + std::to_string(captured) +
                                    " and refunded " + std::to_string(refunded) + "; posted are " +
                                    trimmed(posted_captured) + " and " + trimmed(posted_refunded));
    }

    static std::string where(std::int64_t chain, std::int64_t seq) {
        return "entry " + std::to_string(seq) + " of chain " + std::to_string(chain);
    }

    void tell(const AuditProgress& progress) const {
        if (progress_) progress_(progress);
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
    const ReportAuditProgress& progress_;
    const std::string first_id_;
    std::int64_t total_ = 0;  ///< Entries, at the start.
    LedgerAudit report_;
    std::optional<Open> open_;
};

}  // namespace

LedgerAudit audit_ledger(db::Session& session, std::size_t limit, const ReportAuditProgress& report) {
    return Audit(session, limit, report).run();
}

}  // namespace quittance::payments
