#include "bench/one_thread_shop.hpp"

#include <deque>
#include <exception>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>

#include "contracts/events.hpp"
#include "http/dispatch.hpp"
#include "http/request_parser.hpp"
#include "http/response_head.hpp"
#include "orders/order_http.hpp"

namespace quittance::bench {

namespace {

messaging::EmbeddedBusOptions routes() {
    return {.routes = {{std::string(contracts::payment_events_topic),
                        std::string(contracts::payment_service_subscription)},
                       {std::string(contracts::order_updates_topic),
                        std::string(contracts::order_service_subscription)}}};
}

std::string host_and_token(const std::string& token) {
    return " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n";
}

http::RequestParser parse(std::string_view text) {
    http::RequestParser parser({.max_header_bytes = 16 * 1024, .max_body_bytes = 64 * 1024});
    if (parser.consume(text) != http::RequestParser::Progress::complete) {
        throw std::runtime_error("the request is not whole");
    }
    return parser;
}

}  // namespace

OneThreadShop::Store::Store(const std::filesystem::path& file, const std::vector<db::Migration>& migrations,
                            const Clock& clock)
    : session(db::DatabaseOptions::parse(Secret("sqlite:" + file.string()))),
      scheduler(clock),
      outbox(session.dialect()) {
    db::migrate(session, migrations, clock.now());
}

OneThreadShop::OneThreadShop(const std::filesystem::path& folder)
    : bus_(clock_, random_, routes()),
      orders_store_(folder / "orders.db", db::orders_migrations(), clock_),
      payments_store_(folder / "payments.db", db::payments_migrations(), clock_),
      order_rows_(orders_store_.session.dialect()),
      products_(orders_store_.session.dialect()),
      order_writer_(order_rows_, ids_, clock_),
      orders_relay_(orders_store_.scheduler, orders_store_.outbox, bus_, random_, clock_, {.alone = true},
                    orders::note_published(order_writer_, clock_)),
      payments_relay_(payments_store_.scheduler, payments_store_.outbox, bus_, random_, clock_,
                      {.alone = true}, nullptr),
      orders_(orders_store_.scheduler, orders_store_.scheduler, order_rows_, products_, order_writer_,
              orders_relay_, ids_, clock_, metrics_),
      payments_(payments_store_.scheduler, payments_store_.scheduler, payments_store_.session.dialect(),
                gateway_, payments_relay_, ids_, random_, clock_, metrics_, payments::CaptureMode::automatic),
      issuer_({users::SigningKey::load_or_create(folder / "key.pem")}, {}, clock_, random_),
      keys_(issuer_.jwks()),
      verifier_(keys_, clock_, {issuer_.names().issuer, issuer_.names().audience}),
      token_(issuer_.issue({ids_.generate<UserId>(), Role::customer})),
      updates_(bus_.subscribe(std::string(contracts::order_service_subscription),
                              [this](auto deliveries) { orders_.receive(std::move(deliveries)); })),
      events_(bus_.subscribe(std::string(contracts::payment_service_subscription),
                             [this](auto deliveries) { payments_.receive(std::move(deliveries)); })) {
    orders::add_order_routes(router_, orders_, verifier_);
    {
        db::Transaction transaction(orders_store_.session);
        for (const orders::Product& product : orders::demo_products())
            products_.put(orders_store_.session, product);
        transaction.commit();
    }
    carry_orders();
}

std::vector<std::string> OneThreadShop::ask(const std::vector<std::string>& requests, int status) {
    std::deque<http::RequestParser> waiting;
    std::vector<std::string> bodies(requests.size());
    std::size_t answered = 0;
    std::string head;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        http::RequestParser& parser = waiting.emplace_back(parse(requests[i]));
        http::Request& request = parser.request();
        http::identify(request, random_);
        const auto found = http::dispatch(router_, parser.target(), request);
        if (found.handler == nullptr) throw std::runtime_error("no handler for " + requests[i]);
        boost::asio::co_spawn(context_, (*found.handler)(request),
                              [&, i](const std::exception_ptr& failure, http::Response response) {
                                  if (failure) std::rethrow_exception(failure);
                                  if (response.status != status) throw std::runtime_error(response.body);
                                  head.clear();
                                  http::append_response_head(
                                      head, response,
                                      {.request_id = request.request_id, .date = "now", .connection = ""});
                                  bodies[i] = std::move(response.body);
                                  ++answered;
                              });
    }
    context_.restart();
    context_.poll();
    while (answered < requests.size()) {
        if (!orders_store_.step()) throw std::runtime_error("a request is not answered");
        context_.restart();
        context_.poll();
    }
    return bodies;
}

void OneThreadShop::carry_orders() {
    const auto idle = [this] {
        return bus_.queued() == 0 && orders_relay_.idle() && payments_relay_.idle() &&
               orders_store_.scheduler.idle() && payments_store_.scheduler.idle();
    };
    do {
        clock_.advance(std::chrono::milliseconds(1));
        orders_relay_.step();
        payments_relay_.step();
        payments_.step();
        while (bus_.step() || orders_store_.step() || payments_store_.step()) {
        }
    } while (!idle());
}

std::string OneThreadShop::order_request(std::size_t number) const {
    const auto products = orders::demo_products();
    std::vector<std::string> sold;
    for (const orders::Product& product : products) {
        if (product.active && product.unit_price.currency == products.front().unit_price.currency)
            sold.push_back(product.id);
    }
    std::string items;
    for (std::size_t item = 0; item <= number % 5; ++item) {
        items += items.empty() ? "[" : ",";
        items += R"({"productId":")" + sold.at((number + item) % sold.size()) + R"(","quantity":2})";
    }
    const std::string body = R"({"items":)" + items + R"(],"paymentMethod":"pm_card_visa"})";
    return "POST /orders" + host_and_token(token_) +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
}

std::string OneThreadShop::read_request(std::string_view order_id) const {
    return "GET /orders/" + std::string(order_id) + host_and_token(token_) + "\r\n";
}

}  // namespace quittance::bench
