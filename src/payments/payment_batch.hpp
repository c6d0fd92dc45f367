// The payments that one transaction works on, while it decides.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "payments/attempts.hpp"
#include "payments/ledger.hpp"
#include "payments/payment_writer.hpp"

namespace quittance::payments {

/// The payments and refunds of one transaction: as they were read, and as the decisions left them.
class PaymentWriter::Batch {
public:
    Batch(Timestamp now, std::vector<Payment> stored, std::vector<Refund> refunds) : now_(now) {
        for (Payment& payment : stored)
            add(std::move(payment), State::unchanged);
        for (Refund& refund : refunds) {
            const RefundId id = refund.id;
            refunds_.emplace(id, RefundEntry{std::move(refund), State::unchanged});
        }
    }

    [[nodiscard]] Timestamp now() const { return now_; }

    [[nodiscard]] const Payment* find(const PaymentId& id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : &found->second->payment;
    }
    [[nodiscard]] const Payment* find(const OrderId& order_id, int attempt) const {
        return find_in_order(order_id, [&](const Payment& payment) { return payment.attempt == attempt; });
    }
    /// All attempts to pay the order, the first one first. They stay where they are, and change with the
    /// batch.
    [[nodiscard]] Attempts attempts(const OrderId& order_id) const {
        Attempts found;
        if (const auto at = by_order_.find(order_id); at != by_order_.end()) {
            for (const Entry* entry : at->second)
                found.push_back(&entry->payment);
        }
        std::ranges::sort(found, {}, &Payment::attempt);
        return found;
    }
    [[nodiscard]] bool knows(const PaymentId& id) const { return by_id_.contains(id); }

    [[nodiscard]] const Refund* find(const RefundId& id) const {
        const auto found = refunds_.find(id);
        return found == refunds_.end() ? nullptr : &found->second.refund;
    }

    /// As it is stored, so that its like is decided over together with it.
    void add_stored(Payment payment) { add(std::move(payment), State::unchanged); }

    const Payment& insert(Transition transition) {
        note_events(transition);
        return add(std::move(transition.after), State::inserted);
    }
    /// What the change leaves to be asked of the gateway.
    Step change(Transition transition) {
        Entry& entry = *by_id_.at(transition.after.id);
        note_events(transition);
        if (entry.state != State::inserted && transition.after.version != entry.payment.version) {
            const bool by_charge = entry.state != State::changed &&
                                   PaymentStore::is_change_by_charge(entry.payment, transition.after);
            entry.state = by_charge ? State::charged : State::changed;
        }
        for (const Posting& posting : quittance::payments::postings(entry.payment, transition.after))
            postings_.push_back(posting);
        entry.payment = std::move(transition.after);
        Step step{entry.payment, transition.next, std::nullopt};
        if (!transition.refunds.empty()) step.refund = transition.refunds.back();
        for (Refund& refund : transition.refunds)
            note_refund(std::move(refund));
        return step;
    }

    /// Their calls are left to the next sweep.
    void change_all(std::vector<Transition> transitions) {
        for (Transition& transition : transitions)
            change(left_to_sweep(std::move(transition), now_));
    }

    [[nodiscard]] std::vector<Payment> inserted() const { return in_state(State::inserted); }
    [[nodiscard]] std::vector<Payment> changed() const { return in_state(State::changed); }
    /// Changed by the answer to a charge, and by nothing else.
    [[nodiscard]] std::vector<Payment> charged() const { return in_state(State::charged); }

    [[nodiscard]] std::vector<Refund> inserted_refunds() const { return refunds_in_state(State::inserted); }
    [[nodiscard]] std::vector<Refund> changed_refunds() const { return refunds_in_state(State::changed); }
    [[nodiscard]] const std::vector<Posting>& postings() const { return postings_; }

    struct Event {
        contracts::PaymentUpdated event;
        std::string traceparent;
    };
    [[nodiscard]] const std::vector<Event>& events() const { return events_; }

private:
    enum class State { unchanged, inserted, charged, changed };
    struct Entry {
        Payment payment;
        State state;
    };
    struct RefundEntry {
        Refund refund;
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

    [[nodiscard]] std::vector<Refund> refunds_in_state(State state) const {
        std::vector<Refund> refunds;
        for (const auto& [id, entry] : refunds_) {
            if (entry.state == state) refunds.push_back(entry.refund);
        }
        return refunds;
    }

    void note_refund(Refund refund) {
        const RefundId id = refund.id;
        const auto [at, is_new] = refunds_.try_emplace(id, RefundEntry{refund, State::inserted});
        if (is_new) return;
        if (at->second.state == State::unchanged) at->second.state = State::changed;
        at->second.refund = std::move(refund);
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
    // In the order of the ids, in which some engines take the locks.
    std::map<RefundId, RefundEntry> refunds_;
    std::vector<Posting> postings_;
    std::vector<Event> events_;
};

}  // namespace quittance::payments
