#include "messaging/pubsub_leases.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

std::string queue_of(const Message& message, const std::string& message_id) {
    return message.ordering_key.empty() ? "message " + message_id : "key " + message.ordering_key;
}

void PubsubLeases::add(Pointer lease) {
    const auto held = by_message_id_.find(lease->message_id);
    if (held != by_message_id_.end()) {
        held->second->ack_id = std::move(lease->ack_id);
        held->second->lease_until = lease->lease_until;
        held->second->attempt = std::max(held->second->attempt, lease->attempt);
        return;
    }
    by_message_id_.emplace(lease->message_id, lease);
    const auto queue = queues_.try_emplace(queue_of(lease->message, lease->message_id)).first;
    auto& leases = queue->second.leases;
    // What returns may be older than what came since; only the one in work keeps its place.
    auto at = leases.end();
    const auto first = leases.begin() + (queue->second.busy ? 1 : 0);
    while (at != first && lease->published < (*std::prev(at))->published)
        --at;
    leases.insert(at, std::move(lease));
    advance(queue);
}

void PubsubLeases::advance(Queues::iterator queue) {
    KeyQueue& key = queue->second;
    if (key.busy) return;
    if (key.leases.empty()) {
        queues_.erase(queue);
        return;
    }
    key.busy = true;
    ready_.push_back(key.leases.front());
}

std::vector<PubsubLeases::Pointer> PubsubLeases::take_ready(std::size_t limit) {
    std::vector<Pointer> taken;
    while (!ready_.empty() && taken.size() < limit) {
        if (ready_.front()->held) taken.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
    return taken;
}

void PubsubLeases::remove(PubsubLease& lease, Queues::iterator queue) {
    auto& leases = queue->second.leases;
    const auto at = std::ranges::find_if(leases, [&](const Pointer& one) { return one.get() == &lease; });
    ensure(at != leases.end(), "a held message stands in the queue of its key");
    if (at == leases.begin()) queue->second.busy = false;
    lease.held = false;
    // The queue's pointer may be the last but one: whoever called holds another.
    by_message_id_.erase(lease.message_id);
    leases.erase(at);
}

void PubsubLeases::settle(PubsubLease& lease) {
    const auto queue = queues_.find(queue_of(lease.message, lease.message_id));
    remove(lease, queue);
    advance(queue);
}

bool PubsubLeases::is_exhausted(const PubsubLease& lease) const {
    return redelivery_.max_delivery_attempts > 0 && lease.attempt >= redelivery_.max_delivery_attempts;
}

std::vector<std::string> PubsubLeases::repeat(PubsubLease& lease, TimePoint now) {
    const auto queue = queues_.find(queue_of(lease.message, lease.message_id));
    std::vector<std::string> ack_ids;
    if (delayed_.size() < max_delayed_) {
        delayed_.emplace(
            now + backoff({redelivery_.backoff_min, redelivery_.backoff_max}, lease.attempt, random_),
            queue->second.leases.front());
        ++lease.attempt;
        return ack_ids;
    }
    for (const Pointer& one : queue->second.leases) {
        one->held = false;
        ack_ids.push_back(one->ack_id);
        by_message_id_.erase(one->message_id);
    }
    queues_.erase(queue);
    return ack_ids;
}

void PubsubLeases::make_due_ready(TimePoint now) {
    const auto end = delayed_.upper_bound(now);
    for (auto at = delayed_.begin(); at != end; ++at) {
        if (at->second->held) ready_.push_back(at->second);
    }
    delayed_.erase(delayed_.begin(), end);
}

std::vector<PubsubLeases::Pointer> PubsubLeases::expiring(TimePoint soon) const {
    std::vector<Pointer> result;
    for (const auto& [id, lease] : by_message_id_) {
        if (lease->lease_until <= soon) result.push_back(lease);
    }
    return result;
}

void PubsubLeases::drop_overdue(TimePoint now) {
    std::vector<Pointer> overdue;
    for (const auto& [id, lease] : by_message_id_) {
        if (lease->given_up_at <= now) overdue.push_back(lease);
    }
    for (const Pointer& lease : overdue)
        settle(*lease);
}

std::vector<std::string> PubsubLeases::release_all() {
    std::vector<std::string> ack_ids;
    for (auto& [id, queue] : queues_) {
        for (const Pointer& lease : queue.leases) {
            lease->held = false;
            ack_ids.push_back(lease->ack_id);
        }
    }
    queues_.clear();
    by_message_id_.clear();
    ready_.clear();
    delayed_.clear();
    return ack_ids;
}

}  // namespace quittance::messaging
