// The clients: each orders once, asks again until it is answered, and then changes its mind as planned.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orders/order_service.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/prng.hpp"
#include "tests/sim/process.hpp"

namespace quittance::sim {

/// What the services have said to their callers, whether it arrived or not: they are held to it.
struct Claims {
    struct Refund {
        OrderId order_id;
        std::string key;  ///< Also the refund's reason, by which it is found again.
    };
    std::size_t orders_wanted = 0;
    std::map<std::string, orders::OrderView> orders;  ///< Acknowledged, by idempotency key.
    std::map<std::string, Refund> refunds;            ///< Accepted, by idempotency key.
    std::map<OrderId, int> versions;                  ///< The newest that a client has read.
};

class Clients {
public:
    /// A process that serves orders now, or none.
    using FindOrders = std::function<OrdersSide*()>;

    Clients(Stage& stage, const Plan& plan, FindOrders find_orders);

    void start();
    /// Every client has had its answers.
    [[nodiscard]] bool done() const { return open_ == 0; }
    [[nodiscard]] const Claims& claims() const { return claims_; }

private:
    template <class T>
    using Done = absl::AnyInvocable<void(Result<T>)>;
    /// One thing that a client wants, however often it has to ask.
    template <class T>
    struct Wish {
        std::string what;
        bool twice = false;  ///< Sends it twice at once.
        std::function<void(orders::OrderService&, Done<T>)> send;
        std::function<void(const Result<T>&)> said;   ///< At the service, for each answer.
        std::function<void(const Result<T>&)> heard;  ///< At the client, for the answer that settles it.
    };

    template <class T>
    void ask(const std::shared_ptr<const Wish<T>>& wish, int times_asked = 0);
    template <class T>
    void ask_again(const std::shared_ptr<const Wish<T>>& wish, int times_asked);
    template <class T>
    void answered(const std::shared_ptr<const Wish<T>>& wish, const std::shared_ptr<bool>& waits,
                  int times_asked, Result<T> result);

    void place(const Client& client);
    void acknowledged(const std::string& key, const orders::CreatedOrder& created);
    void act(const Client& client, std::size_t action, const orders::OrderView& order, int tries);
    void change(const Client& client, const std::string& what, orders::ChangeOrder request,
                std::function<void()> refused);
    void pay_again(const Client& client, std::size_t index, const orders::OrderView& order,
                   std::function<void()> refused);
    void refund(const Client& client, std::size_t action, const orders::OrderView& order,
                std::function<void()> refused);
    void read(const Client& client, const orders::OrderView& order);

    Stage& stage_;
    const Plan& plan_;
    Prng dice_;
    FindOrders find_orders_;
    std::vector<UserId> users_;
    UserId admin_;
    Claims claims_;
    std::size_t open_ = 0;
};

}  // namespace quittance::sim
