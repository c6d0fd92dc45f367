#include "tests/sim/process.hpp"

#include <utility>

#include "contracts/events.hpp"

namespace quittance::sim {

namespace {

messaging::EmbeddedBusOptions routes() {
    return {.routes = {{std::string(contracts::payment_events_topic),
                        std::string(contracts::payment_service_subscription)},
                       {std::string(contracts::order_updates_topic),
                        std::string(contracts::order_service_subscription)}}};
}

bool is_idle(const messaging::Relay& relay, const Store& store) {
    return relay.idle() && store.scheduler.idle();
}

}  // namespace

OrdersSide::OrdersSide(const Surroundings& around, messaging::Bus& bus, IdGenerator& ids,
                       telemetry::Metrics& metrics)
    : store(around.orders, around.stage.clock),
      rows_(store.session.dialect()),
      products_(store.session.dialect()),
      writer_(rows_, ids, around.stage.clock),
      relay(store.scheduler, store.outbox, bus, around.random, around.stage.clock,
            {.alone = around.layout == Layout::all_in_one},
            orders::note_published(writer_, around.stage.clock)),
      service(store.scheduler, store.scheduler, rows_, products_, writer_, relay, ids, around.stage.clock,
              metrics),
      updates_(bus.subscribe(std::string(contracts::order_service_subscription),
                             [this](auto deliveries) { service.receive(std::move(deliveries)); })) {}

void OrdersSide::step() {
    relay.step();
    service.step();
}

PaymentsSide::PaymentsSide(const Surroundings& around, messaging::Bus& bus, int process,
                           std::shared_ptr<const bool> alive, IdGenerator& ids, telemetry::Metrics& metrics)
    : store(around.payments, around.stage.clock),
      gateway_(around.stage, around.provider, around.dice, process, std::move(alive)),
      relay(store.scheduler, store.outbox, bus, around.random, around.stage.clock,
            {.alone = around.layout == Layout::all_in_one}, nullptr),
      service(store.scheduler, store.scheduler, store.session.dialect(), gateway_, relay, ids, around.random,
              around.stage.clock, metrics, around.capture_mode),
      notices(store.scheduler, store.session.dialect(), around.random, around.stage.clock, metrics),
      events_(bus.subscribe(std::string(contracts::payment_service_subscription),
                            [this](auto deliveries) { service.receive(std::move(deliveries)); })) {}

void PaymentsSide::step() {
    relay.step();
    notices.step();
    service.step();
}

Process::Process(const Surroundings& around, int number)
    : stage_(around.stage), number_(number), ids_(around.stage.clock, around.random) {
    if (around.layout == Layout::all_in_one) {
        embedded_bus_.emplace(around.stage.clock, around.random, routes());
        bus_.emplace(around.stage, *embedded_bus_, number, alive_, around.watch);
    } else {
        bus_.emplace(around.stage, around.broker, number, alive_, around.watch);
    }
    if (serves_orders(around.layout, number)) orders_.emplace(around, *bus_, ids_, metrics_);
    if (serves_payments(around.layout, number))
        payments_.emplace(around, *bus_, number, alive_, ids_, metrics_);
}

Process::~Process() {
    *alive_ = false;
}

void Process::tick() {
    if (orders_) orders_->step();
    if (payments_) payments_->step();
}

bool Process::work() {
    const FaultyStatements faulty(stage_, number_);
    bool worked = orders_ && orders_->store.scheduler.step(orders_->store.session);
    worked |= payments_ && payments_->store.scheduler.step(payments_->store.session);
    worked |= embedded_bus_ && embedded_bus_->step();
    return worked;
}

bool Process::has_work() const {
    return (orders_ && !orders_->store.scheduler.idle()) ||
           (payments_ && !payments_->store.scheduler.idle()) ||
           (embedded_bus_ && embedded_bus_->queued() > 0);
}

bool Process::idle() const {
    return !has_work() && (!orders_ || is_idle(orders_->relay, orders_->store)) &&
           (!payments_ ||
            (is_idle(payments_->relay, payments_->store) && payments_->service.calls_in_flight() == 0));
}

}  // namespace quittance::sim
