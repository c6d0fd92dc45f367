#include "orders/order_writer.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace quittance::orders {

namespace {

constexpr std::string_view event_source = "/order-service";

struct Candidate {
    Order order;
    bool changed = false;
};

using Candidates = std::unordered_map<OrderId, Candidate>;

std::vector<OrderId> distinct_ids(std::span<const OrderChange> changes) {
    std::vector<OrderId> ids;
    ids.reserve(changes.size());
    for (const OrderChange& change : changes)
        ids.push_back(change.id);
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

std::vector<Order> changed_orders(const Candidates& candidates) {
    std::vector<Order> orders;
    for (const auto& [id, candidate] : candidates) {
        if (candidate.changed) orders.push_back(candidate.order);
    }
    return orders;
}

Error no_such_order() {
    return Error{ErrorCode::not_found, "There is no such order.", {}, 0};
}

}  // namespace

OrderWriter::OrderWriter(const OrderStore& store, IdGenerator& ids, const Clock& clock)
    : store_(store), ids_(ids), clock_(clock) {}

messaging::OutboxRow OrderWriter::row_of(const OrderId& id, const contracts::PaymentEvent& event,
                                         const std::string& traceparent) const {
    messaging::Message message;
    message.id = ids_.generate<EventId>().to_string();
    message.source = event_source;
    message.time = clock_.now();
    message.ordering_key = id.to_string();
    message.traceparent = traceparent;
    std::visit(
        [&](const auto& typed) {
            message.type = typed.type;
            message.data = contracts::to_json(typed);
        },
        event);
    return {std::string(contracts::payment_events_topic), std::move(message)};
}

void OrderWriter::add_events(const Transition& transition, const std::string& traceparent,
                             std::vector<messaging::OutboxRow>& rows) const {
    for (const contracts::PaymentEvent& event : transition.events)
        rows.push_back(row_of(transition.after.id, event, traceparent));
}

std::vector<Result<Order>> OrderWriter::change(db::Session& session, std::span<const OrderChange> changes,
                                               std::vector<messaging::OutboxRow>& published) const {
    Candidates candidates;
    for (Order& order : store_.find_and_lock(session, distinct_ids(changes))) {
        const OrderId id = order.id;
        candidates.emplace(id, Candidate{std::move(order)});
    }
    std::vector<Result<Order>> results;
    results.reserve(changes.size());
    std::vector<HistoryEntry> history;
    for (const OrderChange& change : changes) {
        const auto found = candidates.find(change.id);
        if (found == candidates.end() || (change.owner && found->second.order.user_id != *change.owner)) {
            results.emplace_back(no_such_order());
            continue;
        }
        auto decided = change.decide(found->second.order);
        if (!decided) {
            results.emplace_back(std::move(decided).error());
            continue;
        }
        add_events(*decided, change.traceparent, published);
        if (!decided->history.empty()) {
            std::ranges::move(decided->history, std::back_inserter(history));
            found->second = {std::move(decided->after), true};
        }
        results.emplace_back(found->second.order);
    }
    if (!history.empty()) {
        store_.update(session, changed_orders(candidates));
        store_.insert_history(session, history);
    }
    return results;
}

void OrderWriter::insert(db::Session& session, std::span<const Transition> placed,
                         std::span<const std::string> traceparents,
                         std::vector<messaging::OutboxRow>& published) const {
    if (placed.empty()) return;
    std::vector<Order> orders;
    std::vector<HistoryEntry> history;
    for (std::size_t i = 0; i < placed.size(); ++i) {
        orders.push_back(placed[i].after);
        history.insert(history.end(), placed[i].history.begin(), placed[i].history.end());
        add_events(placed[i], traceparents[i], published);
    }
    store_.insert(session, orders);
    store_.insert_history(session, history);
}

}  // namespace quittance::orders
