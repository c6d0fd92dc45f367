#include "payments/payment_writer.hpp"

#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "payments/payment_batch.hpp"

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
    return {payment, scheduled ? GatewayCall::none : resume_call(payment, now), std::nullopt};
}

Step resumed(const Payment& payment, const Refund& refund, Timestamp now) {
    // One without a clear answer has its own schedule.
    const bool scheduled = refund.look_ups > 0;
    return {payment, scheduled ? GatewayCall::none : resume_call(refund, now), refund};
}

std::vector<RefundId> refund_ids(std::span<const BeginRequest> requests) {
    std::vector<RefundId> ids;
    for (const BeginRequest& request : requests) {
        if (const auto* event = std::get_if<contracts::RefundRequested>(&request.event)) {
            ids.push_back(event->refund_id);
        }
    }
    return distinct(ids, [](const RefundId& id) { return id; });
}

std::vector<RefundId> refund_ids(std::span<const FinishRequest> requests) {
    std::vector<RefundId> ids;
    for (const FinishRequest& request : requests) {
        if (request.refund) ids.push_back(*request.refund);
    }
    return distinct(ids, [](const RefundId& id) { return id; });
}

}  // namespace

PaymentWriter::PaymentWriter(const db::Dialect& dialect, std::string_view provider, CaptureMode mode,
                             IdGenerator& ids, Random& random, const Clock& clock)
    : store_(dialect),
      refunds_(dialect),
      ledger_(dialect),
      inbox_(dialect, random),
      provider_(provider),
      mode_(mode),
      ids_(ids),
      clock_(clock) {}

PaymentWriter::Batch PaymentWriter::load(db::Session& session, std::vector<Payment> payments,
                                         const std::vector<RefundId>& refunds) const {
    // After the payments are locked, which guards their refunds.
    std::vector<Refund> found;
    if (!refunds.empty()) found = refunds_.find(session, refunds);
    return {clock_.now(), std::move(payments), std::move(found)};
}

std::vector<Result<Step>> PaymentWriter::begin(db::Session& session, std::span<const BeginRequest> requests,
                                               std::vector<messaging::OutboxRow>& published) const {
    std::vector<std::string> event_ids;
    event_ids.reserve(requests.size());
    for (const BeginRequest& request : requests)
        event_ids.push_back(request.event_id);
    const std::vector<bool> first_time = inbox_.record(session, event_ids, clock_.now());

    const auto order_ids = distinct(requests, [](const BeginRequest& one) { return order_of(one.event); });
    Batch batch = load(session, store_.find_and_lock(session, order_ids), refund_ids(requests));
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        // A repeated event is decided like a new one: its payment tells what is left to do.
        steps.push_back(decide(batch, requests[i]));
        if (steps.back()) steps.back()->repeated = !first_time[i];
    }
    write(session, batch, published);
    return steps;
}

Result<Step> PaymentWriter::decide(Batch& batch, const BeginRequest& request) const {
    return std::visit(
        [&](const auto& event) {
            using Event = std::remove_cvref_t<decltype(event)>;
            if constexpr (std::is_same_v<Event, contracts::OrderCanceled>) {
                return cancel(batch, event, request.traceparent);
            } else if constexpr (std::is_same_v<Event, contracts::RefundRequested>) {
                return refund(batch, event, request.traceparent);
            } else {
                return charge(batch, event, request.traceparent);
            }
        },
        request.event);
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
    Payment payment = begin_payment(ids_.generate<PaymentId>(), event, provider_, mode_, batch.now());
    payment.traceparent = traceparent;
    if (payment.amount.minor == 0) {
        // Nothing is to be paid, and providers refuse to charge nothing: nobody is asked.
        const Asked nobody{GatewayCall::authorize, payment.idempotency_key};
        auto free = apply_answer(payment, nobody, {.outcome = GatewayOutcome::succeeded},
                                 ids_.generate<RefundId>(), batch.now());
        if (!free) return std::move(free).error();
        return Step{batch.insert(*std::move(free)), GatewayCall::none, {}};
    }
    return Step{batch.insert({std::move(payment), {}, {}, GatewayCall::none}), GatewayCall::authorize, {}};
}

Result<Step> PaymentWriter::cancel(Batch& batch, const contracts::OrderCanceled& event,
                                   const std::string& traceparent) const {
    const Payment* payment = batch.find(event.order_id, event.attempt);
    if (payment == nullptr) {
        Transition transition = begin_canceled(ids_.generate<PaymentId>(), event, provider_, batch.now());
        transition.after.traceparent = traceparent;
        return Step{batch.insert(std::move(transition)), GatewayCall::none, {}};
    }
    auto transition = request_cancel(*payment, ids_.generate<RefundId>(), batch.now());
    if (!transition) return resumed(*payment, batch.now());
    transition->after.traceparent = traceparent;
    return batch.change(*std::move(transition));
}

Result<Step> PaymentWriter::refund(Batch& batch, const contracts::RefundRequested& event,
                                   const std::string& traceparent) const {
    const Payment* payment = batch.find(event.order_id, event.attempt);
    if (payment == nullptr) {
        return Error{ErrorCode::unavailable, "The payment to refund is not known yet.", {}, 0};
    }
    if (const Refund* known = batch.find(event.refund_id)) return resumed(*payment, *known, batch.now());
    Transition transition = request_refund(*payment, event, batch.now());
    transition.after.traceparent = traceparent;
    return batch.change(std::move(transition));
}

std::vector<Result<Step>> PaymentWriter::finish(db::Session& session, std::span<const FinishRequest> requests,
                                                std::vector<messaging::OutboxRow>& published) const {
    const auto ids = distinct(requests, [](const FinishRequest& one) { return one.id; });
    Batch batch = load(session, store_.find_and_lock(session, ids), refund_ids(requests));
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (const FinishRequest& request : requests)
        steps.push_back(apply(batch, request));
    write(session, batch, published);
    return steps;
}

Result<Step> PaymentWriter::apply(Batch& batch, const FinishRequest& request) const {
    const Payment* payment = batch.find(request.id);
    const Refund* refund = request.refund ? batch.find(*request.refund) : nullptr;
    if (payment == nullptr || (request.refund && refund == nullptr)) {
        return Error{ErrorCode::internal, "A payment that was begun is not stored.", {}, 0};
    }
    if (request.put_off) {
        const GatewayCall waits_for =
            refund != nullptr ? resume_call(*refund, batch.now()) : resume_call(*payment, batch.now());
        if (waits_for == GatewayCall::none) return Step{*payment, GatewayCall::none, std::nullopt};
        Step step = batch.change(refund != nullptr ? payments::put_off(*payment, *refund, batch.now())
                                                   : payments::put_off(*payment, batch.now()));
        step.call = GatewayCall::none;
        return step;
    }
    const auto spare = ids_.generate<RefundId>();
    auto transition =
        refund != nullptr
            ? apply_refund_answer(*payment, *refund, request.asked, request.answer, spare, batch.now())
            : apply_answer(*payment, request.asked, request.answer, spare, batch.now());
    if (transition) return batch.change(*std::move(transition));
    if (transition.error().code != ErrorCode::conflict) return std::move(transition).error();
    return refund != nullptr ? resumed(*payment, *refund, batch.now()) : resumed(*payment, batch.now());
}

std::vector<Result<Step>> PaymentWriter::command(db::Session& session,
                                                 std::span<const CommandRequest> requests,
                                                 std::vector<messaging::OutboxRow>& published) const {
    const auto ids = distinct(requests, [](const CommandRequest& one) { return one.id; });
    Batch batch = load(session, store_.find_and_lock(session, ids), {});
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (const CommandRequest& request : requests) {
        const Payment* payment = batch.find(request.id);
        if (payment == nullptr) {
            steps.push_back(Error{ErrorCode::not_found, "There is no payment with this id.", {}, 0});
            continue;
        }
        const auto* capture = std::get_if<CapturePayment>(&request.command);
        auto transition =
            capture != nullptr
                ? request_capture(*payment, capture->amount_minor.value_or(payment->amount.minor),
                                  batch.now())
                : request_void(*payment, batch.now());
        steps.push_back(transition ? Result<Step>(batch.change(*std::move(transition)))
                                   : Result<Step>(std::move(transition).error()));
    }
    write(session, batch, published);
    return steps;
}

bool PaymentWriter::any_due(db::Session& session) const {
    const Timestamp now = clock_.now();
    return store_.any_due(session, provider_, now) || refunds_.any_due(session, provider_, now);
}

std::vector<Step> PaymentWriter::claim_due(db::Session& session, std::int64_t limit) const {
    std::vector<Step> steps;
    claim_due_payments(session, limit, steps);
    claim_due_refunds(session, limit, steps);
    return steps;
}

void PaymentWriter::claim_due_payments(db::Session& session, std::int64_t limit,
                                       std::vector<Step>& steps) const {
    const Timestamp now = clock_.now();
    std::vector<Payment> due = store_.due_and_lock(session, provider_, now, limit);
    if (due.empty()) return;
    for (Payment& payment : due) {
        const GatewayCall call = resume_call(payment, now);
        // Nothing waits for a payment that is due by mistake; taking it off the list heals it.
        payment.next_look_up_at.reset();
        if (call != GatewayCall::none) payment.next_look_up_at = now + stale_after;
        steps.push_back({payment, call, std::nullopt});
    }
    store_.reschedule(session, due);
}

void PaymentWriter::claim_due_refunds(db::Session& session, std::int64_t limit,
                                      std::vector<Step>& steps) const {
    const Timestamp now = clock_.now();
    std::vector<Refund> due = refunds_.due_and_lock(session, provider_, now, limit);
    if (due.empty()) return;
    const auto payments = payments_of(session, store_, due);
    for (Refund& refund : due) {
        refund.next_look_up_at = now + stale_after;
        steps.push_back({payments.at(refund.payment_id), resume_call(refund, now), refund});
    }
    refunds_.update(session, due);
}

void PaymentWriter::write(db::Session& session, const Batch& batch,
                          std::vector<messaging::OutboxRow>& published) const {
    const auto inserted = batch.inserted();
    if (!inserted.empty() &&
        store_.insert_new(session, inserted) != static_cast<std::int64_t>(inserted.size())) {
        throw StorageConflict("another instance began a payment of the same order");
    }
    const auto changed = batch.changed();
    if (!changed.empty()) store_.update(session, changed);
    const auto begun_refunds = batch.inserted_refunds();
    if (!begun_refunds.empty()) refunds_.insert(session, begun_refunds);
    const auto changed_refunds = batch.changed_refunds();
    if (!changed_refunds.empty()) refunds_.update(session, changed_refunds);
    publish(batch, published);
    // Late, because it holds a chain of the ledger until the commit: only the outbox follows.
    if (!batch.postings().empty()) ledger_.append(session, batch.postings());
}

void PaymentWriter::publish(const Batch& batch, std::vector<messaging::OutboxRow>& published) const {
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

bool PaymentWriter::purge_inbox(db::Session& session) const {
    return inbox_.purge(session, clock_.now() - inbox_lifetime);
}

}  // namespace quittance::payments
