// Requests for refunds on their way through one transaction: which are new, and which repeat another.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "orders/order_service.hpp"

namespace quittance::orders {

/// Used by one thread, within one transaction, step by step in the order of the functions.
class RefundBatch {
public:
    RefundBatch(std::span<RefundOrder> requests, IdGenerator& ids, Timestamp now);

    /// The orders to lock before anything else: who repeats a request waits for the first one here.
    [[nodiscard]] std::vector<OrderId> order_ids() const;
    /// The keys of all requests that have one, without repetition.
    [[nodiscard]] std::vector<IdempotencyKey> keys() const;
    /// Keys that were used before this batch.
    void set_used_keys(const std::vector<IdempotencyKey>& used);

    /// What the new requests change. Of several with one key, the first counts. To be decided while the batch
    /// lives.
    [[nodiscard]] std::vector<OrderChange> changes(const Clock& clock);
    /// The results of those changes, in their order.
    void set_results(std::vector<Result<Order>> results);
    /// The keys of what was accepted, for storing; in one order for all batches, so that two of them cannot
    /// deadlock.
    [[nodiscard]] std::vector<IdempotencyKey> new_keys() const;

    [[nodiscard]] std::vector<OrderId> replayed_ids() const;
    [[nodiscard]] std::vector<Result<RefundedOrder>> results(const std::vector<OrderView>& replayed) const;

private:
    using KeyName = std::pair<UserId, std::string>;

    [[nodiscard]] IdempotencyKey key_of(const RefundOrder& request) const;
    /// The request whose key was used before; none for one that is new.
    [[nodiscard]] const IdempotencyKey* first_use(std::size_t i) const;

    std::span<RefundOrder> requests_;
    IdGenerator& ids_;
    Timestamp now_;
    std::map<KeyName, IdempotencyKey> used_;
    std::map<KeyName, std::size_t> first_in_batch_;
    std::vector<std::size_t> new_;
    std::map<std::size_t, Result<Order>> decided_;
    /// New by its key, which was forgotten, but the refund is still under way.
    std::set<std::size_t> open_already_;
};

}  // namespace quittance::orders
