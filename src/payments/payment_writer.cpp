#include "payments/payment_writer.hpp"

#include <algorithm>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/canary.hpp"
#include "payments/attempts.hpp"
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

/// An event that was seen before: what is left to do for it. What had no answer has its own schedule.
Step resumed(const Payment& payment, Timestamp now) {
    const bool scheduled = payment.look_ups > 0 || payment.provider_state != ProviderState::none;
    return {payment, scheduled ? GatewayCall::none : plan(payment, now), std::nullopt};
}

Step resumed(const Payment& payment, const Refund& refund, Timestamp now) {
    const bool scheduled = refund.look_ups > 0;
    return {payment, scheduled ? GatewayCall::none : plan(refund, now), refund};
}

/// A payment whose order may have more attempts than this one.
bool has_other_attempts(const Payment& payment) {
    return payment.attempt > 1 || payment.closed_at;
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
    const Attempts before = batch.attempts(event.order_id);
    const bool is_replaced =
        std::ranges::any_of(before, [&](const Payment* payment) { return payment->attempt > event.attempt; });
    const bool waits = is_replaced || must_wait(before, event.attempt);
    batch.change_all(close_earlier(before, event.attempt, batch.now()));
    Payment payment = begin_payment(ids_.generate<PaymentId>(), event, provider_, mode_, batch.now(), waits);
    payment.traceparent = traceparent;
    const Payment& begun = batch.insert({std::move(payment), {}, {}, GatewayCall::none});
    if (is_replaced) batch.change(*request_close(begun, batch.now()));
    if (waits) {
        settle_attempts(batch, begun.id);
        return Step{begun, GatewayCall::none, {}};
    }
    // Providers refuse to charge nothing.
    if (event.amount.minor == 0) return batch.change(take_nothing(begun, batch.now()));
    Step step{begun, GatewayCall::authorize, {}};
    step.is_first_try = true;
    return step;
}

Result<Step> PaymentWriter::cancel(Batch& batch, const contracts::OrderCanceled& event,
                                   const std::string& traceparent) const {
    const auto new_id = [this] { return ids_.generate<RefundId>(); };
    Attempts attempts = batch.attempts(event.order_id);
    if (planted(Canary::cancel_concerns_one_attempt)) {
        std::erase_if(attempts, [&](const Payment* payment) { return payment->attempt != event.attempt; });
    }
    std::optional<Step> step;
    for (Transition& transition : release_all(attempts, new_id, batch.now())) {
        transition.after.traceparent = traceparent;
        if (transition.after.attempt != event.attempt) {
            batch.change(left_to_sweep(std::move(transition), batch.now()));
        } else {
            step = batch.change(std::move(transition));
            step->is_first_try = step->call == GatewayCall::refund;
        }
    }
    if (step) return *std::move(step);
    if (const Payment* payment = batch.find(event.order_id, event.attempt)) {
        return resumed(*payment, batch.now());
    }
    // Its charge was requested before, and may still come.
    Transition transition = begin_canceled(ids_.generate<PaymentId>(), event, provider_, batch.now());
    transition.after.traceparent = traceparent;
    return Step{batch.insert(std::move(transition)), GatewayCall::none, {}};
}

Result<Step> PaymentWriter::refund(Batch& batch, const contracts::RefundRequested& event,
                                   const std::string& traceparent) const {
    if (const Refund* known = batch.find(event.refund_id)) {
        // Copied, because a change of the payment moves nothing else, but may add to the batch.
        const Refund refund = *known;
        const Payment* payment = batch.find(refund.payment_id);
        ensure(payment != nullptr, "a refund is of a payment of its order");
        if (refund.state == RefundState::requested) return resumed(*payment, refund, batch.now());
        Step step = batch.change(repeat_outcome(*payment, refund, batch.now()));
        step.repeated = true;
        return step;
    }
    const Payment* payment = holder_of_money(batch.attempts(event.order_id), event.attempt);
    if (payment == nullptr) {
        return Error{ErrorCode::unavailable, "The payment to refund is not known yet.", {}, 0};
    }
    Transition transition = request_refund(*payment, event, batch.now());
    transition.after.traceparent = traceparent;
    Step step = batch.change(std::move(transition));
    step.is_first_try = true;
    return step;
}

void PaymentWriter::load_other_attempts(db::Session& session, Batch& batch,
                                        std::span<const PaymentId> ids) const {
    std::vector<OrderId> orders;
    for (const PaymentId& id : ids) {
        const Payment* payment = batch.find(id);
        if (payment != nullptr && has_other_attempts(*payment)) orders.push_back(payment->order_id);
    }
    if (orders.empty()) return;
    for (Payment& payment :
         store_.find_and_lock(session, distinct(orders, [](const OrderId& id) { return id; }))) {
        if (!batch.knows(payment.id)) batch.add_stored(std::move(payment));
    }
}

void PaymentWriter::settle_attempts(Batch& batch, const PaymentId& changed) const {
    const Attempts attempts = batch.attempts(batch.find(changed)->order_id);
    if (attempts.size() < 2) return;
    batch.change_all(payments::settle_attempts(
        attempts, changed, [this] { return ids_.generate<RefundId>(); }, batch.now()));
}

std::vector<Result<Step>> PaymentWriter::finish(db::Session& session, std::span<const FinishRequest> requests,
                                                std::vector<messaging::OutboxRow>& published) const {
    const auto ids = distinct(requests, [](const FinishRequest& one) { return one.id; });
    Batch batch = load(session, store_.find_and_lock(session, ids), refund_ids(requests));
    load_other_attempts(session, batch, ids);
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
            refund != nullptr ? plan(*refund, batch.now()) : due_call(*payment, batch.now());
        if (waits_for == GatewayCall::none) return Step{*payment, GatewayCall::none, std::nullopt};
        Step step = batch.change(refund != nullptr ? payments::put_off(*payment, *refund, batch.now())
                                                   : payments::put_off(*payment, batch.now()));
        step.call = GatewayCall::none;
        return step;
    }
    if (planted(Canary::late_money_is_refused) && is_ended(*payment) &&
        request.answer.captured_minor > payment->captured_minor) {
        return Error{ErrorCode::conflict, "A payment that was ended cannot be captured.", {}, 0};
    }
    const auto remainder_id = ids_.generate<RefundId>();
    Step step = batch.change(
        refund != nullptr
            ? apply_refund_answer(*payment, *refund, request.asked, request.answer, remainder_id, batch.now())
            : apply_answer(*payment, request.asked, request.answer, remainder_id, batch.now()));
    // A remainder goes back for the first time.
    step.is_first_try = step.call == GatewayCall::refund && step.refund->look_ups == 0;
    settle_attempts(batch, step.payment.id);
    return step;
}

std::vector<Result<Step>> PaymentWriter::command(db::Session& session,
                                                 std::span<const CommandRequest> requests,
                                                 std::vector<messaging::OutboxRow>& published) const {
    const auto ids = distinct(requests, [](const CommandRequest& one) { return one.id; });
    Batch batch = load(session, store_.find_and_lock(session, ids), {});
    load_other_attempts(session, batch, ids);
    std::vector<Result<Step>> steps;
    steps.reserve(requests.size());
    for (const CommandRequest& request : requests) {
        const Payment* payment = batch.find(request.id);
        if (payment == nullptr) {
            steps.push_back(Error{ErrorCode::not_found, "There is no payment with this id.", {}, 0});
            continue;
        }
        if (auto refusal = version_refusal(request.expected_versions, payment->version)) {
            steps.emplace_back(*std::move(refusal));
            continue;
        }
        const auto* capture = std::get_if<CapturePayment>(&request.command);
        auto transition =
            capture != nullptr
                ? request_capture(*payment, capture->amount_minor.value_or(payment->amount.minor),
                                  batch.now())
                : request_void(*payment, ids_.generate<RefundId>(), batch.now());
        if (!transition) {
            steps.push_back(std::move(transition).error());
            continue;
        }
        Step step = batch.change(*std::move(transition));
        step.is_first_try = true;
        settle_attempts(batch, step.payment.id);
        steps.push_back(std::move(step));
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
        const GatewayCall call = due_call(payment, now);
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
        steps.push_back({payments.at(refund.payment_id), plan(refund, now), refund});
    }
    refunds_.update(session, due);
}

void PaymentWriter::prolong_claims(db::Session& session, std::span<const PaymentId> payments,
                                   std::span<const RefundId> refunds) const {
    const Timestamp until = clock_.now() + stale_after;
    if (!payments.empty()) store_.prolong_claims(session, payments, until);
    if (!refunds.empty()) refunds_.prolong_claims(session, refunds, until);
}

void PaymentWriter::write(db::Session& session, const Batch& batch,
                          std::vector<messaging::OutboxRow>& published) const {
    // An attempt is ended before the next one takes its place.
    const auto changed = batch.changed();
    if (!changed.empty()) store_.update(session, changed);
    const auto charged = batch.charged();
    if (!charged.empty()) store_.update_charge(session, charged);
    const auto inserted = batch.inserted();
    if (!inserted.empty() &&
        store_.insert_new(session, inserted) != static_cast<std::int64_t>(inserted.size())) {
        throw StorageConflict("another instance began a payment of the same order");
    }
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
