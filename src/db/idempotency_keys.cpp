#include "db/idempotency_keys.hpp"

#include "db/batch.hpp"

namespace quittance::db {

namespace {

constexpr std::string_view table = "idempotency_keys";

std::vector<Column> name_columns() {
    return {{"user_id", ColumnType::uuid}, {"key"}};
}

}  // namespace

Error key_of_another_request() {
    return Error{ErrorCode::invalid, "The Idempotency-Key was used before, with another request.", {}, 0};
}

IdempotencyKeyStore::IdempotencyKeyStore(const Dialect& dialect, std::string_view subject_column)
    : subject_column_(subject_column),
      insert_(dialect.insert_new_rows(table, {{"user_id", ColumnType::uuid},
                                              {"key"},
                                              {"fingerprint"},
                                              {subject_column, ColumnType::uuid},
                                              {"created_at", ColumnType::integer}})),
      find_("SELECT idempotency_keys.user_id, idempotency_keys.\"key\", fingerprint, " + subject_column_ +
            ", created_at FROM " + dialect.matching(table, name_columns())),
      purge_(dialect.delete_oldest(table, name_columns(), "created_at", purged_at_once)) {}

std::string IdempotencyKeyStore::batch_of(std::span<const IdempotencyKey> keys) const {
    return batch(keys, [this](ObjectWriter& row, const IdempotencyKey& key) {
        row.add_plain("user_id", key.user_id.to_string());
        row.add("key", key.key);
        row.add("fingerprint", key.fingerprint);
        row.add_plain(subject_column_, uuid_to_string(key.subject));
        row.add("created_at", to_ms(key.created_at));
    });
}

std::int64_t IdempotencyKeyStore::insert_new(Session& session, std::span<const IdempotencyKey> keys) const {
    return session.execute(insert_, {batch_of(keys)});
}

std::vector<IdempotencyKey> IdempotencyKeyStore::find(Session& session,
                                                      std::span<const IdempotencyKey> wanted) const {
    std::vector<IdempotencyKey> keys;
    for (auto& [user_id, key, fingerprint, subject, created_at] :
         session.select<std::string, std::string, std::string, std::string, std::int64_t>(
             find_, {batch_of(wanted)})) {
        keys.push_back({stored(UserId::parse(user_id), "a stored user id is a UUID"), std::move(key),
                        std::move(fingerprint),
                        stored(uuid_from_string(subject), "the stored id of a request's subject is a UUID"),
                        timestamp_from_ms(created_at)});
    }
    return keys;
}

bool IdempotencyKeyStore::purge(Session& session, Timestamp created_before) const {
    return session.execute(purge_, {to_ms(created_before)}) == purged_at_once;
}

}  // namespace quittance::db
