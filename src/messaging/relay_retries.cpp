#include "messaging/relay_retries.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace quittance::messaging {

bool RelayRetries::Topic::any_due(TimePoint now) const {
    if (waiting.empty() || waiting.begin()->first > now) return false;
    return !at_fault() || (!trying && pauses.due(now));
}

bool RelayRetries::any_due(TimePoint now) const {
    return waiting_ > 0 &&
           std::ranges::any_of(topics_, [now](const auto& entry) { return entry.second.any_due(now); });
}

std::vector<RelayRetries::Row> RelayRetries::take(std::vector<Row> ready, TimePoint now) {
    if (topics_.empty()) return ready;
    std::vector<Row> taken;
    for (Row& row : ready) {
        const auto topic = topics_.find(row->topic);
        if (topic == topics_.end() || !topic->second.at_fault()) {
            taken.push_back(std::move(row));
        } else {
            topic->second.waiting.emplace(now, std::move(row));
            ++waiting_;
        }
    }
    std::ranges::move(take_due(now), std::back_inserter(taken));
    return taken;
}

std::vector<RelayRetries::Row> RelayRetries::take_due(TimePoint now) {
    std::vector<Row> due;
    for (auto& [name, topic] : topics_) {
        while (topic.any_due(now)) {
            due.push_back(std::move(topic.waiting.begin()->second));
            topic.waiting.erase(topic.waiting.begin());
            --waiting_;
            if (topic.at_fault()) topic.trying = true;
        }
    }
    return due;
}

void RelayRetries::failed(Row row, TimePoint now) {
    Topic& topic = topics_.try_emplace(row->topic, limits_).first->second;
    topic.failed.insert(row->message.id);
    // What fails before the pause is over was given to the bus before it began.
    if (topic.failed.size() > 1 && topic.pauses.due(now)) topic.pauses.failed(now, random_);
    topic.trying = false;
    int& failures = failures_[row->message.id];
    ++failures;
    topic.waiting.emplace(now + backoff(limits_, failures, random_), std::move(row));
    ++waiting_;
}

void RelayRetries::succeeded(const OutboxRow& row) {
    if (topics_.empty() && failures_.empty()) return;
    failures_.erase(row.message.id);
    const auto topic = topics_.find(row.topic);
    if (topic == topics_.end()) return;
    if (topic->second.waiting.empty()) {
        topics_.erase(topic);
        return;
    }
    topic->second.pauses.succeeded();
    topic->second.failed.clear();
    topic->second.trying = false;
}

void RelayRetries::clear() {
    topics_.clear();
    failures_.clear();
    waiting_ = 0;
}

}  // namespace quittance::messaging
