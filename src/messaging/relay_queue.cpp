#include "messaging/relay_queue.hpp"

#include <algorithm>
#include <utility>

namespace quittance::messaging {

const std::string& queue_key(const OutboxRow& row) {
    return row.message.ordering_key.empty() ? row.message.id : row.message.ordering_key;
}

void RelayQueue::announce(std::span<const OutboxRow> rows) {
    for (const OutboxRow& row : rows) {
        remember(row);
        keys_[queue_key(row)].announced.push_back({row.message.id, nullptr});
    }
    announced_ += rows.size();
}

std::vector<RelayQueue::Row> RelayQueue::release(std::vector<OutboxRow> rows) {
    std::vector<Row> released;
    for (OutboxRow& row : rows) {
        auto& of_key = keys_[queue_key(row)].announced;
        const auto ours = std::ranges::find(of_key, row.message.id, &Announced::id);
        ours->released = std::make_shared<const OutboxRow>(std::move(row));
        take_released(of_key, released);
    }
    return released;
}

std::vector<RelayQueue::Row> RelayQueue::withdraw(std::span<const OutboxRow> rows) {
    announced_ -= rows.size();
    std::vector<Row> released;
    for (const OutboxRow& row : rows) {
        auto& of_key = keys_[queue_key(row)].announced;
        std::erase_if(of_key, [&](const Announced& one) { return one.id == row.message.id; });
        take_released(of_key, released);
    }
    for (const OutboxRow& row : rows)
        forget(row);
    return released;
}

/// Moves those that no older one of their key stands before.
void RelayQueue::take_released(std::list<Announced>& of_key, std::vector<Row>& released) {
    while (!of_key.empty() && of_key.front().released) {
        released.push_back(std::move(of_key.front().released));
        of_key.pop_front();
        --announced_;
    }
}

void RelayQueue::hand_over(Row row) {
    ++held_;
    Key& key = keys_[queue_key(*row)];
    if (key.busy) {
        key.waiting.push_back(std::move(row));
    } else {
        key.busy = true;
        ready_.push_back(std::move(row));
    }
}

void RelayQueue::add(OutboxRow row) {
    remember(row);
    hand_over(std::make_shared<const OutboxRow>(std::move(row)));
}

std::vector<RelayQueue::Row> RelayQueue::take_ready() {
    return std::exchange(ready_, {});
}

void RelayQueue::settle(const OutboxRow& row) {
    Key& key = keys_[queue_key(row)];
    if (key.waiting.empty()) {
        key.busy = false;
    } else {
        ready_.push_back(std::move(key.waiting.front()));
        key.waiting.pop_front();
    }
}

void RelayQueue::removed(const OutboxRow& row) {
    --held_;
    forget(row);
}

bool RelayQueue::knows_key_of(const OutboxRow& row) const {
    return keys_.contains(queue_key(row));
}

void RelayQueue::remember(const OutboxRow& row) {
    known_ids_.insert(row.message.id);
    ++keys_[queue_key(row)].known;
}

void RelayQueue::forget(const OutboxRow& row) {
    known_ids_.erase(row.message.id);
    const auto key = keys_.find(queue_key(row));
    if (--key->second.known == 0) keys_.erase(key);
}

}  // namespace quittance::messaging
