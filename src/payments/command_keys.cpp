#include "payments/command_keys.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "db/batch.hpp"

namespace quittance::payments {

namespace {

constexpr auto integer = db::ColumnType::integer;
constexpr auto uuid = db::ColumnType::uuid;

using KeyName = std::pair<UserId, std::string>;

KeyName name_of(const CommandKey& key) {
    return {key.user_id, key.key};
}

KeyName name_of(const CommandRequest& request) {
    return {request.requested_by, request.idempotency_key};
}

CommandKey key_of(const CommandRequest& request, Timestamp now) {
    return {request.requested_by, request.idempotency_key, request.fingerprint, request.id, now};
}

void write_key(ObjectWriter& row, const CommandKey& key) {
    row.add_plain("user_id", key.user_id.to_string());
    row.add("key", key.key);
    row.add("fingerprint", key.fingerprint);
    row.add_plain("payment_id", key.payment_id.to_string());
    row.add("created_at", to_ms(key.created_at));
}

Error other_request() {
    return Error{ErrorCode::invalid, "The Idempotency-Key was used before, with another request.", {}, 0};
}

std::vector<PaymentId> payment_ids(std::span<const CommandRequest> requests) {
    std::set<PaymentId> ids;
    for (const CommandRequest& request : requests)
        ids.insert(request.id);
    return {ids.begin(), ids.end()};
}

/// Without repetition, in the order in which all batches take them.
std::vector<CommandKey> distinct_keys(std::span<const CommandRequest> requests, Timestamp now) {
    std::map<KeyName, CommandKey> distinct;
    for (const CommandRequest& request : requests) {
        if (!request.idempotency_key.empty()) distinct.try_emplace(name_of(request), key_of(request, now));
    }
    std::vector<CommandKey> keys;
    for (auto& [name, key] : distinct)
        keys.push_back(std::move(key));
    return keys;
}

/// What is decided of each request, or which one it repeats.
struct Sorted {
    std::map<KeyName, std::string> used;  ///< Fingerprints of the keys that were used before.
    std::map<KeyName, std::size_t> first_in_batch;
    std::vector<std::size_t> fresh;
};

Sorted sort_out(std::span<const CommandRequest> requests, const std::vector<CommandKey>& used) {
    Sorted sorted;
    for (const CommandKey& key : used)
        sorted.used.emplace(name_of(key), key.fingerprint);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const KeyName name = name_of(requests[i]);
        const bool repeats =
            !requests[i].idempotency_key.empty() &&
            (sorted.used.contains(name) || !sorted.first_in_batch.try_emplace(name, i).second);
        if (!repeats) sorted.fresh.push_back(i);
    }
    return sorted;
}

/// As it is now, the changes of this transaction included.
Result<Step> repeated(const std::vector<Payment>& payments, PaymentId id) {
    const auto found = std::ranges::find(payments, id, &Payment::id);
    ensure(found != payments.end(), "an idempotency key names a stored payment");
    Step step{*found, GatewayCall::none, std::nullopt};
    step.repeated = true;
    return step;
}

}  // namespace

CommandKeyStore::CommandKeyStore(const db::Dialect& dialect)
    : insert_(dialect.insert_new_rows(
          "idempotency_keys",
          {{"user_id", uuid}, {"key"}, {"fingerprint"}, {"payment_id", uuid}, {"created_at", integer}})),
      purge_(dialect.delete_oldest("idempotency_keys", {{"user_id", uuid}, {"key"}}, "created_at",
                                   purged_at_once)),
      find_(
          "SELECT idempotency_keys.user_id, idempotency_keys.\"key\", fingerprint, payment_id, created_at "
          "FROM " +
          dialect.matching("idempotency_keys", {{"user_id", uuid}, {"key"}})) {}

std::int64_t CommandKeyStore::insert_new(db::Session& session, std::span<const CommandKey> keys) const {
    return session.execute(insert_, {db::batch(keys, write_key)});
}

std::vector<CommandKey> CommandKeyStore::find(db::Session& session,
                                              std::span<const CommandKey> wanted) const {
    std::vector<CommandKey> keys;
    for (auto& [user_id, key, fingerprint, payment_id, created_at] :
         session.select<std::string, std::string, std::string, std::string, std::int64_t>(
             find_, {db::batch(wanted, write_key)})) {
        keys.push_back({db::stored(UserId::parse(user_id), "a stored user id is a UUID"), std::move(key),
                        std::move(fingerprint),
                        db::stored(PaymentId::parse(payment_id), "a stored payment id is a UUID"),
                        timestamp_from_ms(created_at)});
    }
    return keys;
}

bool CommandKeyStore::purge(db::Session& session, Timestamp created_before) const {
    return session.execute(purge_, {to_ms(created_before)}) == purged_at_once;
}

std::vector<Result<Step>> command_under_keys(db::Session& session, const CommandKeyStore& keys,
                                             const PaymentWriter& writer, Timestamp now,
                                             std::span<const CommandRequest> requests,
                                             std::vector<messaging::OutboxRow>& published) {
    const auto wanted = distinct_keys(requests, now);
    if (wanted.empty()) return writer.command(session, requests, published);
    // Before the keys: a repeated request waits here until the first one is stored.
    static_cast<void>(writer.store().find_and_lock(session, payment_ids(requests)));
    const auto used = keys.find(session, wanted);
    const Sorted sorted = sort_out(requests, used);
    std::vector<CommandRequest> fresh;
    for (const std::size_t i : sorted.fresh)
        fresh.push_back(requests[i]);
    const auto steps = writer.command(session, fresh, published);
    std::map<std::size_t, Result<Step>> decided;
    std::vector<CommandRequest> accepted;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        decided.emplace(sorted.fresh[i], steps[i]);
        if (steps[i]) accepted.push_back(fresh[i]);
    }
    const auto new_keys = distinct_keys(accepted, now);
    if (!new_keys.empty() && keys.insert_new(session, new_keys) < std::ssize(new_keys)) {
        throw StorageConflict("another request used the same idempotency key for another payment");
    }
    const auto payments = writer.store().find_and_lock(session, payment_ids(requests));
    std::vector<Result<Step>> results;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (const auto own = decided.find(i); own != decided.end()) {
            results.push_back(own->second);
        } else if (const auto before = sorted.used.find(name_of(requests[i])); before != sorted.used.end()) {
            const bool same = before->second == requests[i].fingerprint;
            results.push_back(same ? repeated(payments, requests[i].id) : other_request());
        } else {
            // It repeats a request of this batch.
            const std::size_t first = sorted.first_in_batch.at(name_of(requests[i]));
            const Result<Step>& answer = decided.at(first);
            const bool same = requests[first].fingerprint == requests[i].fingerprint;
            if (!same) {
                results.emplace_back(other_request());
            } else {
                results.push_back(answer ? repeated(payments, requests[i].id) : answer);
            }
        }
    }
    return results;
}

}  // namespace quittance::payments
