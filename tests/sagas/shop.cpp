#include "tests/sagas/shop.hpp"

#include <optional>
#include <stdexcept>

namespace quittance::sagas {

namespace {

constexpr std::chrono::seconds patience{240};
constexpr const char* product_id = "mug";

/// SQLite has one writer.
int worker_count() {
    return test_support::engine_under_test() == db::Engine::sqlite ? 1 : 4;
}

messaging::EmbeddedBusOptions routes() {
    return {.routes = {{std::string(contracts::payment_events_topic),
                        std::string(contracts::payment_service_subscription)},
                       {std::string(contracts::order_updates_topic),
                        std::string(contracts::order_service_subscription)}}};
}

}  // namespace

Store::Store(const std::vector<db::Migration>& migrations, const Clock& clock)
    : database(migrations), dialect(database.options().engine), scheduler(clock), outbox(dialect) {}

void Store::start() {
    for (int i = 0; i < worker_count(); ++i) {
        threads.emplace_back([this](const std::stop_token& stop) {
            db::Session session(database.options());
            scheduler.run(session, stop);
        });
    }
}

Shop::Shop(payments::CaptureMode mode)
    : bus_(clock, random, routes()),
      orders_store_(db::orders_migrations(), clock),
      payments_store_(db::payments_migrations(), clock),
      order_rows_(orders_store_.dialect),
      products_(orders_store_.dialect),
      order_writer_(order_rows_, ids, clock),
      orders_relay_(orders_store_.scheduler, orders_store_.outbox, bus_, random, clock, {.alone = true},
                    orders::note_published(order_writer_, clock)),
      payments_relay_(payments_store_.scheduler, payments_store_.outbox, bus_, random, clock, {.alone = true},
                      nullptr),
      orders_(orders_store_.scheduler, orders_store_.scheduler, order_rows_, products_, order_writer_,
              orders_relay_, ids, clock, metrics),
      payments_(payments_store_.scheduler, payments_store_.scheduler, payments_store_.dialect, gateway,
                payments_relay_, ids, random, clock, metrics, mode),
      updates_(bus_.subscribe(std::string(contracts::order_service_subscription),
                              [this](auto deliveries) { orders_.receive(std::move(deliveries)); })),
      events_(bus_.subscribe(std::string(contracts::payment_service_subscription),
                             [this](auto deliveries) { payments_.receive(std::move(deliveries)); })) {
    {
        const auto session = orders_store_.database.connect();
        db::Transaction transaction(*session);
        products_.put(*session, {product_id, "Mug", {1250, *Currency::parse("EUR")}, true});
        transaction.commit();
    }
    orders_store_.start();
    payments_store_.start();
    threads_.emplace_back([this](const std::stop_token& stop) { bus_.run(stop); });
    threads_.emplace_back([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            orders_relay_.step();
            payments_relay_.step();
            payments_.step();
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    });
}

Shop::~Shop() {
    updates_.reset();
    events_.reset();
    threads_.clear();
    orders_store_.threads.clear();
    payments_store_.threads.clear();
}

OrderId Shop::place() {
    orders::CreateOrder request;
    request.request = {
        admin_.user_id, orders::Actor::customer, {{product_id, 1, std::nullopt}}, "pm_card_visa"};
    const auto created = ask<orders::CreatedOrder>([&](auto done) {
                             orders_.create(std::move(request), std::move(done));
                         }).get();
    if (!created) throw std::runtime_error(created.error().detail);
    return created->order.id;
}

orders::Order Shop::order(OrderId id) {
    const auto session = orders_store_.database.connect();
    db::Transaction transaction(*session);
    auto orders = order_rows_.find_and_lock(*session, std::vector{id});
    transaction.commit();
    return orders.at(0);
}

payments::Payment Shop::payment(OrderId id) {
    const auto all = ask<std::vector<payments::Payment>>([&](auto done) {
                         payments_.list_by_order(id, admin_, std::move(done));
                     }).get();
    if (all->size() != 1) throw std::runtime_error("the order does not have one payment");
    return all->front();
}

std::future<Result<orders::OrderView>> Shop::set_status(OrderId id, orders::OrderStatus status) {
    const orders::SetStatus set{status, std::nullopt};
    return ask<orders::OrderView>([&](auto done) {
        orders_.change({id, admin_, set, std::string()}, std::move(done));
    });
}

std::future<Result<orders::ChangedOrder>> Shop::refund(OrderId id, std::int64_t amount_minor) {
    orders::RefundOrder request{.id = id, .requested_by = admin_.user_id, .amount_minor = amount_minor};
    return ask<orders::ChangedOrder>([&](auto done) { orders_.refund(std::move(request), std::move(done)); });
}

std::future<Result<payments::CommandedPayment>> Shop::capture(PaymentId id, std::int64_t amount_minor) {
    return ask<payments::CommandedPayment>([&](auto done) {
        payments_.command({id, payments::CapturePayment{amount_minor}}, std::move(done));
    });
}

void Shop::publish(const contracts::RefundRequested& event) {
    std::vector<messaging::Outgoing> outgoing;
    const std::string id = ids.generate<EventId>().to_string();
    outgoing.push_back({{.id = id,
                         .type = std::string(contracts::RefundRequested::type),
                         .source = "/order-service",
                         .time = clock.now(),
                         .ordering_key = id,
                         .data = to_json(event)},
                        [](const messaging::PublishResult&) {}});
    bus_.publish(std::string(contracts::payment_events_topic), std::move(outgoing));
}

bool Shop::is_under_way() const {
    return bus_.queued() > 0 || !orders_relay_.idle() || !payments_relay_.idle() ||
           payments_.calls_in_flight() > 0;
}

void Shop::settle() {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    int times_idle = 0;
    // Between two steps everything may look idle for a moment. Our own sweeps are work for the databases,
    // too, so these need not be idle each time.
    while (times_idle < 20) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "something is still under way";
        if (is_under_way()) {
            times_idle = 0;
        } else if (orders_store_.scheduler.idle() && payments_store_.scheduler.idle()) {
            ++times_idle;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

}  // namespace quittance::sagas
