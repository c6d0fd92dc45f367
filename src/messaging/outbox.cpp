#include "messaging/outbox.hpp"

#include <tuple>
#include <utility>

#include "db/batch.hpp"

namespace quittance::messaging {

namespace {

using db::ColumnType;

std::vector<db::Column> message_columns_and(std::vector<db::Column> more) {
    std::vector<db::Column> columns{
        {"event_id"},     {"topic"},       {"type"}, {"source"},
        {"ordering_key"}, {"traceparent"}, {"data"}, {"created_at", ColumnType::integer}};
    columns.insert(columns.end(), more.begin(), more.end());
    return columns;
}

constexpr std::string_view outbox_column_names =
    "event_id, topic, type, source, ordering_key, traceparent, data, created_at";

constexpr std::int64_t rows_left_at_once = 2'000;

/// As MySQL calls it, after the column.
constexpr std::string_view event_id_index = "event_id";
/// Which MySQL leaves aside where it takes the table for small.
constexpr std::string_view owner_index = "outbox_by_owner";

/// The oldest rows of one owner in their order. The range has no end, and the owner is compared outside of
/// it: so the index is read from the owner's first row, `:limit` rows of it and no more. With an end, or with
/// an equality, PostgreSQL may expect few rows, read all of the owner's and sort them; or it reads the
/// primary key from its start where most rows have one owner.
std::string oldest_of_owner(const db::Dialect& dialect, const std::string& columns) {
    return "SELECT " + columns + " FROM (SELECT seq, owner, " + columns + " FROM outbox" +
           dialect.forced(owner_index) +
           " WHERE owner >= :first_owner ORDER BY owner, seq LIMIT :limit) AS oldest WHERE owner "
           "= :owner ORDER BY seq";
}
const std::string select_next_owner = "SELECT owner FROM outbox WHERE owner > :after ORDER BY owner LIMIT 1";

/// Unowned rows whose key no instance owns, among the first `max_claims_examined` unowned ones. Not NOT
/// EXISTS, which may become a join that reads the whole table: this is a look into the index for each row.
std::string claimable(const db::Dialect& dialect, const std::string& columns) {
    return "FROM (SELECT seq, owner, " + columns + " FROM outbox" + dialect.forced(owner_index) +
           " WHERE owner >= '' ORDER BY owner, seq LIMIT " + std::to_string(max_claims_examined) +
           ") AS unowned WHERE owner = '' AND (ordering_key = '' OR (SELECT 1 FROM outbox older WHERE "
           "older.ordering_key = unowned.ordering_key AND older.owner > '' LIMIT 1) IS NULL) ";
}
const std::string select_backlog =
    "SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM (SELECT created_at FROM outbox ORDER BY seq LIMIT " +
    std::to_string(max_backlog_counted) + ") AS oldest";
const std::string dead_columns =
    "SELECT " + std::string(outbox_column_names) + ", reason, delivery_attempts, dead_at FROM dead_letters ";
const std::string select_dead = dead_columns + "ORDER BY dead_at, event_id LIMIT :limit";
const std::string select_dead_by_id = dead_columns + "WHERE event_id = :id";
const std::string copy_dead_to_outbox = "INSERT INTO outbox (" + std::string(outbox_column_names) +
                                        ") SELECT " + std::string(outbox_column_names) +
                                        " FROM dead_letters WHERE event_id = :id";
const std::string delete_dead = "DELETE FROM dead_letters WHERE event_id = :id";

using RowTuple = std::tuple<std::string, std::string, std::string, std::string, std::string, std::string,
                            std::string, std::int64_t>;

void write_row(ObjectWriter& json, const OutboxRow& row) {
    const Message& message = row.message;
    json.add("event_id", message.id);
    json.add("topic", row.topic);
    json.add("type", message.type);
    json.add("source", message.source);
    json.add("ordering_key", message.ordering_key);
    json.add("traceparent", message.traceparent);
    json.add("data", message.data);
    json.add("created_at", to_ms(message.time));
}

std::string owned_rows(std::span<const OutboxRow> rows, std::string_view owner) {
    return db::batch(rows, [&](ObjectWriter& json, const OutboxRow& row) {
        json.add("owner", owner);
        write_row(json, row);
    });
}

OutboxRow outbox_row(RowTuple& columns) {
    auto& [id, topic, type, source, key, traceparent, data, created_at] = columns;
    return {std::move(topic),
            {std::move(id), std::move(type), std::move(source), timestamp_from_ms(created_at), std::move(key),
             std::move(traceparent), std::move(data)}};
}

std::vector<OutboxRow> select_rows(db::Session& session, const std::string& sql,
                                   const std::vector<db::Parameter>& parameters) {
    auto found = session.select<std::string, std::string, std::string, std::string, std::string, std::string,
                                std::string, std::int64_t>(sql, parameters);
    std::vector<OutboxRow> rows;
    rows.reserve(found.size());
    for (RowTuple& columns : found)
        rows.push_back(outbox_row(columns));
    return rows;
}

std::vector<DeadLetter> select_letters(db::Session& session, const std::string& sql,
                                       const std::vector<db::Parameter>& parameters) {
    auto found =
        session.select<std::string, std::string, std::string, std::string, std::string, std::string,
                       std::string, std::int64_t, std::string, std::int64_t, std::int64_t>(sql, parameters);
    std::vector<DeadLetter> letters;
    letters.reserve(found.size());
    for (auto& [id, topic, type, source, key, traceparent, data, created_at, reason, attempts, dead_at] :
         found) {
        RowTuple columns(std::move(id), std::move(topic), std::move(type), std::move(source), std::move(key),
                         std::move(traceparent), std::move(data), created_at);
        letters.push_back(
            {outbox_row(columns), std::move(reason), static_cast<int>(attempts), timestamp_from_ms(dead_at)});
    }
    return letters;
}

}  // namespace

Outbox::Outbox(const db::Dialect& dialect)
    : insert_(dialect.insert_rows("outbox", message_columns_and({{"owner"}}))),
      // Conditions on single rows, and no joins, which might change the order of the rows.
      insert_where_free_(insert_ +
                         " WHERE b.ordering_key = '' OR (SELECT 1 FROM outbox older WHERE older.ordering_key "
                         "= b.ordering_key AND older.owner <> b.owner LIMIT 1) IS NULL"),
      insert_missing_(insert_ +
                      " WHERE (SELECT 1 FROM outbox present WHERE present.event_id = b.event_id) IS NULL"),
      select_unowned_("SELECT outbox.event_id FROM " + dialect.matching("outbox", {{"event_id"}}) +
                      " WHERE outbox.owner = ''"),
      select_oldest_of_(oldest_of_owner(dialect, std::string(outbox_column_names))),
      select_oldest_ids_of_(oldest_of_owner(dialect, "event_id")),
      select_any_claimable_("SELECT 1 " + claimable(dialect, "ordering_key") + "LIMIT 1"),
      select_claimable_("SELECT " + std::string(outbox_column_names) + " " +
                        claimable(dialect, std::string(outbox_column_names)) + "ORDER BY seq LIMIT :limit"),
      remove_(dialect.delete_rows("outbox", {{"event_id"}}, event_id_index)),
      lock_claims_("SELECT heartbeat FROM relay_instances WHERE id = ''" +
                   dialect.for_update_of_unlocked("relay_instances")),
      assign_(dialect.update_rows("outbox", {{"event_id"}}, {{"owner"}}, event_id_index)),
      lock_unlocked_("SELECT outbox.event_id FROM " +
                     dialect.matching("outbox", {{"event_id"}}, event_id_index) +
                     " WHERE outbox.owner = :owner" + dialect.for_update_of_unlocked("outbox")),
      insert_dead_(dialect.insert_new_rows(
          "dead_letters",
          message_columns_and(
              {{"reason"}, {"delivery_attempts", ColumnType::integer}, {"dead_at", ColumnType::integer}}))) {}

void Outbox::insert(db::Session& session, std::span<const OutboxRow> rows) const {
    if (rows.empty()) return;
    session.execute(insert_, {owned_rows(rows, "")});
}

std::unordered_set<std::string> Outbox::insert_for(db::Session& session, const std::string& owner,
                                                   std::span<const OutboxRow> rows) const {
    std::unordered_set<std::string> left;
    if (rows.empty()) return left;
    const std::int64_t free = session.execute(insert_where_free_, {owned_rows(rows, owner)});
    if (free == std::ssize(rows)) return left;
    const std::string as_nobody = owned_rows(rows, "");
    session.execute(insert_missing_, {as_nobody});
    for (auto& [event_id] : session.select<std::string>(select_unowned_, {as_nobody}))
        left.insert(std::move(event_id));
    return left;
}

void Outbox::remove(db::Session& session, std::span<const std::string> event_ids) const {
    if (event_ids.empty()) return;
    session.execute(
        remove_,
        {db::batch(event_ids, [](ObjectWriter& json, const std::string& id) { json.add("event_id", id); })});
}

std::vector<OutboxRow> Outbox::oldest_of(db::Session& session, const std::string& owner,
                                         std::int64_t limit) const {
    return select_rows(session, select_oldest_of_, {owner, limit, owner});
}

std::optional<std::string> Outbox::next_owner(db::Session& session, const std::string& after) const {
    auto owners = session.select<std::string>(select_next_owner, {after});
    if (owners.empty()) return std::nullopt;
    return std::get<0>(std::move(owners.front()));
}

bool Outbox::any_claimable(db::Session& session) const {
    return !session.select<std::int64_t>(select_any_claimable_).empty();
}

std::vector<OutboxRow> Outbox::claim(db::Session& session, const std::string& owner,
                                     std::int64_t limit) const {
    // Without the lock, two could claim a key's rows at the same time, one the older and one the newer.
    if (session.select<std::int64_t>(lock_claims_).empty()) return {};
    auto rows = select_rows(session, select_claimable_, {limit});
    if (rows.empty()) return rows;
    session.execute(assign_, {db::batch(rows, [&](ObjectWriter& json, const OutboxRow& row) {
                        json.add("owner", owner);
                        json.add("event_id", row.message.id);
                    })});
    return rows;
}

std::int64_t Outbox::leave_to_nobody(db::Session& session, const std::string& owner) const {
    const auto ids = session.select<std::string>(select_oldest_ids_of_, {owner, rows_left_at_once, owner});
    if (ids.empty()) return 0;
    const auto rows = session.select<std::string>(
        lock_unlocked_,
        {db::batch(ids, [](ObjectWriter& json,
                           const std::tuple<std::string>& row) { json.add("event_id", std::get<0>(row)); }),
         owner});
    if (rows.empty()) return 0;
    session.execute(assign_, {db::batch(rows, [](ObjectWriter& json, const std::tuple<std::string>& row) {
                        json.add("owner", "");
                        json.add("event_id", std::get<0>(row));
                    })});
    return std::ssize(rows);
}

Outbox::Backlog Outbox::backlog(db::Session& session) const {
    const auto found = session.select<std::int64_t, std::int64_t>(select_backlog);
    const auto& [rows, oldest_ms] = found.at(0);
    return {rows, timestamp_from_ms(oldest_ms)};
}

void Outbox::insert_dead_letters(db::Session& session, std::span<const DeadLetter> letters) const {
    if (letters.empty()) return;
    session.execute(insert_dead_, {db::batch(letters, [](ObjectWriter& json, const DeadLetter& letter) {
                        write_row(json, letter.row);
                        json.add("reason", letter.reason);
                        json.add("delivery_attempts", letter.delivery_attempts);
                        json.add("dead_at", to_ms(letter.dead_at));
                    })});
}

std::vector<DeadLetter> Outbox::dead_letters(db::Session& session, std::int64_t limit) const {
    return select_letters(session, select_dead, {limit});
}

std::optional<DeadLetter> Outbox::dead_letter(db::Session& session, const std::string& event_id) const {
    auto letters = select_letters(session, select_dead_by_id, {event_id});
    if (letters.empty()) return std::nullopt;
    return std::move(letters.front());
}

bool Outbox::replay(db::Session& session, const std::string& event_id) const {
    if (session.execute(copy_dead_to_outbox, {event_id}) == 0) return false;
    session.execute(delete_dead, {event_id});
    return true;
}

}  // namespace quittance::messaging
