#include "payments/payment_writer.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

namespace quittance::payments {

namespace {

/// Longer than any broker keeps a message; Pub/Sub's limit is seven days unless told otherwise.
constexpr std::chrono::days inbox_lifetime{8};

constexpr std::string_view event_source = "/payment-service";

const OrderId& order_of(const contracts::PaymentEvent& event) {
    return std::visit([](const auto& one) -> const OrderId& { return one.order_id; }, event);
}

template <class Range, class Key>
auto distinct(const Range& range, Key key) {
    using Id = std::remove_cvref_t<decltype(key(*range.begin()))>;
    std::vector<Id> ids;
    std::unordered_set<Id> seen;
    for (const auto& element : range) {
        if (seen.insert(key(element)).second) ids.push_back(key(element));
    }
    return ids;
}

/// An event that was seen before: what is left to do for it. An UNKNOWN payment has its own schedule.
Step resumed(const Payment& payment, Timestamp now) {
    const bool scheduled = payment.status == contracts::PaymentStatus::unknown;
    return {payment, scheduled ? GatewayCall::none : resume_call(payment, now)};
}

}  // namespace

/// The payments of one transaction: as they were read, and as the decisions left them.
class PaymentWriter::Batch {
public:
    Batch(Timestamp now, std::vector<Payment> stored) : now_(now) {
        for (Payment& payment : stored)
            add(std::move(payment), State::unchanged);
    }

    [[nodiscard]] Timestamp now() const { return now_; }

    [[nodiscard]] const Payment* find(const PaymentId& id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : &found->second->payment;
    }
    [[nodiscard]] const Payment* find(const OrderId& order_id, int attempt) const {
        return find_in_order(order_id, [&](const Payment& payment) { return payment.attempt == attempt; });
    }
    [[nodiscard]] const Payment* find_active(const OrderId& order_id) const {
        return find_in_order(order_id, [](const Payment& payment) { return is_active(payment.status); });
    }

    const Payment& insert(Transition transition) {
        note_events(transition);
        return add(std::move(transition.after), State::inserted);
    }
    const Payment& change(Transition transition) {
        Entry& entry = *by_id_.at(transition.after.id);
        note_events(transition);
        if (entry.state == State::unchanged && transition.after.version != entry.payment.version) {
            entry.state = State::changed;
        }
        entry.payment = std::move(transition.after);
        return entry.payment;
    }

    [[nodiscard]] std::vector<Payment> inserted() const { return in_state(State::inserted); }
    [[nodiscard]] std::vector<Payment> changed() const { return in_state(State::changed); }

    struct Event {
        contracts::PaymentUpdated event;
        std::string traceparent;
    };
    [[nodiscard]] const std::vector<Event>& events() const { return events_; }

private:
    enum class State { unchanged, inserted, changed };
    struct Entry {
        Payment payment;
        State state;
    };

    const Payment& add(Payment payment, State state) {
        Entry& entry = entries_.emplace_back(Entry{std::move(payment), state});
        by_id_.emplace(entry.payment.id, &entry);
        by_order_[entry.payment.order_id].push_back(&entry);
        return entry.payment;
    }

    template <class Condition>
    [[nodiscard]] const Payment* find_in_order(const OrderId& order_id, Condition condition) const {
        const auto found = by_order_.find(order_id);
        if (found == by_order_.end()) return nullptr;
        const auto at = std::ranges::find_if(found->second,
                                             [&](const Entry* entry) { return condition(entry->payment); });
        return at == found->second.end() ? nullptr : &(*at)->payment;
    }

    [[nodiscard]] std::vector<Payment> in_state(State state) const {
        std::vector<Payment> payments;
        for (const Entry& entry : entries_) {
            if (entry.state == state) payments.push_back(entry.payment);
        }
        return payments;
    }

    void note_events(Transition& transition) {
        for (auto& event : transition.events) {
            events_.push_back({std::move(event), transition.after.traceparent});
        }
    }

    Timestamp now_;
    std::deque<Entry> entries_;  // Entries stay where they are when others are added.
    std::unordered_map<PaymentId, Entry*> by_id_;
    std::unordered_map<OrderId, std::vector<Entry*>> by_order_;
    std::vector<Event> events_;
};

PaymentWriter::PaymentWriter(const db::Dialect& dialect, std::string_view provider, IdGenerator& ids,
                             Random& random, const Clock& clock)
    : store_(dialect), inbox_(dialect, random), provider_(provider), ids_(ids), clock_(clock) {}

std::vector<Result<Step>> PaymentWriter::begin(db::Session& session, std::span<const BeginRequest> requests,
                                               std::vector<messaging::OutboxRow>& published) const {
    std::vector<std::string> event_ids;
    event_ids.reserve(requests.size());
    for (const BeginRequest& request : requests)
        event_ids.push_back(request.event_id);
    const std::vector<bool> first_time = inbox_.record(session, event_ids, clock_.now());

    const auto order_ids = distinct(requests, [](const BeginRequest& one) { return order_of(one.event); });
    std::vector<Payment> locked = store_.find_and_lock(session, order_ids);
    Batch batch(clock_.now(), std::move(locked));
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        // A repeated event is decided like a new one: its payment tells what is left to do.
        const BeginRequest& request = requests[i];
        if (const auto* canceled = std::get_if<contracts::OrderCanceled>(&request.event)) {
            steps.push_back(cancel(batch, *canceled, request.traceparent));
        } else if (const auto* created = std::get_if<contracts::OrderCreated>(&request.event)) {
            steps.push_back(charge(batch, *created, request.traceparent));
        } else {
            const auto& retry = std::get<contracts::PaymentRetryRequested>(request.event);
            steps.push_back(charge(batch, retry, request.traceparent));
        }
        if (steps.back()) steps.back()->repeated = !first_time[i];
    }
    write(session, batch, published);
    return steps;
}

Result<Step> PaymentWriter::charge(Batch& batch, const contracts::PaymentRequested& event,
                                   const std::string& traceparent) const {
    if (const Payment* payment = batch.find(event.order_id, event.attempt)) {
        return resumed(*payment, batch.now());
    }
    if (const Payment* other = batch.find_active(event.order_id)) {
        const bool undecided = other->status == contracts::PaymentStatus::pending ||
                               other->status == contracts::PaymentStatus::unknown;
        return Error{undecided ? ErrorCode::unavailable : ErrorCode::conflict,
                     "Attempt " + std::to_string(event.attempt) + " is not charged: attempt " +
                         std::to_string(other->attempt) + " of the same order is " +
                         std::string(contracts::to_string(other->status)) + ".",
                     {},
                     0};
    }
    Payment payment = begin_payment(ids_.generate<PaymentId>(), event, provider_, batch.now());
    payment.traceparent = traceparent;
    return Step{batch.insert({std::move(payment), {}, GatewayCall::none}), GatewayCall::authorize};
}

Result<Step> PaymentWriter::cancel(Batch& batch, const contracts::OrderCanceled& event,
                                   const std::string& traceparent) const {
    const Payment* payment = batch.find(event.order_id, event.attempt);
    if (payment == nullptr) {
        Transition transition = begin_canceled(ids_.generate<PaymentId>(), event, provider_, batch.now());
        transition.after.traceparent = traceparent;
        return Step{batch.insert(std::move(transition)), GatewayCall::none};
    }
    auto transition = request_cancel(*payment, batch.now());
    if (!transition) return resumed(*payment, batch.now());
    transition->after.traceparent = traceparent;
    const GatewayCall next = transition->next;
    return Step{batch.change(*std::move(transition)), next};
}

std::vector<Result<Step>> PaymentWriter::finish(db::Session& session, std::span<const FinishRequest> requests,
                                                std::vector<messaging::OutboxRow>& published) const {
    const auto ids = distinct(requests, [](const FinishRequest& one) { return one.id; });
    std::vector<Payment> locked = store_.find_and_lock(session, ids);
    Batch batch(clock_.now(), std::move(locked));
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (const FinishRequest& request : requests) {
        const Payment* payment = batch.find(request.id);
        if (payment == nullptr) {
            steps.push_back(Error{ErrorCode::internal, "A payment that was begun is not stored.", {}, 0});
            continue;
        }
        auto transition = apply_answer(*payment, request.asked, request.answer, batch.now());
        if (transition) {
            const GatewayCall next = transition->next;
            steps.push_back(Step{batch.change(*std::move(transition)), next});
        } else if (transition.error().code == ErrorCode::conflict) {
            steps.push_back(resumed(*payment, batch.now()));
        } else {
            steps.push_back(std::move(transition).error());
        }
    }
    write(session, batch, published);
    return steps;
}

std::vector<Step> PaymentWriter::claim_due(db::Session& session, std::int64_t limit) const {
    const Timestamp now = clock_.now();
    std::vector<Payment> due = store_.due_and_lock(session, now, limit);
    std::vector<Step> steps;
    if (due.empty()) return steps;
    for (Payment& payment : due) {
        const GatewayCall call = resume_call(payment, now);
        // Nothing waits for a payment that is due by mistake; taking it off the list heals it.
        payment.next_look_up_at.reset();
        if (call != GatewayCall::none) payment.next_look_up_at = now + stale_after;
        steps.push_back({payment, call});
    }
    store_.postpone(session, due);
    return steps;
}

void PaymentWriter::write(db::Session& session, Batch& batch,
                          std::vector<messaging::OutboxRow>& published) const {
    const auto inserted = batch.inserted();
    if (!inserted.empty() &&
        store_.insert_new(session, inserted) != static_cast<std::int64_t>(inserted.size())) {
        throw StorageConflict("another instance began a payment of the same order");
    }
    const auto changed = batch.changed();
    if (!changed.empty()) store_.update(session, changed);
    for (const auto& [event, traceparent] : batch.events()) {
        published.push_back({std::string(contracts::order_updates_topic),
                             {.id = ids_.generate<EventId>().to_string(),
                              .type = std::string(contracts::PaymentUpdated::type),
                              .source = std::string(event_source),
                              .time = batch.now(),
                              .ordering_key = event.order_id.to_string(),
                              .traceparent = traceparent,
                              .data = to_json(event)}});
    }
}

void PaymentWriter::purge_inbox(db::Session& session) const {
    inbox_.purge(session, clock_.now() - inbox_lifetime);
}

}  // namespace quittance::payments
