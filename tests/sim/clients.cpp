#include "tests/sim/clients.hpp"

#include <utility>

#include "orders/catalogue.hpp"

namespace quittance::sim {

using orders::ChangeOrder;
using orders::CreatedOrder;
using orders::OrderStatus;
using orders::OrderView;

namespace {

constexpr int user_count = 3;
/// How often a client that is refused for now tries again.
constexpr int most_tries = 3;
constexpr milliseconds pause_after_refusal{4'000};

/// The caller is told to try again.
bool is_temporary(const Error& error) {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::overloaded ||
           error.code == ErrorCode::internal;
}

std::string name_of(const Client& client) {
    return "client " + std::to_string(client.number);
}

UserId numbered_user(int number) {
    UuidBytes bytes{};
    bytes.back() = static_cast<std::uint8_t>(number + 1);
    return UserId(bytes);
}

}  // namespace

Clients::Clients(Stage& stage, const Plan& plan, FindOrders find_orders)
    : stage_(stage),
      plan_(plan),
      dice_(plan.dice_seed, Prng::Stream::clients),
      find_orders_(std::move(find_orders)),
      admin_(numbered_user(user_count)) {
    for (int number = 0; number < user_count; ++number)
        users_.push_back(numbered_user(number));
}

void Clients::start() {
    for (const Client& client : plan_.clients) {
        ++open_;
        ++claims_.orders_wanted;
        stage_.queue.after(client.start, [this, &client] { place(client); });
    }
}

template <class T>
void Clients::ask(const std::shared_ptr<const Wish<T>>& wish, int times_asked) {
    const auto waits = std::make_shared<bool>(true);
    for (int copy = 0; copy < (wish->twice ? 2 : 1); ++copy) {
        OrdersSide* side = find_orders_();
        if (side == nullptr) return ask_again(wish, times_asked + 1);
        stage_.history.note(wish->what);
        wish->send(side->service, [this, wish, waits, times_asked](Result<T> result) {
            answered(wish, waits, times_asked, std::move(result));
        });
    }
    stage_.queue.after(dice_.milliseconds(2'000, 10'000), [this, wish, waits, times_asked] {
        if (!std::exchange(*waits, false)) return;
        stage_.history.note("no answer to: " + wish->what);
        ask_again(wish, times_asked + 1);
    });
}

template <class T>
void Clients::ask_again(const std::shared_ptr<const Wish<T>>& wish, int times_asked) {
    const milliseconds pause = dice_.milliseconds(100, 1'500) * std::min(times_asked, 60);
    stage_.queue.after(pause, [this, wish, times_asked] { ask(wish, times_asked); });
}

template <class T>
void Clients::answered(const std::shared_ptr<const Wish<T>>& wish, const std::shared_ptr<bool>& waits,
                       int times_asked, Result<T> result) {
    wish->said(result);
    if (!*waits) return;
    if (stage_.faults.pass(Border::reply, 0)) {
        stage_.history.note("answer lost to: " + wish->what);
        return;
    }
    *waits = false;
    stage_.history.note((result ? std::string("done: ") : "refused (" + result.error().detail + "): ") +
                        wish->what);
    if (!result && is_temporary(result.error())) return ask_again(wish, times_asked + 1);
    stage_.queue.after(dice_.milliseconds(1, 30),
                       [wish, result = std::move(result)] { wish->heard(result); });
}

void Clients::place(const Client& client) {
    const std::string key = "order-" + std::to_string(client.number);
    orders::CreateOrder request;
    request.request.user_id = users_.at(static_cast<std::size_t>(client.user));
    request.request.items.push_back(
        {client.free_of_charge ? std::string(free_product) : orders::demo_products().front().id,
         client.quantity, std::nullopt});
    request.request.payment_method = client.method;
    request.idempotency_key = key;
    request.fingerprint = key;
    ask(std::make_shared<const Wish<CreatedOrder>>(Wish<CreatedOrder>{
        name_of(client) + " places an order under the key " + key, client.impatient,
        [request](orders::OrderService& service, Done<CreatedOrder> done) {
            service.create(request, std::move(done));
        },
        [this, key](const Result<CreatedOrder>& result) {
            if (result) acknowledged(key, *result);
        },
        [this, &client](const Result<CreatedOrder>& result) {
            --open_;
            if (!result) throw Violation{"a good order is taken", result.error().detail};
            for (std::size_t i = 0; i < client.actions.size(); ++i) {
                ++open_;
                stage_.queue.after(client.actions[i].after, [this, &client, i, order = result->order] {
                    act(client, i, order, most_tries);
                });
            }
        }}));
}

void Clients::acknowledged(const std::string& key, const CreatedOrder& created) {
    stage_.history.note("201 for the key " + key + ": order " + tail(created.order.id.to_string()) +
                        (created.replayed ? ", again" : ""));
    const auto [first, is_new] = claims_.orders.try_emplace(key, created.order);
    if (!is_new && first->second != created.order) {
        throw Violation{"a repeated request gets the same answer",
                        "the key " + key + " was answered with order " + first->second.id.to_string() +
                            " and then with another order, or another state of it"};
    }
}

void Clients::act(const Client& client, std::size_t index, const OrderView& order, int tries) {
    const Action& action = client.actions.at(index);
    const std::string whose = " order " + tail(order.id.to_string());
    const auto refused = [this, &client, index, order, tries] {
        if (tries <= 1) return void(--open_);
        stage_.queue.after(pause_after_refusal,
                           [this, &client, index, order, tries] { act(client, index, order, tries - 1); });
    };
    const Principal owner{order.user_id, Role::customer};
    switch (action.kind) {
        case ActionKind::cancel:
            return change(client, name_of(client) + " cancels" + whose,
                          {order.id, owner, orders::SetStatus{OrderStatus::canceled, std::nullopt}, {}},
                          [this] { --open_; });
        case ActionKind::pay_again: return pay_again(client, index, order, refused);
        case ActionKind::ship:
            return change(
                client, "the shop ships" + whose,
                {order.id, {admin_, Role::admin}, orders::SetStatus{OrderStatus::shipped, std::nullopt}, {}},
                refused);
        case ActionKind::refund: return refund(client, index, order, refused);
        case ActionKind::read: return read(client, order);
    }
}

void Clients::change(const Client& client, const std::string& what, ChangeOrder request,
                     std::function<void()> refused) {
    ask(std::make_shared<const Wish<OrderView>>(
        Wish<OrderView>{what, client.impatient,
                        [request = std::move(request)](orders::OrderService& service, Done<OrderView> done) {
                            service.change(request, std::move(done));
                        },
                        [](const Result<OrderView>&) {},
                        [this, refused = std::move(refused)](const Result<OrderView>& result) {
                            if (!result) return refused();
                            --open_;
                        }}));
}

void Clients::pay_again(const Client& client, std::size_t index, const OrderView& order,
                        std::function<void()> refused) {
    const std::string key = "payment-" + std::to_string(client.number) + "-" + std::to_string(index);
    orders::PayAgain request{.id = order.id,
                             .principal = {order.user_id, Role::customer},
                             .payment_method = client.actions.at(index).method,
                             .idempotency_key = key,
                             .fingerprint = key,
                             .traceparent = {}};
    ask(std::make_shared<const Wish<orders::ChangedOrder>>(Wish<orders::ChangedOrder>{
        name_of(client) + " pays again for order " + tail(order.id.to_string()), client.impatient,
        [request = std::move(request)](orders::OrderService& service, Done<orders::ChangedOrder> done) {
            service.pay_again(request, std::move(done));
        },
        [](const Result<orders::ChangedOrder>&) {},
        [this, refused = std::move(refused)](const Result<orders::ChangedOrder>& result) {
            if (!result) return refused();
            --open_;
        }}));
}

void Clients::refund(const Client& client, std::size_t index, const OrderView& order,
                     std::function<void()> refused) {
    const Action& action = client.actions.at(index);
    const std::string key = "refund-" + std::to_string(client.number) + "-" + std::to_string(index);
    orders::RefundOrder request{.id = order.id,
                                .requested_by = admin_,
                                .reason = key,
                                .idempotency_key = key,
                                .fingerprint = key,
                                .traceparent = {}};
    if (action.percent > 0) request.amount_minor = order.total.minor * action.percent / 100;
    ask(std::make_shared<const Wish<orders::ChangedOrder>>(Wish<orders::ChangedOrder>{
        "the shop refunds " + std::to_string(request.amount_minor.value_or(0)) + " of order " +
            tail(order.id.to_string()) + " under the key " + key,
        client.impatient,
        [request](orders::OrderService& service, Done<orders::ChangedOrder> done) {
            service.refund(request, std::move(done));
        },
        [this, key, id = order.id](const Result<orders::ChangedOrder>& result) {
            if (result) {
                claims_.refunds.try_emplace(key, Claims::Refund{id, key});
            } else if (!is_temporary(result.error()) && claims_.refunds.contains(key)) {
                throw Violation{"a repeated request gets the same answer",
                                "the refund under the key " + key +
                                    " was accepted, and then refused: " + result.error().detail};
            }
        },
        [this, refused = std::move(refused)](const Result<orders::ChangedOrder>& result) {
            if (!result) return refused();
            --open_;
        }}));
}

void Clients::read(const Client& client, const OrderView& order) {
    const int known = claims_.versions[order.id];
    ask(std::make_shared<const Wish<OrderView>>(Wish<OrderView>{
        name_of(client) + " reads order " + tail(order.id.to_string()), client.impatient,
        [id = order.id, owner = order.user_id](orders::OrderService& service, Done<OrderView> done) {
            service.find(id, {owner, Role::customer}, std::move(done));
        },
        [](const Result<OrderView>&) {},
        [this, known, id = order.id](const Result<OrderView>& result) {
            --open_;
            if (!result) {
                throw Violation{"an acknowledged order exists",
                                "order " + id.to_string() + ": " + result.error().detail};
            }
            if (result->version < known) {
                throw Violation{"an order does not go back",
                                "order " + id.to_string() + " was read in version " + std::to_string(known) +
                                    " and then in version " + std::to_string(result->version)};
            }
            claims_.versions[id] = std::max(claims_.versions[id], result->version);
        }}));
}

}  // namespace quittance::sim
