// A payment service on a real database and bus, in one thread, with a clock and a gateway that obey the test.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "contracts/events.hpp"
#include "core/manual_clock.hpp"
#include "core/random.hpp"
#include "messaging/embedded_bus.hpp"
#include "messaging/relay.hpp"
#include "payments/payment_service.hpp"
#include "payments/simulator_gateway.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::payments {

/// The simulator behind a line that fails as the test says.
class ScriptedGateway final : public Gateway {
public:
    enum class Fate {
        works,
        loses_request,  ///< The provider never sees it; the caller learns nothing.
        loses_answer,   ///< The provider does it; the caller learns nothing.
        holds_answer,   ///< The provider does it; the caller hears nothing until `release_held`.
        stays_pending,  ///< The provider does it, but says that it is still deciding.
        refuses,        ///< The provider itself refuses the request, and does nothing.
        declines,       ///< The provider's object says that it was declined.
        never_heard,    ///< For a look-up: the provider has not seen the payment yet.
        took_all,       ///< The provider says that the whole amount is captured ...
        took_too_much,  ///< ... or even more.
    };
    struct Call {
        GatewayCall call;
        std::string key;
    };

    [[nodiscard]] std::string_view name() const override { return "scripted"; }
    void authorize(const GatewayRequest& request, bool capture, GatewayDone done) override {
        play(GatewayCall::authorize, request, std::move(done),
             [&, capture](GatewayDone d) { provider.authorize(request, capture, std::move(d)); });
    }
    void capture(const GatewayRequest& request, GatewayDone done) override {
        play(GatewayCall::capture, request, std::move(done),
             [&](GatewayDone d) { provider.capture(request, std::move(d)); });
    }
    void refund(const GatewayRequest& request, GatewayDone done) override {
        play(GatewayCall::refund, request, std::move(done),
             [&](GatewayDone d) { provider.refund(request, std::move(d)); });
    }
    void cancel(const GatewayRequest& request, GatewayDone done) override {
        play(GatewayCall::cancel, request, std::move(done),
             [&](GatewayDone d) { provider.cancel(request, std::move(d)); });
    }
    void look_up(const GatewayRequest& request, GatewayDone done) override {
        play(GatewayCall::look_up, request, std::move(done),
             [&](GatewayDone d) { provider.look_up(request, std::move(d)); });
    }

    void look_up_refund(const GatewayRequest& request, GatewayDone done) override {
        play(GatewayCall::look_up, request, std::move(done),
             [&](GatewayDone d) { provider.look_up_refund(request, std::move(d)); });
    }

    void list_charges(Timestamp since, const std::string& after, ChargesDone done) override {
        if (!lists_charges) return done({});
        provider.list_charges(since, after, std::move(done));
    }

    void release_held() {
        for (auto& answer : std::exchange(held_, {}))
            answer();
    }
    [[nodiscard]] std::size_t count(GatewayCall call) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(calls, [&](const Call& one) { return one.call == call; }));
    }

    SimulatorGateway provider;
    std::map<GatewayCall, std::deque<Fate>> fates;  ///< Of the next calls; then all work.
    std::vector<Call> calls;
    bool lists_charges = true;

private:
    template <class Ask>
    void play(GatewayCall call, const GatewayRequest& request, GatewayDone done, Ask ask) {
        calls.push_back({call, request.idempotency_key});
        Fate fate = Fate::works;
        if (auto& next = fates[call]; !next.empty()) {
            fate = next.front();
            next.pop_front();
        }
        if (fate == Fate::works) return ask(std::move(done));
        if (fate == Fate::refuses) {
            return done(
                {.outcome = GatewayOutcome::refused, .failure = {"refused", "The provider refused."}});
        }
        if (fate == Fate::declines) {
            return done({.outcome = GatewayOutcome::declined, .failure = {"refused", "It was declined."}});
        }
        if (fate == Fate::never_heard) return done({.outcome = GatewayOutcome::not_found});
        if (fate == Fate::took_all || fate == Fate::took_too_much) {
            return done({.outcome = GatewayOutcome::succeeded,
                         .captured_minor = request.amount.minor + (fate == Fate::took_too_much ? 1 : 0)});
        }
        GatewayResult result{.outcome = GatewayOutcome::unknown};
        if (fate != Fate::loses_request) {
            ask([&](GatewayResult provided) {
                if (fate == Fate::holds_answer) result = std::move(provided);
            });
        }
        if (fate == Fate::stays_pending) result.outcome = GatewayOutcome::pending;
        if (fate != Fate::holds_answer) return done(std::move(result));
        held_.push_back([done = std::make_shared<GatewayDone>(std::move(done)), result] { (*done)(result); });
    }

    std::vector<std::function<void()>> held_;
};

/// What a process holds in memory; a crash destroys it and leaves the database and the provider.
class Process {
public:
    Process(const db::DatabaseOptions& database, const Clock& clock, Random& random, Gateway& gateway,
            CaptureMode mode, std::vector<contracts::PaymentUpdated>& updates,
            std::vector<messaging::Message>& messages)
        : ids_(clock, random),
          session(database),
          reader(database),
          writers(clock),
          readers(clock),
          bus(clock, random,
              {.routes = {{std::string(contracts::payment_events_topic),
                           std::string(contracts::payment_service_subscription)},
                          {std::string(contracts::order_updates_topic),
                           std::string(contracts::order_service_subscription)}}}),
          outbox_(session.dialect()),
          relay(writers, outbox_, bus, random, clock, {.alone = true}, nullptr),
          service(writers, readers, session.dialect(), gateway, relay, ids_, random, clock, metrics_, mode),
          payments_(bus.subscribe(std::string(contracts::payment_service_subscription),
                                  [this](std::vector<messaging::Delivery> deliveries) {
                                      service.receive(std::move(deliveries));
                                  })),
          orders_(bus.subscribe(std::string(contracts::order_service_subscription),
                                [&](std::vector<messaging::Delivery> deliveries) {
                                    for (auto& delivery : deliveries) {
                                        updates.push_back(*contracts::parse_order_update(
                                            delivery.message.type, delivery.message.data));
                                        messages.push_back(std::move(delivery.message));
                                        std::move(delivery.handle).ack();
                                    }
                                })) {}

    /// Works until nothing is left to do at this moment of the clock. The second round is for what the first
    /// one made due.
    void settle() {
        for (int round = 0; round < 2; ++round) {
            service.step();
            relay.step();
            while (bus.step() || writers.step(session) || readers.step(reader)) {
            }
        }
    }

private:
    IdGenerator ids_;
    telemetry::Metrics metrics_;

public:
    db::Session session;
    db::Session reader;
    db::Scheduler writers;
    db::Scheduler readers;
    messaging::EmbeddedBus bus;

private:
    messaging::Outbox outbox_;

public:
    messaging::Relay relay;
    PaymentService service;

private:
    std::unique_ptr<messaging::Subscription> payments_;
    std::unique_ptr<messaging::Subscription> orders_;
};

class PaymentWorld : public testing::Test {
protected:
    using Fate = ScriptedGateway::Fate;

    PaymentWorld() : ids_(clock, random_) { start(); }

    [[nodiscard]] std::unique_ptr<Process> start_with(Gateway& other) {
        return std::make_unique<Process>(database_.options(), clock, random_, other, mode, updates, messages);
    }
    void start() { process = start_with(gateway); }
    /// What was published and not acknowledged is published again, as the other service's outbox would.
    void crash_and_restart() {
        process.reset();
        start();
        for (const auto& [id, message] : std::map(unanswered_))
            send(message);
    }
    void settle() { process->settle(); }
    /// Lets time pass in steps in which everything that comes due is done.
    void pass(std::chrono::milliseconds duration, std::chrono::milliseconds step = std::chrono::seconds(1)) {
        for (auto left = duration; left.count() > 0; left -= step) {
            clock.advance(std::min(left, step));
            settle();
        }
    }

    [[nodiscard]] contracts::OrderCreated created(std::string method = "pm_card_visa", int attempt = 1) {
        contracts::OrderCreated event;
        event.order_id = ids_.generate<OrderId>();
        event.user_id = ids_.generate<UserId>();
        event.amount = {1250, *Currency::parse("EUR")};
        event.payment_method = std::move(method);
        event.attempt = attempt;
        return event;
    }
    [[nodiscard]] static contracts::OrderCanceled canceled(const contracts::PaymentRequested& event) {
        return {event.order_id, event.user_id, event.amount, event.attempt};
    }

    template <class Event>
    [[nodiscard]] messaging::Message message_of(const Event& event) {
        return {.id = ids_.generate<EventId>().to_string(),
                .type = std::string(Event::type),
                .source = "/order-service",
                .time = clock.now(),
                .ordering_key = event.order_id.to_string(),
                .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                .data = to_json(event)};
    }
    void send(const messaging::Message& message) {
        {
            const std::lock_guard lock(mutex_);
            unanswered_[message.id] = message;
        }
        std::vector<messaging::Outgoing> outgoing;
        outgoing.push_back({message, [this, id = message.id](const messaging::PublishResult& result) {
                                if (result.outcome == messaging::PublishOutcome::failed) return;
                                const std::lock_guard lock(mutex_);
                                unanswered_.erase(id);
                                if (result.outcome == messaging::PublishOutcome::dead_lettered) {
                                    dead_letters[id] = result;
                                } else {
                                    ++acknowledged[id];
                                }
                            }});
        process->bus.publish(std::string(contracts::payment_events_topic), std::move(outgoing));
    }
    template <class Event>
    messaging::Message publish(const Event& event) {
        const auto message = message_of(event);
        send(message);
        return message;
    }
    /// As `publish`, but beside the order of the events before it, as a broker may do after a redelivery.
    template <class Event>
    messaging::Message publish_beside(const Event& event) {
        auto message = message_of(event);
        message.ordering_key = message.id;
        send(message);
        return message;
    }

    [[nodiscard]] std::vector<Payment> payments_of(const OrderId& order_id,
                                                   const Principal& caller = {UserId(), Role::admin}) {
        std::optional<Result<std::vector<Payment>>> answer;
        process->service.list_by_order(order_id, caller, [&](auto result) { answer = std::move(result); });
        while (process->readers.step(process->reader)) {
        }
        if (!answer || !*answer) throw std::logic_error("the list was not answered");
        return **answer;
    }
    [[nodiscard]] Payment payment_of(const OrderId& order_id) {
        const auto payments = payments_of(order_id);
        if (payments.size() != 1) throw std::logic_error("the order does not have one payment");
        return payments.front();
    }
    /// The provider has told of this payment: it is due.
    void tell_of(Payment payment) {
        payment.next_look_up_at = clock.now();
        db::Transaction transaction(process->session);
        PaymentStore(process->session.dialect()).reschedule(process->session, std::span(&payment, 1));
        transaction.commit();
        settle();
    }
    [[nodiscard]] std::vector<Refund> refunds_of(const OrderId& order_id) {
        std::optional<Result<std::vector<Refund>>> answer;
        process->service.list_refunds(payment_of(order_id).id,
                                      [&](auto result) { answer = std::move(result); });
        while (process->readers.step(process->reader)) {
        }
        if (!answer || !*answer) throw std::logic_error("the list was not answered");
        return **answer;
    }
    [[nodiscard]] contracts::RefundRequested refund_of(const contracts::PaymentRequested& event,
                                                       std::int64_t amount_minor) {
        return {ids_.generate<RefundId>(),
                event.order_id,
                event.user_id,
                {amount_minor, event.amount.currency},
                event.attempt,
                "broken"};
    }
    [[nodiscard]] std::vector<contracts::PaymentStatus> statuses_of(const OrderId& order_id) const {
        std::vector<contracts::PaymentStatus> statuses;
        for (const auto& update : updates) {
            if (update.order_id == order_id) statuses.push_back(update.status);
        }
        return statuses;
    }

private:
    SystemRandom random_;

protected:
    test_support::TestDatabase database_{db::payments_migrations()};
    ManualClock clock;
    ScriptedGateway gateway;
    CaptureMode mode = CaptureMode::automatic;       ///< Of the next process.
    std::vector<contracts::PaymentUpdated> updates;  ///< As the order service received them.
    std::vector<messaging::Message> messages;
    std::map<std::string, int> acknowledged;  ///< By event id.
    std::map<std::string, messaging::PublishResult> dead_letters;
    std::unique_ptr<Process> process;

private:
    IdGenerator ids_;
    std::mutex mutex_;  // Over what is noted of answers.
    std::map<std::string, messaging::Message> unanswered_;
};

}  // namespace quittance::payments
