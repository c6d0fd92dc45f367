#include "audit/order_audit.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "orders/order_store.hpp"
#include "payments/payment_store.hpp"
#include "payments/reconciliation.hpp"

namespace quittance::audit {

namespace {

using contracts::PaymentStatus;
using orders::Order;
using orders::OrderStatus;
using payments::Payment;

constexpr std::int64_t orders_per_page = 1'000;

struct Sums {
    std::int64_t captured = 0;
    std::int64_t refunded = 0;

    bool operator==(const Sums&) const = default;
};

Sums sums_of(const Order& order) {
    if (order.attempts.empty()) return {order.captured_minor, order.refunded_minor};
    Sums sums;
    for (const orders::PaymentAttempt& attempt : order.attempts) {
        sums.captured += attempt.captured_minor;
        sums.refunded += attempt.refunded_minor;
    }
    return sums;
}

Sums sums_of(std::span<const Payment> payments) {
    Sums sums;
    for (const Payment& payment : payments) {
        sums.captured += payment.captured_minor;
        sums.refunded += payment.refunded_minor;
    }
    return sums;
}

std::string in_words(const Sums& sums) {
    return "captured " + std::to_string(sums.captured) + ", refunded " + std::to_string(sums.refunded);
}

bool holds_money(const Payment& payment) {
    return payment.captured_minor > payment.refunded_minor;
}

bool waits_for_payment(const Order& order) {
    return order.status == OrderStatus::pending || order.status == OrderStatus::processing;
}

bool is_undecided(PaymentStatus status) {
    return status == PaymentStatus::pending || status == PaymentStatus::unknown;
}

/// Whether a payment has been made, as far as the order's status tells.
bool shows_paid(const Order& order) {
    return order.status == OrderStatus::paid || order.status == OrderStatus::shipped ||
           order.status == OrderStatus::delivered || order.status == OrderStatus::refunded;
}

/// Of one order, with what it is compared with.
class Comparison {
public:
    Comparison(const Order& order, std::span<const Payment> payments)
        : order_(order), payments_(payments), ours_(sums_of(order)), theirs_(sums_of(payments)) {}

    std::vector<OrderDifference> run() {
        find_missing_payment();
        compare_amounts();
        compare_payment_status();
        compare_status();
        find_money_in_the_wrong_place();
        find_refunds_without_outcome();
        return std::move(found_);
    }

private:
    [[nodiscard]] const Payment* shown_payment() const {
        const auto found = std::ranges::find(payments_, order_.shown_attempt, &Payment::attempt);
        return found == payments_.end() ? nullptr : &*found;
    }

    void note(OrderDifferenceKind kind, std::string detail, const Payment* payment = nullptr) {
        found_.push_back({kind, order_.id, payment == nullptr ? std::string() : payment->id.to_string(),
                          std::move(detail)});
    }

    void find_missing_payment() {
        if (shown_payment() != nullptr) return;
        const std::string which = "attempt " + std::to_string(order_.shown_attempt);
        if (waits_for_payment(order_) || is_undecided(order_.payment_status)) {
            note(OrderDifferenceKind::order_without_payment,
                 "it is " + std::string(orders::to_string(order_.status)) + " and waits for the payment of " +
                     which + ", which does not exist");
        } else if (order_.captured_minor > 0) {
            note(OrderDifferenceKind::order_without_payment,
                 in_words(ours_) + " by " + which + ", and no such payment exists");
        }
    }

    void compare_amounts() {
        if (ours_ == theirs_) return;
        note(OrderDifferenceKind::order_amounts_differ,
             "the order shows " + in_words(ours_) + "; its payments say " + in_words(theirs_));
    }

    void compare_payment_status() {
        const Payment* payment = shown_payment();
        if (payment == nullptr || payment->status == order_.payment_status) return;
        note(OrderDifferenceKind::order_status_differs,
             "the order shows the payment as " + std::string(contracts::to_string(order_.payment_status)) +
                 "; it is " + std::string(contracts::to_string(payment->status)),
             payment);
    }

    void compare_status() {
        const std::string status(orders::to_string(order_.status));
        if (shows_paid(order_) && order_.total.minor > 0 && theirs_.captured == 0) {
            note(OrderDifferenceKind::order_status_differs, "it is " + status + ", and nothing was captured");
        }
        const bool shows_unpaid = waits_for_payment(order_) || order_.status == OrderStatus::payment_failed;
        if (shows_unpaid && theirs_.captured > theirs_.refunded) {
            note(OrderDifferenceKind::order_status_differs,
                 "it is " + status + ", and its payments hold " +
                     std::to_string(theirs_.captured - theirs_.refunded));
        }
        if (order_.status == OrderStatus::refunded && theirs_.captured != theirs_.refunded) {
            note(OrderDifferenceKind::order_status_differs, "it is " + status + ", and " + in_words(theirs_));
        }
    }

    void find_money_in_the_wrong_place() {
        const Payment* holder = nullptr;
        for (const Payment& payment : payments_) {
            if (!holds_money(payment)) continue;
            const std::string held = std::to_string(payment.captured_minor - payment.refunded_minor);
            if (order_.status == OrderStatus::canceled) {
                note(OrderDifferenceKind::canceled_order_holds_money,
                     "it is CANCELED, and attempt " + std::to_string(payment.attempt) + " holds " + held,
                     &payment);
            }
            if (holder != nullptr) {
                note(OrderDifferenceKind::captured_by_several,
                     "attempt " + std::to_string(payment.attempt) + " holds " + held + " beside attempt " +
                         std::to_string(holder->attempt),
                     &payment);
            }
            holder = &payment;
        }
    }

    void find_refunds_without_outcome() {
        for (const orders::OpenRefund& refund : order_.open_refunds) {
            note(OrderDifferenceKind::refund_without_outcome,
                 "the order reserves " + std::to_string(refund.amount_minor) + " for refund " +
                     refund.id.to_string() + ", which is not under way");
        }
    }

    const Order& order_;
    std::span<const Payment> payments_;
    const Sums ours_;
    const Sums theirs_;
    std::vector<OrderDifference> found_;
};

bool is_settled_without_money(const Payment& payment) {
    return payments::is_over(payment) && !holds_money(payment) && !payments::is_under_way(payment);
}

/// The payments of a page of orders, ascending by attempt.
using PaymentsByOrder = std::unordered_map<OrderId, std::vector<Payment>>;

class Audit {
public:
    Audit(db::Session& orders, db::Session& payments, Timestamp now, const OrderAuditOptions& options)
        : orders_(orders),
          payments_(payments),
          order_store_(orders.dialect()),
          payment_store_(payments.dialect()),
          settled_before_(now - options.news_arrive_within),
          options_(options) {}

    OrderAudit run() {
        compare_orders();
        find_payments_without_order();
        return std::move(audit_);
    }

private:
    void compare_orders() {
        OrderId after;
        while (true) {
            const std::vector<Order> page = order_store_.page(orders_, after, orders_per_page);
            if (page.empty()) return;
            const PaymentsByOrder payments = payments_of(page);
            const bool differs = std::ranges::any_of(page, [&](const Order& order) {
                return !judge(order, payments).value_or(std::vector<OrderDifference>()).empty();
            });
            // Between reading the two, news may have arrived.
            if (differs) {
                const std::vector<Order> again = order_store_.page(orders_, after, orders_per_page);
                record(again, payments_of(again));
                after = again.back().id;
            } else {
                record(page, payments);
                after = page.back().id;
            }
            report("orders", audit_.compared + audit_.under_way);
        }
    }

    [[nodiscard]] PaymentsByOrder payments_of(const std::vector<Order>& page) const {
        std::vector<payments::Visible<OrderId>> wanted;
        wanted.reserve(page.size());
        for (const Order& order : page)
            wanted.push_back({order.id, std::nullopt});
        PaymentsByOrder found;
        for (Payment& payment : payment_store_.list(payments_, wanted)) {
            const OrderId order_id = payment.order_id;
            found[order_id].push_back(std::move(payment));
        }
        for (auto& [order_id, all] : found)
            std::ranges::sort(all, {}, &Payment::attempt);
        return found;
    }

    /// Nothing while something is under way.
    [[nodiscard]] std::optional<std::vector<OrderDifference>> judge(const Order& order,
                                                                    const PaymentsByOrder& payments) const {
        const auto found = payments.find(order.id);
        const std::span<const Payment> all =
            found == payments.end() ? std::span<const Payment>() : std::span(found->second);
        const bool is_quiet =
            order.updated_at <= settled_before_ && std::ranges::all_of(all, [&](const Payment& payment) {
                return payment.updated_at <= settled_before_ && !payments::is_under_way(payment);
            });
        if (!is_quiet) return std::nullopt;
        return compare(order, all);
    }

    void record(const std::vector<Order>& page, const PaymentsByOrder& payments) {
        for (const Order& order : page) {
            auto differences = judge(order, payments);
            if (!differences) {
                ++audit_.under_way;
                continue;
            }
            ++audit_.compared;
            for (OrderDifference& difference : *differences)
                add(std::move(difference));
        }
    }

    void find_payments_without_order() {
        PaymentId after;
        std::int64_t done = 0;
        while (true) {
            const std::vector<Payment> page = payment_store_.page(payments_, after, orders_per_page);
            if (page.empty()) return;
            after = page.back().id;
            std::vector<OrderId> ids;
            ids.reserve(page.size());
            for (const Payment& payment : page)
                ids.push_back(payment.order_id);
            std::unordered_set<OrderId> known;
            for (const orders::OrderView& order : order_store_.find(orders_, ids))
                known.insert(order.id);
            for (const Payment& payment : page) {
                if (known.contains(payment.order_id) || is_settled_without_money(payment)) continue;
                add({OrderDifferenceKind::payment_without_order, payment.order_id, payment.id.to_string(),
                     "it is " + std::string(contracts::to_string(payment.status)) + ", " +
                         in_words(sums_of(std::span(&payment, 1))) + ", and there is no such order"});
            }
            done += std::ssize(page);
            report("payments", done);
        }
    }

    void report(std::string_view what, std::int64_t done) const {
        if (options_.report) options_.report(what, done);
    }

    void add(OrderDifference difference) {
        if (audit_.differences.size() < options_.max_differences) {
            audit_.differences.push_back(std::move(difference));
        } else {
            audit_.more = true;
        }
    }

    db::Session& orders_;
    db::Session& payments_;
    const orders::OrderStore order_store_;
    const payments::PaymentStore payment_store_;
    const Timestamp settled_before_;
    const OrderAuditOptions& options_;
    OrderAudit audit_;
};

}  // namespace

std::string_view to_string(OrderDifferenceKind kind) {
    switch (kind) {
        case OrderDifferenceKind::payment_without_order: return "payment_without_order";
        case OrderDifferenceKind::order_without_payment: return "order_without_payment";
        case OrderDifferenceKind::order_amounts_differ: return "order_amounts_differ";
        case OrderDifferenceKind::order_status_differs: return "order_status_differs";
        case OrderDifferenceKind::canceled_order_holds_money: return "canceled_order_holds_money";
        case OrderDifferenceKind::captured_by_several: return "captured_by_several";
        case OrderDifferenceKind::refund_without_outcome: return "refund_without_outcome";
    }
    return "";
}

std::vector<OrderDifference> compare(const Order& order, std::span<const Payment> payments) {
    return Comparison(order, payments).run();
}

OrderAudit audit_orders(db::Session& orders, db::Session& payments, Timestamp now,
                        const OrderAuditOptions& options) {
    return Audit(orders, payments, now, options).run();
}

}  // namespace quittance::audit
