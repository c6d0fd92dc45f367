#include "messaging/inbox.hpp"

#include <set>
#include <unordered_set>

#include "core/canary.hpp"
#include "db/batch.hpp"

namespace quittance::messaging {

namespace {

using db::ColumnType;

/// 96 bits: two calls never share a claim.
constexpr std::size_t claim_bytes = 12;

}  // namespace

Inbox::Inbox(const db::Dialect& dialect, Random& random)
    : insert_(
          dialect.insert_new_rows("inbox", {{"event_id"}, {"claim"}, {"received_at", ColumnType::integer}})),
      select_claimed_("SELECT i.event_id FROM " + dialect.rows(":rows", "b", {{"event_id"}}) +
                      " JOIN inbox i ON i.event_id = b.event_id WHERE i.claim = :claim"),
      purge_(dialect.delete_oldest("inbox", {{"event_id"}}, "received_at", purged_at_once)),
      random_(random) {}

std::vector<bool> Inbox::record(db::Session& session, std::span<const std::string> event_ids,
                                Timestamp now) const {
    std::vector<bool> first_time(event_ids.size(), false);
    if (event_ids.empty()) return first_time;
    if (planted(Canary::inbox_skipped)) {
        first_time.assign(event_ids.size(), true);
        return first_time;
    }
    const std::string claim = random_.token(claim_bytes);

    // Sorted, so that two consumers of the same events never wait for each other.
    std::set<std::string_view> distinct;
    for (std::size_t i = 0; i < event_ids.size(); ++i)
        first_time[i] = distinct.insert(event_ids[i]).second;
    const std::string rows = db::batch(distinct, [&](ObjectWriter& row, std::string_view event_id) {
        row.add("event_id", event_id);
        row.add("claim", claim);
        row.add("received_at", to_ms(now));
    });

    const std::int64_t recorded = session.execute(insert_, {rows});
    if (recorded == static_cast<std::int64_t>(distinct.size())) return first_time;

    // Some are old. Not every engine can return what it inserted, so the rows carry the claim of this call.
    std::unordered_set<std::string> claimed;
    for (auto& [event_id] : session.select<std::string>(select_claimed_, {rows, claim})) {
        claimed.insert(std::move(event_id));
    }
    for (std::size_t i = 0; i < event_ids.size(); ++i) {
        first_time[i] = first_time[i] && claimed.contains(event_ids[i]);
    }
    return first_time;
}

bool Inbox::purge(db::Session& session, Timestamp received_before) const {
    return session.execute(purge_, {to_ms(received_before)}) == purged_at_once;
}

}  // namespace quittance::messaging
