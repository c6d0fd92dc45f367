#include "payments/ledger_store.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "payments/store_rows.hpp"

namespace quittance::payments {

namespace {

const std::string selected =
    "SELECT ledger_entries.chain, ledger_entries.seq, ledger_entries.payment_id, "
    "ledger_entries.payment_version, ledger_entries.movement, ledger_entries.account, "
    "ledger_entries.currency, ledger_entries.amount, ledger_entries.posted_at, ledger_entries.hash "
    "FROM ledger_entries ";

/// A statement that sums so many takes some milliseconds.
constexpr std::int64_t entries_summed_at_once = 20'000;

constexpr std::int64_t chains = 16;  // As many as the migration makes.

void write_row(ObjectWriter& row, const LedgerEntry& entry) {
    row.add("chain", entry.chain);
    row.add("seq", entry.seq);
    row.add("payment_id", entry.payment_id);
    row.add("payment_version", entry.payment_version);
    row.add("movement", entry.movement);
    row.add("account", entry.account);
    row.add("currency", entry.currency);
    row.add("amount", entry.amount_minor);
    row.add("posted_at", entry.posted_at_ms);
    row.add("hash", entry.hash);
}

std::vector<LedgerEntry> select_entries(db::Session& session, const std::string& sql,
                                        const std::vector<db::Parameter>& parameters) {
    using Text = std::string;
    using Integer = std::int64_t;
    auto rows = session.select<Integer, Integer, Text, Integer, Text, Text, Text, Integer, Integer, Text>(
        sql, parameters);
    std::vector<LedgerEntry> entries;
    entries.reserve(rows.size());
    for (auto& [chain, seq, payment_id, version, movement, account, currency, amount, posted_at, hash] :
         rows) {
        entries.push_back({chain, seq, std::move(payment_id), version, std::move(movement),
                           std::move(account), std::move(currency), amount, posted_at, std::move(hash)});
    }
    return entries;
}

std::vector<LedgerHead> select_heads(db::Session& session, const std::string& sql,
                                     const std::vector<db::Parameter>& parameters = {}) {
    std::vector<LedgerHead> heads;
    for (auto& [chain, seq, hash] :
         session.select<std::int64_t, std::int64_t, std::string>(sql, parameters)) {
        heads.push_back({chain, seq, std::move(hash)});
    }
    return heads;
}

LedgerEntry entry_of(const Posting& posting) {
    return {.payment_id = posting.payment_id.to_string(),
            .payment_version = posting.payment_version,
            .movement = std::string(to_string(posting.movement)),
            .account = std::string(to_string(posting.account)),
            .currency = std::string(posting.amount.currency.code()),
            .amount_minor = posting.amount.minor,
            .posted_at_ms = to_ms(posting.posted_at)};
}

}  // namespace

LedgerStore::LedgerStore(const db::Dialect& dialect)
    : take_free_head_("SELECT chain, seq, hash FROM ledger_heads ORDER BY chain LIMIT 1" +
                      dialect.for_update_of_unlocked("ledger_heads")),
      take_head_("SELECT chain, seq, hash FROM ledger_heads WHERE chain = :chain" +
                 dialect.for_update("ledger_heads")),
      insert_(dialect.insert_rows("ledger_entries", {{"chain", integer},
                                                     {"seq", integer},
                                                     {"payment_id", uuid},
                                                     {"payment_version", integer},
                                                     {"movement"},
                                                     {"account"},
                                                     {"currency"},
                                                     {"amount", integer},
                                                     {"posted_at", integer},
                                                     {"hash"}})),
      move_head_("UPDATE ledger_heads SET seq = :seq, hash = :hash WHERE chain = :chain") {}

LedgerHead LedgerStore::take_a_chain(db::Session& session, const PaymentId& choice) const {
    auto heads = select_heads(session, take_free_head_);
    if (heads.empty()) {
        // Many programs are at it: wait for one chain, not all for the same.
        const std::int64_t chain = 1 + choice.bytes().back() % chains;
        heads = select_heads(session, take_head_, {chain});
    }
    ensure(heads.size() == 1, "a chain of the ledger has a head");
    return heads.front();
}

void LedgerStore::append(db::Session& session, std::span<const Posting> postings) const {
    LedgerHead head = take_a_chain(session, postings.front().payment_id);
    std::vector<LedgerEntry> entries;
    entries.reserve(postings.size());
    for (const Posting& posting : postings) {
        LedgerEntry& entry = entries.emplace_back(entry_of(posting));
        entry.chain = head.chain;
        entry.seq = ++head.seq;
        entry.hash = hash_after(head.hash, entry);
        head.hash = entry.hash;
    }
    session.execute(insert_, {batch(entries, write_row)});
    session.execute(move_head_, {head.seq, head.hash, head.chain});
}

std::vector<Balance> LedgerStore::balances(db::Session& session) const {
    LedgerSums sums;
    return balances(session, sums);
}

std::vector<Balance> LedgerStore::balances(db::Session& session, LedgerSums& sums) const {
    const auto heads = this->heads(session);
    // A ledger only grows; one that is shorter is another one, restored from a backup.
    if (std::ranges::any_of(heads, [&](const LedgerHead& head) { return head.seq < sums.read[head.chain]; }))
        sums = {};
    for (const LedgerHead& head : heads) {
        std::int64_t& read = sums.read[head.chain];
        while (read < head.seq) {
            const std::int64_t last = std::min(head.seq, read + entries_summed_at_once);
            add_stretch(session, head.chain, read, last, sums);
            read = last;
        }
    }
    std::vector<Balance> balances;
    for (const auto& [key, amount] : sums.amounts)
        balances.push_back({key.second, key.first, amount});
    return balances;
}

void LedgerStore::add_stretch(db::Session& session, std::int64_t chain, std::int64_t after, std::int64_t last,
                              LedgerSums& sums) {
    static const std::string sql =
        "SELECT account, currency, CAST(SUM(amount) AS CHAR(40)) FROM ledger_entries WHERE chain = :chain "
        "AND "
        "seq > :after AND seq <= :last GROUP BY account, currency";
    for (auto& [account, currency, sum] :
         session.select<std::string, std::string, std::string>(sql, {chain, after, last})) {
        std::int64_t amount = 0;
        const auto [end, error] = std::from_chars(sum.data(), sum.data() + sum.size(), amount);
        std::int64_t& total = sums.amounts[{std::move(currency), std::move(account)}];
        const bool fits = error == std::errc() && !__builtin_add_overflow(total, amount, &total);
        ensure(fits && (end == sum.data() + sum.size() || *end == ' '), "a balance fits into 64 bits");
    }
}

std::vector<LedgerEntry> LedgerStore::entries_of(db::Session& session, const OrderId& order_id,
                                                 const LedgerCursor& after, std::int64_t limit) const {
    static const std::string sql =
        selected +
        // The range is always true; see payment_store.cpp.
        "JOIN payments ON payments.id = ledger_entries.payment_id WHERE payments.order_id = :order_id AND "
        "payments.attempt BETWEEN 1 AND 2147483647 AND (posted_at, chain, seq) > (:posted_at, :chain, :seq) "
        "ORDER BY posted_at, chain, seq LIMIT :rows";
    return select_entries(session, sql,
                          {order_id.to_string(), after.posted_at_ms, after.chain, after.seq, limit});
}

std::vector<LedgerHead> LedgerStore::heads(db::Session& session) const {
    static const std::string sql = "SELECT chain, seq, hash FROM ledger_heads ORDER BY chain";
    return select_heads(session, sql);
}

std::vector<LedgerEntry> LedgerStore::stretch(db::Session& session, std::int64_t chain,
                                              std::int64_t first_seq, std::int64_t last_seq) const {
    static const std::string sql =
        selected + "WHERE chain = :chain AND seq >= :first AND seq <= :last ORDER BY seq";
    return select_entries(session, sql, {chain, first_seq, last_seq});
}

}  // namespace quittance::payments
