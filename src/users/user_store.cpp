#include "users/user_store.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include <boost/json.hpp>
#include <sodium.h>

#include "core/random.hpp"
#include "db/batch.hpp"

namespace quittance::users {

namespace {

constexpr auto integer = db::ColumnType::integer;
constexpr auto uuid = db::ColumnType::uuid;

const std::vector<db::Column> user_columns{{"id", uuid}, {"name"},          {"email"},
                                           {"role"},     {"password_hash"}, {"created_at", integer}};
const std::vector<db::Column> id_column{{"id", uuid}};
const std::vector<db::Column> email_column{{"email"}};
const std::vector<db::Column> email_hash_column{{"email_hash"}};
const std::vector<db::Column> failure_columns{{"failures", integer}, {"last_failed_at", integer}};
const std::vector<db::Column> family_hash_column{{"family_hash"}};

/// Of the 43 of a hash: as many bits for the account as for the source, far more than can be guessed or met
/// by chance.
constexpr std::size_t account_characters = 22;

/// " WHERE column IN (the batch)".
std::string in_batch(const db::Dialect& dialect, const std::vector<db::Column>& column) {
    const std::string name(column.front().name);
    return " WHERE " + name + " IN (SELECT b." + name + " FROM " + dialect.rows(":rows", "b", column) + ")";
}

/// A batch of rows with one column.
template <class Values, class Text>
std::string batch_of(std::string_view column, const Values& values, Text text) {
    return db::batch(values, [&](ObjectWriter& row, const auto& value) { row.add(column, text(value)); });
}

std::string batch_of(std::string_view column, std::span<const std::string> values) {
    return batch_of(column, values, [](const std::string& value) { return value; });
}

User user_from_columns(const std::string& id, std::string name, std::string email, const std::string& role,
                       std::int64_t created_at) {
    const auto user_id = UserId::parse(id);
    const auto known_role = parse_role(role);
    ensure(user_id && known_role, "a stored user has an id and a role");
    return {*user_id, std::move(name), std::move(email), *known_role, timestamp_from_ms(created_at)};
}

void write_row(ObjectWriter& row, const StoredFamily& stored) {
    row.add("family_hash", stored.family_hash);
    row.add("token_hash", stored.family.current_token_hash);
    row.add_plain("user_id", stored.principal.user_id.to_string());
    row.add("created_at", to_ms(stored.created_at));
    row.add("expires_at", to_ms(stored.family.expires_at));
}

}  // namespace

std::string hash_for_storage(std::string_view text) {
    std::array<std::byte, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256(reinterpret_cast<unsigned char*>(digest.data()),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return to_base64url(digest);
}

LoginKeys login_keys(std::string_view email, std::string_view network) {
    std::string account = hash_for_storage(email);
    std::string source = hash_for_storage(std::string(email) + "\n" + std::string(network));
    source.replace(0, account_characters, account, 0, account_characters);
    return {std::move(account), std::move(source)};
}

UserStore::UserStore(const db::Dialect& dialect)
    : insert_(dialect.insert_new_rows("users", user_columns)),
      which_exist_("SELECT id FROM users" + in_batch(dialect, id_column)),
      find_("SELECT id, name, email, role, created_at FROM users" + in_batch(dialect, id_column)),
      find_by_email_("SELECT id, name, email, role, created_at, password_hash FROM users" +
                     in_batch(dialect, email_column)),
      set_password_(dialect.update_rows("users", id_column, {{"password_hash"}})),
      failures_("SELECT login_failures.email_hash, failures, last_failed_at FROM " +
                dialect.matching("login_failures", email_hash_column)),
      // Locked in the order of the key, so that two transactions cannot wait for each other.
      lock_failures_(failures_ + " ORDER BY login_failures.email_hash" +
                     dialect.for_update("login_failures")),
      insert_failures_(dialect.insert_new_rows(
          "login_failures", {email_hash_column[0], failure_columns[0], failure_columns[1]})),
      update_failures_(dialect.update_rows("login_failures", email_hash_column, failure_columns)),
      clear_failures_(dialect.delete_rows("login_failures", email_hash_column)),
      insert_families_(dialect.insert_rows("refresh_tokens", {family_hash_column[0],
                                                              {"token_hash"},
                                                              {"user_id", uuid},
                                                              {"created_at", integer},
                                                              {"expires_at", integer}})),
      lock_families_(
          "SELECT refresh_tokens.family_hash, token_hash, user_id, role, refresh_tokens.created_at, "
          "expires_at FROM " +
          dialect.matching("refresh_tokens", family_hash_column) +
          " JOIN users ON users.id = refresh_tokens.user_id ORDER BY refresh_tokens.family_hash" +
          dialect.for_update("refresh_tokens")),
      update_families_(dialect.update_rows("refresh_tokens", family_hash_column,
                                           {{"token_hash"}, {"expires_at", integer}})),
      remove_families_(dialect.delete_rows("refresh_tokens", family_hash_column)),
      purge_families_(
          dialect.delete_oldest("refresh_tokens", family_hash_column, "expires_at", purged_at_once)),
      purge_failures_(
          dialect.delete_oldest("login_failures", email_hash_column, "last_failed_at", purged_at_once)) {}

std::vector<bool> UserStore::insert(db::Session& session, std::span<const StoredUser> users) const {
    // In the order of the addresses, so that two batches never wait for each other; of one address, the
    // first comes first.
    std::vector<const StoredUser*> sorted;
    sorted.reserve(users.size());
    for (const StoredUser& stored : users)
        sorted.push_back(&stored);
    std::ranges::stable_sort(sorted, {},
                             [](const StoredUser* stored) { return std::string_view(stored->user.email); });
    const std::string rows = db::batch(sorted, [](ObjectWriter& row, const StoredUser* stored) {
        row.add_plain("id", stored->user.id.to_string());
        row.add("name", stored->user.name);
        row.add("email", stored->user.email);
        row.add_plain("role", to_string(stored->user.role));
        row.add("password_hash", stored->password_hash);
        row.add("created_at", to_ms(stored->user.created_at));
    });
    const std::int64_t inserted = session.execute(insert_, {rows});
    if (inserted == std::ssize(users)) return std::vector<bool>(users.size(), true);
    std::set<std::string> stored_ids;
    for (auto& [id] : session.select<std::string>(
             which_exist_,
             {batch_of("id", users, [](const StoredUser& s) { return s.user.id.to_string(); })})) {
        stored_ids.insert(std::move(id));
    }
    std::vector<bool> is_stored;
    is_stored.reserve(users.size());
    for (const StoredUser& stored : users)
        is_stored.push_back(stored_ids.contains(stored.user.id.to_string()));
    return is_stored;
}

std::map<UserId, User> UserStore::find(db::Session& session, std::span<const UserId> ids) const {
    const std::string batch = batch_of("id", ids, [](const UserId& id) { return id.to_string(); });
    std::map<UserId, User> found;
    for (auto& [id, name, email, role, created_at] :
         session.select<std::string, std::string, std::string, std::string, std::int64_t>(find_, {batch})) {
        User user = user_from_columns(id, std::move(name), std::move(email), role, created_at);
        found.emplace(user.id, std::move(user));
    }
    return found;
}

std::map<std::string, StoredUser> UserStore::find_by_email(db::Session& session,
                                                           std::span<const std::string> emails) const {
    std::map<std::string, StoredUser> found;
    for (auto& [id, name, email, role, created_at, password_hash] :
         session.select<std::string, std::string, std::string, std::string, std::int64_t, std::string>(
             find_by_email_, {batch_of("email", emails)})) {
        User user = user_from_columns(id, std::move(name), email, role, created_at);
        found.emplace(std::move(email), StoredUser{std::move(user), std::move(password_hash)});
    }
    return found;
}

void UserStore::set_password_hashes(db::Session& session,
                                    std::span<const std::pair<UserId, std::string>> password_hashes) const {
    session.execute(set_password_, {db::batch(password_hashes, [](ObjectWriter& row, const auto& one) {
                        row.add_plain("id", one.first.to_string());
                        row.add("password_hash", one.second);
                    })});
}

namespace {

UserStore::Failures select_failures(db::Session& session, const std::string& sql,
                                    std::span<const std::string> keys) {
    UserStore::Failures found;
    for (auto& [key, count, last_at] :
         session.select<std::string, std::int64_t, std::int64_t>(sql, {batch_of("email_hash", keys)})) {
        found.emplace(std::move(key), LoginFailures{static_cast<int>(count), timestamp_from_ms(last_at)});
    }
    return found;
}

std::string batch_of(const UserStore::Failures& failures) {
    return db::batch(failures, [](ObjectWriter& row, const auto& one) {
        row.add("email_hash", one.first);
        row.add("failures", one.second.count);
        row.add("last_failed_at", to_ms(one.second.last_at));
    });
}

}  // namespace

UserStore::Failures UserStore::login_failures(db::Session& session, std::span<const std::string> keys) const {
    return select_failures(session, failures_, keys);
}

UserStore::Failures UserStore::lock_login_failures(db::Session& session, std::span<const std::string> keys,
                                                   std::span<const std::string> counted) const {
    // A row that is not there cannot be locked.
    Failures none;
    for (const std::string& key : counted)
        none.emplace(key, LoginFailures{});
    if (!none.empty()) session.execute(insert_failures_, {batch_of(none)});
    return select_failures(session, lock_failures_, keys);
}

void UserStore::put_login_failures(db::Session& session, const Failures& failures) const {
    session.execute(update_failures_, {batch_of(failures)});
}

void UserStore::clear_login_failures(db::Session& session, std::span<const std::string> keys) const {
    session.execute(clear_failures_, {batch_of("email_hash", keys)});
}

std::int64_t UserStore::forget_login_failures(db::Session& session, std::string_view email) const {
    const std::string account = hash_for_storage(email);
    const std::string beginning = account.substr(0, account_characters);
    const std::int64_t keys =
        session.execute("DELETE FROM login_failures WHERE substr(email_hash, 1, :characters) = :account",
                        {std::int64_t{account_characters}, beginning});
    return std::max<std::int64_t>(keys - 1, 0);
}

void UserStore::insert_families(db::Session& session, std::span<const StoredFamily> families) const {
    session.execute(insert_families_, {db::batch(families, write_row)});
}

std::map<std::string, StoredFamily> UserStore::lock_families(db::Session& session,
                                                             std::span<const std::string> hashes) const {
    std::map<std::string, StoredFamily> found;
    for (auto& [family_hash, token_hash, user_id, role, created_at, expires_at] :
         session.select<std::string, std::string, std::string, std::string, std::int64_t, std::int64_t>(
             lock_families_, {batch_of("family_hash", hashes)})) {
        const auto holder = UserId::parse(user_id);
        const auto known_role = parse_role(role);
        ensure(holder && known_role, "a stored refresh token has a holder");
        StoredFamily stored{family_hash,
                            {std::move(token_hash), timestamp_from_ms(expires_at)},
                            {*holder, *known_role},
                            timestamp_from_ms(created_at)};
        found.emplace(std::move(family_hash), std::move(stored));
    }
    return found;
}

void UserStore::update_families(db::Session& session, std::span<const StoredFamily> families) const {
    session.execute(update_families_, {db::batch(families, write_row)});
}

void UserStore::remove_families(db::Session& session, std::span<const std::string> hashes) const {
    session.execute(remove_families_, {batch_of("family_hash", hashes)});
}

bool UserStore::purge(db::Session& session, Timestamp now) const {
    // What ends in this millisecond has ended.
    constexpr std::int64_t inclusive_ms = 1;
    const std::int64_t forgotten = to_ms(now - login_failures_forgotten_after) + inclusive_ms;
    const bool more_families =
        session.execute(purge_families_, {to_ms(now) + inclusive_ms}) == purged_at_once;
    const bool more_failures = session.execute(purge_failures_, {forgotten}) == purged_at_once;
    return more_families || more_failures;
}

}  // namespace quittance::users
