#include "payments/payment_service.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "core/canary.hpp"
#include "telemetry/lane_report.hpp"
#include "telemetry/log.hpp"

namespace quittance::payments {

namespace {

constexpr std::chrono::minutes purge_interval{10};

/// Often enough that a claim, which ends after `stale_after`, does not end while its call is under way.
constexpr std::chrono::seconds claim_prolonged_after{10};

constexpr BatchLimits consumer_limits{.max_queued = max_queued_events,
                                      .retry_unavailable_after = database_retry_pause};

messaging::AckHandle acknowledged(messaging::AckHandle handle) {
    std::move(handle).ack();
    return messaging::AckHandle([](messaging::AckHandle::Answer, const std::string&) {});
}

void acknowledge(std::vector<messaging::AckHandle> handles) {
    for (messaging::AckHandle& handle : handles)
        std::move(handle).ack();
}

/// What a call is about: one is made at a time.
std::string about_of(const PaymentId& payment, const RefundId* refund) {
    return refund != nullptr ? "refund " + refund->to_string() : payment.to_string();
}

std::string_view to_string(GatewayCall call) {
    switch (call) {
        case GatewayCall::none: return "none";
        case GatewayCall::authorize: return "authorize";
        case GatewayCall::look_up: return "look_up";
        case GatewayCall::refund: return "refund";
        case GatewayCall::cancel: return "cancel";
        case GatewayCall::capture: return "capture";
    }
    return "";
}

std::string_view to_string(GatewayOutcome outcome) {
    switch (outcome) {
        case GatewayOutcome::succeeded: return "succeeded";
        case GatewayOutcome::declined: return "declined";
        case GatewayOutcome::requires_action: return "requires_action";
        case GatewayOutcome::pending: return "pending";
        case GatewayOutcome::unknown: return "unknown";
        case GatewayOutcome::not_found: return "not_found";
        case GatewayOutcome::canceled: return "canceled";
        case GatewayOutcome::refused: return "refused";
    }
    return "";
}

template <class IdType>
Visible<IdType> visible(IdType id, const Principal& caller) {
    if (caller.role == Role::admin) return {id, std::nullopt};
    return {id, caller.user_id};
}

/// Callers share a batch, and what one may see another may not.
template <class IdType>
bool may_see(const Visible<IdType>& wanted, const Payment& payment) {
    return !wanted.owner || *wanted.owner == payment.user_id;
}

std::vector<Result<Payment>> find_batch(const PaymentStore& store, db::Session& session,
                                        std::span<const Visible<PaymentId>> wanted) {
    std::unordered_map<PaymentId, Payment> found;
    for (Payment& payment : store.find(session, wanted))
        found.emplace(payment.id, std::move(payment));
    std::vector<Result<Payment>> results;
    results.reserve(wanted.size());
    for (const auto& one : wanted) {
        const auto at = found.find(one.id);
        if (at != found.end() && may_see(one, at->second)) {
            results.emplace_back(at->second);
        } else {
            results.emplace_back(Error{ErrorCode::not_found, "There is no payment with this id.", {}, 0});
        }
    }
    return results;
}

std::vector<Result<std::vector<Payment>>> list_batch(const PaymentStore& store, db::Session& session,
                                                     std::span<const Visible<OrderId>> wanted) {
    std::unordered_map<OrderId, std::vector<Payment>> found;
    for (Payment& payment : store.list(session, wanted)) {
        std::vector<Payment>& attempts = found[payment.order_id];
        // An order that two callers want comes twice; the rows stand in the order of the attempts.
        if (attempts.empty() || attempts.back().id != payment.id) attempts.push_back(std::move(payment));
    }
    std::vector<Result<std::vector<Payment>>> results;
    results.reserve(wanted.size());
    for (const auto& one : wanted) {
        std::vector<Payment> payments;
        if (const auto at = found.find(one.id); at != found.end()) {
            std::ranges::copy_if(at->second, std::back_inserter(payments),
                                 [&](const Payment& payment) { return may_see(one, payment); });
        }
        results.emplace_back(std::move(payments));
    }
    return results;
}

std::vector<Result<std::vector<Refund>>> refunds_batch(const RefundStore& store, db::Session& session,
                                                       std::span<const PaymentId> payments) {
    const std::set<PaymentId> distinct(payments.begin(), payments.end());
    const std::vector<PaymentId> wanted(distinct.begin(), distinct.end());
    std::unordered_map<PaymentId, std::vector<Refund>> found;
    for (Refund& refund : store.list(session, wanted))
        found[refund.payment_id].push_back(std::move(refund));
    std::vector<Result<std::vector<Refund>>> results;
    results.reserve(payments.size());
    for (const PaymentId& id : payments)
        results.emplace_back(found[id]);
    return results;
}

}  // namespace

PaymentService::PaymentService(db::Scheduler& writers, db::Scheduler& readers, const db::Dialect& dialect,
                               Gateway& gateway, messaging::Relay& relay, IdGenerator& ids, Random& random,
                               const Clock& clock, telemetry::Metrics& metrics, CaptureMode mode)
    : gateway_(gateway),
      relay_(relay),
      clock_(clock),
      writer_(dialect, gateway.name(), mode, ids, random, clock),
      keys_(dialect, "payment_id"),
      calls_(call_metrics(metrics)),
      events_repeated_(metrics.counter("payment_events_repeated_total", "Payment events that came again.")),
      events_rejected_(
          metrics.counter("payment_events_rejected_total", "Payment events that can never be handled.")),
      events_returned_(
          metrics.counter("payment_events_returned_total", "Payment events given back to come again later.")),
      answers_refused_(metrics.counter("payment_answers_refused_total",
                                       "Answers of the gateway that could not be applied.")),
      other_provider_payments_(
          metrics.counter("payment_calls_left_to_other_providers_total",
                          "Payments that were not taken to this provider, for they were made "
                          "with another.")),
      lifeline_(std::make_shared<Lifeline>()),
      begin_(
          writers, consumer_limits,
          [this](db::Session& session, std::span<BeginRequest> requests) {
              return transact(session,
                              [&](auto& published) { return writer_.begin(session, requests, published); });
          },
          telemetry::LaneReport(metrics, "payments_begin")),
      finish_(
          writers, consumer_limits,
          [this](db::Session& session, std::span<FinishRequest> requests) {
              return transact(session,
                              [&](auto& published) { return writer_.finish(session, requests, published); });
          },
          telemetry::LaneReport(metrics, "payments_finish")),
      command_(
          writers, {},
          [this](db::Session& session, std::span<CommandRequest> requests) {
              return transact(session, [&](auto& published) {
                  return command_under_keys(session, keys_, writer_, clock_.now(), requests, published);
              });
          },
          telemetry::LaneReport(metrics, "payments_command")),
      sweep_(
          writers, {.max_queued = 1, .retry_unavailable_after = sweep_retry_pause},
          [this](db::Session& session, std::span<SweepRequest> requests) {
              return sweep(session, requests.size());
          },
          telemetry::LaneReport(metrics, "payments_sweep")),
      purge_(
          writers, {.max_queued = 1},
          [this](db::Session& session, std::span<PurgeRequest> requests) {
              purge(session);
              return std::vector<Result<Done>>(requests.size(), Done{});
          },
          telemetry::LaneReport(metrics, "payments_purge")),
      prolong_(
          writers, {},
          [this](db::Session& session, std::span<ProlongRequest> requests) {
              for (const ProlongRequest& request : requests)
                  writer_.prolong_claims(session, request.payments, request.refunds);
              return std::vector<Result<Done>>(requests.size(), Done{});
          },
          telemetry::LaneReport(metrics, "payments_prolong")),
      find_(
          readers, {},
          [this](db::Session& session, std::span<Visible<PaymentId>> wanted) {
              return find_batch(writer_.store(), session, wanted);
          },
          telemetry::LaneReport(metrics, "payments_find")),
      list_(
          readers, {},
          [this](db::Session& session, std::span<Visible<OrderId>> wanted) {
              return list_batch(writer_.store(), session, wanted);
          },
          telemetry::LaneReport(metrics, "payments_list")),
      list_refunds_(
          readers, {},
          [this](db::Session& session, std::span<PaymentId> wanted) {
              return refunds_batch(writer_.refunds(), session, wanted);
          },
          telemetry::LaneReport(metrics, "payments_list_refunds")) {
    lifeline_->service = this;
}

std::array<PaymentService::CallMetrics, 6> PaymentService::call_metrics(telemetry::Metrics& metrics) {
    std::array<CallMetrics, 6> calls;
    for (const GatewayCall call : {GatewayCall::authorize, GatewayCall::look_up, GatewayCall::refund,
                                   GatewayCall::cancel, GatewayCall::capture}) {
        CallMetrics& of_call = calls[static_cast<std::size_t>(call)];
        const std::string call_name(to_string(call));
        of_call.latency = &metrics.latency_histogram(
            "payment_gateway_seconds", "Time until the gateway answered.", {{"call", call_name}});
        for (std::size_t outcome = 0; outcome < of_call.outcomes.size(); ++outcome) {
            const std::string outcome_name(to_string(static_cast<GatewayOutcome>(outcome)));
            of_call.outcomes[outcome] =
                &metrics.counter("payment_gateway_calls_total", "Calls that the gateway answered.",
                                 {{"call", call_name}, {"outcome", outcome_name}});
        }
    }
    return calls;
}

PaymentService::~PaymentService() {
    const std::unique_lock lock(lifeline_->mutex);
    lifeline_->service = nullptr;
}

template <class Work>
std::vector<Result<Step>> PaymentService::transact(db::Session& session, Work work) {
    db::Transaction transaction(session);
    std::vector<messaging::OutboxRow> published;
    std::vector<Result<Step>> results = work(published);
    if (published.empty()) {
        transaction.commit();
        return results;
    }
    auto announcement = relay_.store(session, std::move(published));
    transaction.commit([&]() noexcept { std::move(announcement).release(); });
    return results;
}

std::vector<Result<std::vector<Step>>> PaymentService::sweep(db::Session& session, std::size_t requests) {
    std::vector<Result<std::vector<Step>>> results(requests, std::vector<Step>());
    // Most sweeps find nothing, and finding nothing should not take a writer's lock.
    if (!writer_.any_due(session)) return results;
    db::Transaction transaction(session);
    results.front() = writer_.claim_due(session, max_swept_payments);
    transaction.commit();
    return results;
}

void PaymentService::purge(db::Session& session) {
    if (writer_.purge_inbox(session)) has_more_to_purge_ = true;
    if (keys_.purge(session, clock_.now() - db::idempotency_key_lifetime)) has_more_to_purge_ = true;
}

void PaymentService::receive(std::vector<messaging::Delivery> deliveries) {
    for (messaging::Delivery& delivery : deliveries) {
        messaging::Message& message = delivery.message;
        auto event = contracts::parse_payment_event(message.type, message.data);
        if (!event) {
            events_rejected_.add();
            std::move(delivery.handle).reject(std::move(event).error().detail);
            continue;
        }
        if (planted(Canary::ack_before_commit)) delivery.handle = acknowledged(std::move(delivery.handle));
        begin_.submit({std::move(message.id), *std::move(event), std::move(message.traceparent)},
                      [this, handle = std::move(delivery.handle)](Result<Step> step) mutable {
                          begun(std::move(step), std::move(handle));
                      });
    }
}

void PaymentService::begun(Result<Step> step, messaging::AckHandle handle) {
    if (step) {
        if (step->repeated) events_repeated_.add();
        Handles handles;
        handles.push_back(std::move(handle));
        return proceed(*std::move(step), std::move(handles));
    }
    if (step.error().code == ErrorCode::conflict || step.error().code == ErrorCode::given_up) {
        events_rejected_.add();
        return std::move(handle).reject(std::move(step).error().detail);
    }
    events_returned_.add();
    std::move(handle).nack();
}

void PaymentService::proceed(Step step, Handles handles) {
    if (step.call == GatewayCall::none) return acknowledge(std::move(handles));
    if (step.payment.provider != gateway_.name()) {
        other_provider_payments_.add();
        log::warning("a payment waits for the provider that it was made with, which is not asked here",
                     {{"paymentId", step.payment.id.to_string()}, {"provider", step.payment.provider}});
        return acknowledge(std::move(handles));
    }
    if (!enter_call(step, handles)) return;
    FinishRequest asking{.id = step.payment.id};
    if (step.refund) asking.refund = step.refund->id;
    asking.asked = {.call = step.call,
                    .is_first_try = step.is_first_try,
                    .seen_version = step.refund ? step.refund->look_ups : step.payment.version};
    ask(step, std::move(asking));
}

bool PaymentService::enter_call(const Step& step, Handles& handles) {
    const std::string about = about_of(step.payment.id, step.refund ? &step.refund->id : nullptr);
    const std::lock_guard lock(in_flight_mutex_);
    const auto [at, is_new] = in_flight_.try_emplace(about);
    CallInFlight& call = at->second;
    if (is_new) {
        call.payment = step.payment.id;
        if (step.refund) call.refund = step.refund->id;
        call.prolonged_at = clock_.steady_now();
        ++calls_in_flight_;
    }
    std::ranges::move(handles, std::back_inserter(call.handles));
    return is_new;
}

PaymentService::Handles PaymentService::leave_call(const FinishRequest& answer) {
    const std::lock_guard lock(in_flight_mutex_);
    auto call = in_flight_.extract(about_of(answer.id, answer.refund ? &*answer.refund : nullptr));
    return std::move(call.mapped().handles);
}

void PaymentService::ask(const Step& step, FinishRequest asking) {
    GatewayRequest request = step.refund ? gateway_request(step.payment, *step.refund, step.call)
                                         : gateway_request(step.payment, step.call);
    if (planted(Canary::new_provider_key_on_resume) && step.call == GatewayCall::authorize &&
        !step.is_first_try) {
        request.idempotency_key += "-" + std::to_string(to_ms(clock_.now()));
    }
    asking.asked.idempotency_key = request.idempotency_key;
    auto done = [lifeline = lifeline_, asking = std::move(asking),
                 asked_at = clock_.steady_now()](GatewayResult answer) mutable {
        const std::shared_lock lock(lifeline->mutex);
        if (lifeline->service == nullptr) return;
        PaymentService& service = *lifeline->service;
        const CallMetrics& of_call = service.calls_[static_cast<std::size_t>(asking.asked.call)];
        const std::chrono::duration<double> took = service.clock_.steady_now() - asked_at;
        of_call.latency->observe(took.count());
        of_call.outcomes[static_cast<std::size_t>(answer.outcome)]->add();
        asking.answer = std::move(answer);
        service.answered(std::move(asking));
    };
    switch (step.call) {
        case GatewayCall::authorize:
            return gateway_.authorize(request, step.payment.capture_at_once, std::move(done));
        case GatewayCall::look_up:
            return step.refund ? gateway_.look_up_refund(request, std::move(done))
                               : gateway_.look_up(request, std::move(done));
        case GatewayCall::refund: return gateway_.refund(request, std::move(done));
        case GatewayCall::cancel: return gateway_.cancel(request, std::move(done));
        case GatewayCall::capture: return gateway_.capture(request, std::move(done));
        case GatewayCall::none: return;
    }
}

void PaymentService::answered(FinishRequest answer) {
    const GatewayOutcome outcome = answer.answer.outcome;
    if (answer.refund && (outcome == GatewayOutcome::declined || outcome == GatewayOutcome::refused)) {
        log::warning("the provider declined a refund", {{"paymentId", answer.id.to_string()},
                                                        {"refundId", answer.refund->to_string()},
                                                        {"code", answer.answer.failure.code}});
    }
    Handles handles = leave_call(answer);
    // Counted until it is queued, so that a service without calls and without queued work is idle.
    finish(std::move(answer), std::move(handles));
    --calls_in_flight_;
}

void PaymentService::finish(FinishRequest answer, Handles handles) {
    FinishRequest asked{
        .id = answer.id, .refund = answer.refund, .asked = answer.asked, .put_off = answer.put_off};
    finish_.submit(std::move(answer),
                   [this, asked = std::move(asked), handles = std::move(handles)](Result<Step> step) mutable {
                       if (step) return proceed(*std::move(step), std::move(handles));
                       not_applied(std::move(asked), step.error(), std::move(handles));
                   });
}

void PaymentService::not_applied(FinishRequest asked, const Error& why, Handles handles) {
    answers_refused_.add();
    log::error("an answer of the payment provider could not be stored; it is asked again later",
               {{"paymentId", asked.id.to_string()}, {"error", why.detail}});
    // What cannot be stored now will not be in a moment either: it has to end in manual review.
    if ((why.code == ErrorCode::internal || why.code == ErrorCode::given_up) && !asked.put_off) {
        asked.put_off = true;
        return finish(std::move(asked), std::move(handles));
    }
    for (messaging::AckHandle& handle : handles)
        std::move(handle).nack();
}

void PaymentService::prolong_claims(std::chrono::steady_clock::time_point now) {
    ProlongRequest slow;
    {
        const std::lock_guard lock(in_flight_mutex_);
        for (auto& [about, call] : in_flight_) {
            if (now - call.prolonged_at < claim_prolonged_after) continue;
            call.prolonged_at = now;
            if (call.refund) {
                slow.refunds.push_back(*call.refund);
            } else {
                slow.payments.push_back(call.payment);
            }
        }
    }
    if (slow.payments.empty() && slow.refunds.empty()) return;
    prolong_.submit(std::move(slow), [](Result<Done> /*reported by the lane*/) {});
}

void PaymentService::step() {
    const auto now = clock_.steady_now();
    if (now >= next_purge_ || has_more_to_purge_.exchange(false)) {
        next_purge_ = now + purge_interval;
        purge_.submit({}, [](Result<Done> /*reported by the lane*/) {});
    }
    prolong_claims(now);
    if (sweeping_.exchange(true)) return;
    sweep_.submit({}, [this](Result<std::vector<Step>> due) {
        sweeping_ = false;
        if (!due) return;
        for (Step& step : *due)
            proceed(std::move(step), {});
    });
}

void PaymentService::command(CommandRequest request,
                             absl::AnyInvocable<void(Result<CommandedPayment>)> done) {
    command_.submit(std::move(request), [this, done = std::move(done)](Result<Step> step) mutable {
        if (!step) return done(std::move(step).error());
        done(CommandedPayment{step->payment, step->repeated});
        proceed(*std::move(step), {});
    });
}

void PaymentService::list_refunds(PaymentId id, absl::AnyInvocable<void(Result<std::vector<Refund>>)> done) {
    list_refunds_.submit(id, std::move(done));
}

void PaymentService::find(PaymentId id, const Principal& caller,
                          absl::AnyInvocable<void(Result<Payment>)> done) {
    find_.submit(visible(id, caller), std::move(done));
}

void PaymentService::list_by_order(OrderId order_id, const Principal& caller,
                                   absl::AnyInvocable<void(Result<std::vector<Payment>>)> done) {
    list_.submit(visible(order_id, caller), std::move(done));
}

}  // namespace quittance::payments
