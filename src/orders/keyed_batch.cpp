#include "orders/keyed_batch.hpp"

#include <algorithm>
#include <set>

namespace quittance::orders {

namespace {

using KeyName = IdempotencyKey::Name;

/// Used by one thread, within one transaction, step by step in the order of the functions.
class KeyedBatch {
public:
    explicit KeyedBatch(const std::vector<KeyedChange>& requests) : requests_(requests) {}

    /// The orders to lock before anything else: a repeated request waits here until the first one is stored.
    [[nodiscard]] std::vector<OrderId> order_ids() const {
        std::set<OrderId> ids;
        for (const KeyedChange& request : requests_)
            ids.insert(request.change.id);
        return {ids.begin(), ids.end()};
    }

    /// The keys of all requests that have one, without repetition.
    [[nodiscard]] std::vector<IdempotencyKey> keys() const {
        std::map<KeyName, IdempotencyKey> distinct;
        for (const KeyedChange& request : requests_) {
            if (!request.key.key.empty()) distinct.try_emplace(request.key.name(), request.key);
        }
        std::vector<IdempotencyKey> keys;
        for (const auto& [name, key] : distinct)
            keys.push_back(key);
        return keys;
    }

    /// Keys that were used before this batch.
    void set_used_keys(const std::vector<IdempotencyKey>& used) {
        for (const IdempotencyKey& key : used)
            used_[key.name()] = key;
    }

    /// What the new requests change. Of several with one key, the first counts.
    /// To be decided while the batch lives.
    [[nodiscard]] std::vector<OrderChange> changes() {
        std::vector<OrderChange> changes;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (!requests_[i].key.key.empty()) {
                const KeyName name = requests_[i].key.name();
                if (used_.contains(name) || !first_in_batch_.try_emplace(name, i).second) continue;
            }
            new_.push_back(i);
            OrderChange change = requests_[i].change;
            change.decide = [this, i, decide = std::move(change.decide)](const Order& order) {
                auto decided = decide(order);
                if (decided && decided->history.empty()) under_way_.insert(i);
                return decided;
            };
            changes.push_back(std::move(change));
        }
        return changes;
    }

    /// The results of those changes, in their order.
    void set_results(std::vector<Result<Order>> results) {
        ensure(results.size() == new_.size(), "every change has a result");
        for (std::size_t i = 0; i < new_.size(); ++i)
            decided_.emplace(new_[i], std::move(results[i]));
    }

    /// The keys of what was accepted, for storing; in one order for all batches, so that two of them cannot
    /// deadlock.
    [[nodiscard]] std::vector<IdempotencyKey> new_keys() const {
        std::vector<IdempotencyKey> keys;
        for (const auto& [i, result] : decided_) {
            if (result && !requests_[i].key.key.empty()) keys.push_back(requests_[i].key);
        }
        std::ranges::sort(keys, {}, &IdempotencyKey::name);
        return keys;
    }

    [[nodiscard]] std::vector<OrderId> replayed_ids() const {
        std::set<OrderId> ids;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (const IdempotencyKey* first = first_use(i)) ids.emplace(first->subject);
        }
        return {ids.begin(), ids.end()};
    }

    [[nodiscard]] std::vector<Result<ChangedOrder>> results(const std::vector<OrderView>& replayed) const {
        std::vector<Result<ChangedOrder>> results;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (const auto decided = decided_.find(i); decided != decided_.end()) {
                results.push_back(answer(decided->second, under_way_.contains(i)));
            } else if (const IdempotencyKey* first = first_use(i)) {
                const auto order = std::ranges::find(replayed, OrderId(first->subject), &OrderView::id);
                ensure(order != replayed.end(), "an idempotency key names a stored order");
                results.push_back(first->fingerprint == requests_[i].key.fingerprint
                                      ? Result<ChangedOrder>(ChangedOrder{*order, true})
                                      : Result<ChangedOrder>(db::key_of_another_request()));
            } else {
                // It repeats a request of this batch.
                const std::size_t first_index = first_in_batch_.at(requests_[i].key.name());
                const bool same = requests_[first_index].key.fingerprint == requests_[i].key.fingerprint;
                results.push_back(same ? answer(decided_.at(first_index), true)
                                       : db::key_of_another_request());
            }
        }
        return results;
    }

private:
    static Result<ChangedOrder> answer(const Result<Order>& decided, bool replayed) {
        if (!decided) return decided.error();
        return ChangedOrder{view_of(*decided), replayed};
    }

    /// The request whose key was used before; none for one that is new.
    [[nodiscard]] const IdempotencyKey* first_use(std::size_t i) const {
        if (decided_.contains(i)) return nullptr;
        const auto found = used_.find(requests_[i].key.name());
        return found == used_.end() ? nullptr : &found->second;
    }

    const std::vector<KeyedChange>& requests_;
    std::map<KeyName, IdempotencyKey> used_;
    std::map<KeyName, std::size_t> first_in_batch_;
    std::vector<std::size_t> new_;
    std::map<std::size_t, Result<Order>> decided_;
    /// New by their key, which was forgotten, but what they ask for is still under way.
    std::set<std::size_t> under_way_;
};

}  // namespace

std::vector<Result<ChangedOrder>> change_under_keys(db::Session& session, const OrderStore& store,
                                                    const OrderWriter& writer,
                                                    const std::vector<KeyedChange>& requests,
                                                    std::vector<messaging::OutboxRow>& published) {
    KeyedBatch batch(requests);
    static_cast<void>(store.find_and_lock(session, batch.order_ids()));
    const auto keys = batch.keys();
    if (!keys.empty()) batch.set_used_keys(store.keys().find(session, keys));
    batch.set_results(writer.change(session, batch.changes(), published));
    const auto new_keys = batch.new_keys();
    if (!new_keys.empty() && store.keys().insert_new(session, new_keys) < std::ssize(new_keys)) {
        throw StorageConflict("another request used the same idempotency key for another order");
    }
    const auto replayed = batch.replayed_ids();
    return batch.results(replayed.empty() ? std::vector<OrderView>() : store.find(session, replayed));
}

}  // namespace quittance::orders
