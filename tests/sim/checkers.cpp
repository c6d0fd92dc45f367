#include "tests/sim/checkers.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "audit/order_audit.hpp"
#include "contracts/events.hpp"
#include "orders/order.hpp"
#include "payments/ledger_audit.hpp"

namespace quittance::sim {

namespace {

using orders::OrderStatus;

/// What the provider's books say of one order.
struct Money {
    std::int64_t captured = 0;
    std::int64_t refunded = 0;
    std::int64_t held = 0;
};

struct StoredOrder {
    std::string id;
    OrderStatus status = OrderStatus::pending;
    std::int64_t total = 0;
    std::int64_t captured = 0;
    std::int64_t refunded = 0;
    std::int64_t version = 0;
};

[[noreturn]] void broken(std::string rule, const std::string& order_id, const std::string& what) {
    throw Violation{std::move(rule), "order " + order_id + " " + what};
}

/// Where an event stands among those of its order and topic.
std::int64_t rank_of(const messaging::Message& message) {
    if (message.type == contracts::PaymentUpdated::type) {
        return contracts::parse_order_update(message.type, message.data).value().sequence;
    }
    const auto event = contracts::parse_payment_event(message.type, message.data);
    return std::visit([](const auto& one) { return static_cast<std::int64_t>(one.attempt); }, event.value());
}

/// Messages with the same text stand in an order: those of one attempt, as far as updates are concerned.
std::string queue_of(const messaging::Message& message) {
    std::string queue = message.source + " " + message.ordering_key;
    if (message.type == contracts::PaymentUpdated::type) {
        const auto update = contracts::parse_order_update(message.type, message.data);
        queue += " " + std::to_string(update.value().attempt());
    }
    return queue;
}

std::string effect_of(const contracts::PaymentEvent& event, Database& payments) {
    return std::visit(
        [&](const auto& one) -> std::string {
            using Event = std::remove_cvref_t<decltype(one)>;
            const std::string order_id = one.order_id.to_string();
            const std::string attempt = std::to_string(one.attempt);
            const std::string of_attempt =
                "SELECT COUNT(*) FROM payments WHERE order_id = ? AND attempt = CAST(? AS INTEGER)";
            if constexpr (std::is_same_v<Event, contracts::RefundRequested>) {
                return payments.number("SELECT COUNT(*) FROM refunds WHERE id = ?",
                                       {one.refund_id.to_string()}) == 1
                           ? ""
                           : "its refund is not stored";
            } else if constexpr (std::is_same_v<Event, contracts::OrderCanceled>) {
                return payments.number(
                           of_attempt + " AND (cancel_requested = 1 OR status IN ('FAILED', 'REFUNDED'))",
                           {order_id, attempt}) == 1
                           ? ""
                           : "the payment does not know of it";
            } else {
                return payments.number(of_attempt, {order_id, attempt}) == 1 ? ""
                                                                             : "its payment is not stored";
            }
        },
        event);
}

std::string effect_of(const contracts::PaymentUpdated& update, Database& orders) {
    // Of an order with a single attempt the list of attempts is empty.
    const auto found = orders.rows(
        "SELECT payment_sequence, open_refunds, COALESCE((SELECT json_extract(value, '$.sequence') FROM "
        "json_each(attempts) WHERE json_extract(value, '$.attempt') = CAST(? AS INTEGER)), payment_sequence) "
        "FROM orders WHERE id = ?",
        {std::to_string(update.attempt()), update.order_id.to_string()});
    if (found.empty()) return "its order is not stored";
    const std::int64_t heard = std::min(std::stoll(found[0][0]), std::stoll(found[0][2]));
    if (heard < update.sequence) return "the order does not know of it";
    const bool open =
        update.refund && found[0][1].find(update.refund->refund_id.to_string()) != std::string::npos;
    return open ? "its refund is still open" : "";
}

std::map<std::string, Money> money_by_order(const Provider& provider) {
    std::map<std::string, Money> money;
    for (const auto& [reference, charge] : provider.charges()) {
        Money& of_order = money[charge.order_id.to_string()];
        of_order.captured += charge.captured_minor;
        of_order.refunded += charge.refunded_minor;
        if (charge.outcome == payments::GatewayOutcome::succeeded) of_order.held += charge.authorized_minor;
    }
    return money;
}

std::vector<StoredOrder> stored_orders(Database& orders) {
    std::vector<StoredOrder> stored;
    for (const auto& row : orders.rows("SELECT id, status, total_amount, captured_amount, refunded_amount, "
                                       "version FROM orders ORDER BY id")) {
        stored.push_back({row[0], orders::parse_order_status(row[1]).value(), std::stoll(row[2]),
                          std::stoll(row[3]), std::stoll(row[4]), std::stoll(row[5])});
    }
    return stored;
}

/// Whether the status says what the books say.
bool is_truthful(OrderStatus status, std::int64_t total, const Money& money) {
    const std::int64_t kept = money.captured - money.refunded;
    switch (status) {
        case OrderStatus::paid:
        case OrderStatus::shipped:
        case OrderStatus::delivered: return kept > 0 || total == 0;
        case OrderStatus::refunded: return (money.captured > 0 || total == 0) && kept == 0;
        case OrderStatus::canceled:
        case OrderStatus::payment_failed: return kept == 0;
        case OrderStatus::pending:
        case OrderStatus::processing: return false;
    }
    return false;
}

void check_order(const StoredOrder& order, const Money& money) {
    const std::string books = "; the provider took " + std::to_string(money.captured) + " and gave back " +
                              std::to_string(money.refunded);
    if (money.captured - money.refunded > order.total) {
        broken("no more is taken than the order's total", order.id,
               "costs " + std::to_string(order.total) + books);
    }
    if (!is_truthful(order.status, order.total, money)) {
        broken("an order's status says the truth", order.id,
               "is " + std::string(orders::to_string(order.status)) + books);
    }
    if (money.held > 0) {
        broken("nothing stays reserved", order.id,
               "is " + std::string(orders::to_string(order.status)) + ", and the provider still reserves " +
                   std::to_string(money.held));
    }
    const bool has_kept = money.captured > money.refunded;
    if (has_kept && (order.captured - order.refunded != money.captured - money.refunded)) {
        broken("an order's amounts say the truth", order.id,
               "has captured " + std::to_string(order.captured) + " and refunded " +
                   std::to_string(order.refunded) + books);
    }
}

void check_history(const StoredOrder& order, Database& orders) {
    const auto lines = orders.rows(
        "SELECT version, status, created_at FROM order_history WHERE order_id = ? ORDER BY version",
        {order.id});
    if (std::ssize(lines) != order.version) {
        broken("the history has no gap", order.id,
               "has version " + std::to_string(order.version) + " and " + std::to_string(lines.size()) +
                   " lines of history");
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const OrderStatus status = orders::parse_order_status(lines[i][1]).value();
        if (std::stoull(lines[i][0]) != i + 1) broken("the history has no gap", order.id, "lacks a version");
        if (i == 0 && status != OrderStatus::pending)
            broken("orders follow their states", order.id, "did not begin PENDING");
        if (i == 0) continue;
        const OrderStatus before = orders::parse_order_status(lines[i - 1][1]).value();
        if (status != before && !orders::is_legal(before, status)) {
            broken("orders follow their states", order.id,
                   "went from " + lines[i - 1][1] + " to " + lines[i][1]);
        }
        if (std::stoll(lines[i][2]) < std::stoll(lines[i - 1][2])) {
            broken("orders follow their states", order.id, "has a history that goes back in time");
        }
    }
    if (lines.back()[1] != orders::to_string(order.status)) {
        broken("the history has no gap", order.id, "has another status than its history");
    }
}

void check_payments(const Provider& provider, Database& payments) {
    std::map<std::string, const Charge*> charges;
    for (const auto& [reference, charge] : provider.charges())
        charges[charge.payment_id.to_string()] = &charge;
    for (const auto& row : payments.rows(
             "SELECT id, order_id, status, captured_amount, refunded_amount FROM payments ORDER BY id")) {
        const auto found = charges.find(row[0]);
        const std::int64_t captured = found == charges.end() ? 0 : found->second->captured_minor;
        const std::int64_t refunded = found == charges.end() ? 0 : found->second->refunded_minor;
        if (std::stoll(row[3]) != captured || std::stoll(row[4]) != refunded) {
            broken("payments say what the provider says", row[1],
                   "has a payment " + row[0] + " in state " + row[2] + " that has captured " + row[3] +
                       " and refunded " + row[4] + ", but the provider took " + std::to_string(captured) +
                       " and gave back " + std::to_string(refunded));
        }
    }
}

void check_refunds(const Claims& claims, Database& orders, Database& payments) {
    for (const auto& [key, refund] : claims.refunds) {
        const auto rows = payments.rows("SELECT state, failure_code FROM refunds WHERE reason = ?", {key});
        const std::string id = refund.order_id.to_string();
        if (rows.size() != 1) {
            broken("an accepted refund happens once", id,
                   "was promised a refund under the key " + key + ", of which there are " +
                       std::to_string(rows.size()));
        }
        const auto order = orders.rows("SELECT status FROM orders WHERE id = ?", {id});
        // A cancellation gives back everything by itself, the bank may refuse, and what did not reach the
        // provider for a day is given up rather than asked for under a key that is forgotten.
        // Nor can what was given back at the provider's dashboard go back again.
        const bool excused = order.at(0)[0] == "CANCELED" || rows[0][1] == "refused_by_bank" ||
                             rows[0][1] == "provider_never_received" || rows[0][1] == "already_given_back" ||
                             rows[0][1] == "not_refundable";
        if (rows[0][0] != "SUCCEEDED" && !excused) {
            broken("an accepted refund is made", id, "was promised a refund that failed with " + rows[0][1]);
        }
    }
}

void check_ledger(Database& payments) {
    constexpr std::size_t findings_listed = 3;
    const SoundStatements sound;
    db::Session session(payments.options());
    const auto audit = payments::audit_ledger(session, findings_listed);
    if (!audit.findings.empty()) {
        throw Violation{"the ledger adds up",
                        audit.findings.front().kind + ": " + audit.findings.front().detail};
    }
}

void check_orders_against_payments(Database& orders, Database& payments) {
    const SoundStatements sound;
    db::Session order_session(orders.options());
    db::Session payment_session(payments.options());
    const auto audit = audit::audit_orders(order_session, payment_session, Timestamp::max(),
                                           {.news_arrive_within = std::chrono::milliseconds(0)});
    if (!audit.differences.empty()) {
        const auto& first = audit.differences.front();
        broken("orders say what their payments say", first.order_id.to_string(),
               "differs: " + std::string(audit::to_string(first.kind)) + ": " + first.detail);
    }
    if (audit.under_way > 0) throw Violation{"all ends", "something is under way after the end"};
}

}  // namespace

void EventOrder::published(const messaging::Message& message) {
    if (!seen_.insert(message.id).second) return;
    // A refund is of the attempt that holds money, which need not be the newest.
    if (message.type == contracts::RefundRequested::type) return;
    const std::int64_t rank = rank_of(message);
    std::int64_t& last = last_rank_[queue_of(message)];
    if (rank < last) {
        broken("events go out in their order", message.ordering_key,
               "published its " + message.type + " number " + std::to_string(rank) + " after number " +
                   std::to_string(last));
    }
    last = rank;
}

void check_acknowledged(const messaging::Message& message, Database& orders, Database& payments) {
    std::string missing;
    if (message.type == contracts::PaymentUpdated::type) {
        missing = effect_of(contracts::parse_order_update(message.type, message.data).value(), orders);
    } else {
        missing = effect_of(contracts::parse_payment_event(message.type, message.data).value(), payments);
        if (missing.empty() &&
            payments.number("SELECT COUNT(*) FROM inbox WHERE event_id = ?", {message.id}) == 0)
            missing = "the inbox does not know it";
    }
    if (!missing.empty()) {
        broken("nothing is acknowledged before its effect is committed", message.ordering_key,
               "had its " + message.type + " acknowledged, but " + missing);
    }
}

std::string unsettled(Database& orders, Database& payments) {
    struct Question {
        Database& database;
        std::string_view what;
        std::string sql;
    };
    const Question questions[] = {
        {orders, "events of orders wait in the outbox", "SELECT COUNT(*) FROM outbox"},
        {payments, "events of payments wait in the outbox", "SELECT COUNT(*) FROM outbox"},
        {orders, "orders are still PENDING or PROCESSING",
         "SELECT COUNT(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')"},
        {orders, "refunds of orders are still open",
         "SELECT COUNT(*) FROM orders WHERE open_refunds <> '[]'"},
        {payments, "payments are still PENDING, UNKNOWN or AUTHORIZED",
         "SELECT COUNT(*) FROM payments WHERE status IN ('PENDING', 'UNKNOWN', 'AUTHORIZED')"},
        {payments, "payments are due to be taken up again",
         "SELECT COUNT(*) FROM payments WHERE next_look_up_at > 0"},
        {payments, "refunds are under way", "SELECT COUNT(*) FROM refunds WHERE state = 'REQUESTED'"},
        {payments, "notices wait for their payments", "SELECT COUNT(*) FROM parked_notices"},
    };
    for (const Question& question : questions) {
        const std::int64_t count = question.database.number(question.sql);
        if (count > 0) return std::to_string(count) + " " + std::string(question.what);
    }
    return "";
}

void check_the_end(const Claims& claims, const Provider& provider, Database& orders, Database& payments) {
    const auto stored = stored_orders(orders);
    for (const auto& [key, order] : claims.orders) {
        const std::string id = order.id.to_string();
        if (std::ranges::find(stored, id, &StoredOrder::id) == stored.end()) {
            broken("an acknowledged order exists", id,
                   "was acknowledged under the key " + key + " and is not stored");
        }
    }
    if (stored.size() > claims.orders_wanted) {
        throw Violation{"a repeated request gets the same answer",
                        std::to_string(claims.orders_wanted) + " orders were placed, and " +
                            std::to_string(stored.size()) + " are stored"};
    }
    const auto money = money_by_order(provider);
    for (const StoredOrder& order : stored) {
        const auto found = money.find(order.id);
        check_order(order, found == money.end() ? Money{} : found->second);
        check_history(order, orders);
    }
    for (const auto& [id, of_order] : money) {
        if (std::ranges::find(stored, id, &StoredOrder::id) == stored.end())
            broken("only stored orders are charged", id, "is not stored, but was charged");
    }
    check_payments(provider, payments);
    check_refunds(claims, orders, payments);
    check_ledger(payments);
    check_orders_against_payments(orders, payments);
}

}  // namespace quittance::sim
