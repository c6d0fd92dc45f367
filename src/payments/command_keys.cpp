#include "payments/command_keys.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace quittance::payments {

namespace {

using db::IdempotencyKey;
using KeyName = IdempotencyKey::Name;

KeyName name_of(const CommandRequest& request) {
    return {request.requested_by, request.idempotency_key};
}

IdempotencyKey key_of(const CommandRequest& request, Timestamp now) {
    return {request.requested_by, request.idempotency_key, request.fingerprint, request.id.bytes(), now};
}

std::vector<PaymentId> payment_ids(std::span<const CommandRequest> requests) {
    std::set<PaymentId> ids;
    for (const CommandRequest& request : requests)
        ids.insert(request.id);
    return {ids.begin(), ids.end()};
}

/// Without repetition, in the order in which all batches take them.
std::vector<IdempotencyKey> distinct_keys(std::span<const CommandRequest> requests, Timestamp now) {
    std::map<KeyName, IdempotencyKey> distinct;
    for (const CommandRequest& request : requests) {
        if (!request.idempotency_key.empty()) distinct.try_emplace(name_of(request), key_of(request, now));
    }
    std::vector<IdempotencyKey> keys;
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

Sorted sort_out(std::span<const CommandRequest> requests, const std::vector<IdempotencyKey>& used) {
    Sorted sorted;
    for (const IdempotencyKey& key : used)
        sorted.used.emplace(key.name(), key.fingerprint);
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

std::vector<Result<Step>> command_under_keys(db::Session& session, const db::IdempotencyKeyStore& keys,
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
            results.push_back(same ? repeated(payments, requests[i].id) : db::key_of_another_request());
        } else {
            // It repeats a request of this batch.
            const std::size_t first = sorted.first_in_batch.at(name_of(requests[i]));
            const Result<Step>& answer = decided.at(first);
            const bool same = requests[first].fingerprint == requests[i].fingerprint;
            if (!same) {
                results.emplace_back(db::key_of_another_request());
            } else {
                results.push_back(answer ? repeated(payments, requests[i].id) : answer);
            }
        }
    }
    return results;
}

}  // namespace quittance::payments
