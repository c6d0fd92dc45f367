#include "orders/refund_batch.hpp"

#include <algorithm>

#include "orders/refund_id.hpp"

namespace quittance::orders {

namespace {

std::pair<UserId, std::string> name_of(const IdempotencyKey& key) {
    return {key.user_id, key.key};
}

Error other_request() {
    return Error{ErrorCode::invalid, "The Idempotency-Key was used before, with another request.", {}, 0};
}

}  // namespace

RefundBatch::RefundBatch(std::span<RefundOrder> requests, IdGenerator& ids, Timestamp now)
    : requests_(requests), ids_(ids), now_(now) {}

IdempotencyKey RefundBatch::key_of(const RefundOrder& request) const {
    return {request.requested_by, request.idempotency_key, request.fingerprint, request.id, now_};
}

std::vector<OrderId> RefundBatch::order_ids() const {
    std::set<OrderId> ids;
    for (const RefundOrder& request : requests_)
        ids.insert(request.id);
    return {ids.begin(), ids.end()};
}

std::vector<IdempotencyKey> RefundBatch::keys() const {
    std::map<KeyName, IdempotencyKey> distinct;
    for (const RefundOrder& request : requests_) {
        if (request.idempotency_key.empty()) continue;
        const IdempotencyKey key = key_of(request);
        distinct.try_emplace(name_of(key), key);
    }
    std::vector<IdempotencyKey> keys;
    for (const auto& [name, key] : distinct)
        keys.push_back(key);
    return keys;
}

void RefundBatch::set_used_keys(const std::vector<IdempotencyKey>& used) {
    for (const IdempotencyKey& key : used)
        used_[name_of(key)] = key;
}

std::vector<OrderChange> RefundBatch::changes(const Clock& clock) {
    std::vector<OrderChange> changes;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
        const RefundOrder& request = requests_[i];
        if (!request.idempotency_key.empty()) {
            const KeyName name = name_of(key_of(request));
            if (used_.contains(name) || !first_in_batch_.try_emplace(name, i).second) continue;
        }
        new_.push_back(i);
        const RefundId id = request.idempotency_key.empty()
                                ? ids_.generate<RefundId>()
                                : refund_id_of(request.requested_by, request.id, request.idempotency_key);
        changes.push_back({request.id, std::nullopt,
                           [this, i, &clock, id](const Order& order) {
                               const RefundOrder& refund = requests_[i];
                               auto decided =
                                   request_refund(order, id, refund.amount_minor, refund.reason, Actor::admin,
                                                  std::max(clock.now(), order.updated_at));
                               if (decided && decided->history.empty()) open_already_.insert(i);
                               return decided;
                           },
                           request.traceparent});
    }
    return changes;
}

void RefundBatch::set_results(std::vector<Result<Order>> results) {
    ensure(results.size() == new_.size(), "every change has a result");
    for (std::size_t i = 0; i < new_.size(); ++i)
        decided_.emplace(new_[i], std::move(results[i]));
}

std::vector<IdempotencyKey> RefundBatch::new_keys() const {
    std::vector<IdempotencyKey> keys;
    for (const auto& [i, result] : decided_) {
        if (result && !requests_[i].idempotency_key.empty()) keys.push_back(key_of(requests_[i]));
    }
    std::ranges::sort(keys, {}, name_of);
    return keys;
}

const IdempotencyKey* RefundBatch::first_use(std::size_t i) const {
    if (decided_.contains(i)) return nullptr;
    const auto found = used_.find(name_of(key_of(requests_[i])));
    return found == used_.end() ? nullptr : &found->second;
}

std::vector<OrderId> RefundBatch::replayed_ids() const {
    std::set<OrderId> ids;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
        if (const IdempotencyKey* first = first_use(i)) ids.insert(first->order_id);
    }
    return {ids.begin(), ids.end()};
}

std::vector<Result<RefundedOrder>> RefundBatch::results(const std::vector<OrderView>& replayed) const {
    std::vector<Result<RefundedOrder>> results;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
        const RefundOrder& request = requests_[i];
        if (const auto decided = decided_.find(i); decided != decided_.end()) {
            results.push_back(decided->second ? Result<RefundedOrder>(RefundedOrder{
                                                    view_of(*decided->second), open_already_.contains(i)})
                                              : Result<RefundedOrder>(decided->second.error()));
        } else if (const IdempotencyKey* first = first_use(i)) {
            const auto order = std::ranges::find(replayed, first->order_id, &OrderView::id);
            ensure(order != replayed.end(), "an idempotency key names a stored order");
            results.push_back(first->fingerprint == request.fingerprint
                                  ? Result<RefundedOrder>(RefundedOrder{*order, true})
                                  : Result<RefundedOrder>(other_request()));
        } else {
            // It repeats a request of this batch.
            const std::size_t first_index = first_in_batch_.at(name_of(key_of(request)));
            const Result<Order>& answer = decided_.at(first_index);
            if (requests_[first_index].fingerprint != request.fingerprint) {
                results.emplace_back(other_request());
            } else {
                results.push_back(answer ? Result<RefundedOrder>(RefundedOrder{view_of(*answer), true})
                                         : Result<RefundedOrder>(answer.error()));
            }
        }
    }
    return results;
}

}  // namespace quittance::orders
