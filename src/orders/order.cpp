#include "orders/order.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace quittance::orders {

using contracts::PaymentStatus;

namespace {

constexpr std::array all_statuses{OrderStatus::pending,        OrderStatus::processing, OrderStatus::paid,
                                  OrderStatus::payment_failed, OrderStatus::canceled,   OrderStatus::shipped,
                                  OrderStatus::delivered,      OrderStatus::refunded};

Error conflict(std::string detail) {
    return Error{ErrorCode::conflict, std::move(detail), {}, 0};
}

Error illegal_transition(OrderStatus from, OrderStatus to) {
    return conflict("An order that is " + std::string(to_string(from)) + " cannot become " +
                    std::string(to_string(to)) + ".");
}

/// The next version of `transition.after`, with its line of history.
void advance(Transition& transition, OrderStatus status, Actor actor, std::string reason, Timestamp now) {
    Order& order = transition.after;
    order.status = status;
    order.version += 1;
    order.updated_at = now;
    transition.history.push_back(
        {order.id, order.version, order.status, order.payment_status, actor, std::move(reason), now});
}

/// The attempt that the order shows, from the order's own members.
PaymentAttempt shown_payment(const Order& order, std::int64_t sequence) {
    return {order.shown_attempt,  sequence,     order.payment_status, order.captured_minor,
            order.refunded_minor, order.failure};
}

PaymentAttempts known_attempts(const Order& order) {
    if (!order.attempts.empty()) return order.attempts;
    return {shown_payment(order, order.payment_sequence)};
}

void sum_up_reserved(Order& order) {
    order.refund_reserved_minor = 0;
    for (const OpenRefund& refund : order.open_refunds) {
        if (refund.attempt == order.shown_attempt) order.refund_reserved_minor += refund.amount_minor;
    }
}

void show(Order& order, const PaymentAttempt& attempt) {
    order.shown_attempt = attempt.attempt;
    order.payment_status = attempt.status;
    order.captured_minor = attempt.captured_minor;
    order.refunded_minor = attempt.refunded_minor;
    order.failure = attempt.failure;
    sum_up_reserved(order);
}

/// Where a payment status takes an order that is waiting for its payment.
OrderStatus outcome_of(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::captured:
        case PaymentStatus::partially_refunded: return OrderStatus::paid;
        case PaymentStatus::failed:
        case PaymentStatus::requires_action:
        case PaymentStatus::canceled: return OrderStatus::payment_failed;
        case PaymentStatus::refunded: return OrderStatus::refunded;
        case PaymentStatus::pending:
        case PaymentStatus::authorized:
        case PaymentStatus::unknown: return OrderStatus::processing;
    }
    return OrderStatus::processing;
}

/// The same for all attempts, of which one is shown. While another may still bring money, money that went
/// back is not the end of it.
OrderStatus outcome_of(const PaymentAttempt& shown, const PaymentAttempts& attempts) {
    const OrderStatus outcome = outcome_of(shown.status);
    const bool is_open = outcome == OrderStatus::refunded && any_is_open(attempts);
    return is_open ? OrderStatus::processing : outcome;
}

/// An attempt that holds money or may still bring some; nullopt when there is none.
std::optional<PaymentAttempt> may_still_bring_money(const Order& order) {
    for (const PaymentAttempt& attempt : known_attempts(order)) {
        const bool is_shown_paid = attempt.attempt == order.shown_attempt &&
                                   outcome_of(attempt.status) != OrderStatus::payment_failed;
        if (is_open(attempt) || holds_money(attempt) || is_shown_paid) return attempt;
    }
    return std::nullopt;
}

bool waits_for_payment(OrderStatus status) {
    return status == OrderStatus::pending || status == OrderStatus::processing ||
           status == OrderStatus::payment_failed;
}

/// The statuses an order passes through to follow its payment, the present one left out. Empty: it stays.
std::vector<OrderStatus> path_to_outcome(OrderStatus from, OrderStatus outcome) {
    const bool waiting = from == OrderStatus::pending || from == OrderStatus::processing;
    // Money that arrives after all is worth more than the failure that was reported before it.
    const bool late_success = from == OrderStatus::payment_failed && outcome != OrderStatus::payment_failed &&
                              outcome != OrderStatus::processing;
    std::vector<OrderStatus> path;
    if (waiting || late_success) {
        if (from != OrderStatus::processing) path.push_back(OrderStatus::processing);
        if (outcome == OrderStatus::refunded) path.push_back(OrderStatus::paid);
        if (outcome != OrderStatus::processing) path.push_back(outcome);
    } else if (outcome == OrderStatus::refunded && is_legal(from, OrderStatus::refunded)) {
        path.push_back(OrderStatus::refunded);
    }
    return path;
}

/// "12.50 EUR: broken" for the history.
std::string describe_refund(const Order& order, std::int64_t amount_minor, std::string_view what,
                            std::string_view why) {
    std::string text = "refund of " + to_string(Money{amount_minor, order.total.currency}) + " ";
    text += what;
    if (!why.empty()) text.append(": ").append(why);
    return text;
}

/// Takes the refund off the list of those that are open, and notes in the history when it failed. A refund
/// that is not on the list was settled before, or was not asked for here.
void settle_refund(Transition& transition, const contracts::RefundOutcome& outcome, Timestamp now) {
    Order& order = transition.after;
    const auto open = std::ranges::find(order.open_refunds, outcome.refund_id, &OpenRefund::id);
    if (open == order.open_refunds.end()) return;
    order.open_refunds.erase(open);
    sum_up_reserved(order);
    // A repeated request may have reserved another amount than the refund that it names.
    const std::int64_t amount_minor = outcome.amount_minor;
    const std::string reason = outcome.failure
                                   ? describe_refund(order, amount_minor, "failed", outcome.failure->code)
                                   : describe_refund(order, amount_minor, "made", "");
    advance(transition, order.status, Actor::payment_service, reason, now);
}

std::string amount_text(const Order& order, std::int64_t amount_minor) {
    return to_string(Money{amount_minor, order.total.currency});
}

/// Why money forbids a step that is legal; nullopt when it does not.
std::optional<Error> missing_money(const Order& order, OrderStatus target) {
    const std::string from(to_string(order.status));
    const std::string step = "An order that is " + from + " becomes " + std::string(to_string(target));
    const bool is_free = order.total.minor == 0;
    if (target == OrderStatus::paid && order.captured_minor != order.total.minor) {
        return conflict(step + " when all of its total is captured, and not before: of " +
                        to_string(order.total) + " " + amount_text(order, order.captured_minor) + " is.");
    }
    if (target == OrderStatus::shipped && !is_free && order.captured_minor == order.refunded_minor) {
        return conflict(step + " only while some of its money is held; " +
                        amount_text(order, order.captured_minor) + " was captured, and " +
                        amount_text(order, order.refunded_minor) + " has gone back.");
    }
    if (target == OrderStatus::refunded && !is_free &&
        (order.refunded_minor == 0 || order.refunded_minor != order.captured_minor)) {
        return conflict(step + " when all of its money has gone back, and not before.");
    }
    if (target != OrderStatus::payment_failed) return std::nullopt;
    if (const auto attempt = may_still_bring_money(order)) {
        return conflict(step + " when no payment may still bring money, and not while one is " +
                        std::string(contracts::to_string(attempt->status)) + ".");
    }
    return std::nullopt;
}

/// Why an update cannot be about the order; nullopt when it can.
std::optional<Error> misfit(const Order& order, const contracts::PaymentUpdated& update) {
    if (update.currency != order.total.currency) {
        return Error{ErrorCode::invalid,
                     "the update is in " + std::string(update.currency.code()) + ", the order in " +
                         std::string(order.total.currency.code()),
                     {},
                     0};
    }
    if (update.captured_minor > order.total.minor || update.refunded_minor > update.captured_minor) {
        return Error{ErrorCode::invalid,
                     "the update's amounts, captured " + std::to_string(update.captured_minor) +
                         " and refunded " + std::to_string(update.refunded_minor) +
                         ", do not fit the order's total of " + std::to_string(order.total.minor),
                     {},
                     0};
    }
    return std::nullopt;
}

Error becomes_less(const PaymentAttempt& known, const contracts::PaymentUpdated& update) {
    return Error{ErrorCode::invalid,
                 "the update says that captured " + std::to_string(update.captured_minor) + " and refunded " +
                     std::to_string(update.refunded_minor) + " of attempt " + std::to_string(known.attempt) +
                     ", of which captured " + std::to_string(known.captured_minor) + " and refunded " +
                     std::to_string(known.refunded_minor) + " are known; neither can become less",
                 {},
                 0};
}

/// The reason in the history, which also names the attempt if it is not the newest.
std::string describe_update(const contracts::PaymentUpdated& update, int newest_attempt) {
    std::string text = "payment " + std::string(contracts::to_string(update.status));
    if (update.attempt() != newest_attempt) text += " (attempt " + std::to_string(update.attempt()) + ")";
    return text;
}

/// Asks the payment service to give back whatever any payment of the order holds or may come to hold.
contracts::OrderCanceled release_request(const Order& order) {
    return {order.id, order.user_id, order.total, order.payment_attempt};
}

Transition cancel(const Order& order, Actor actor, Timestamp now) {
    Transition transition{order, {}, {}};
    advance(transition, OrderStatus::canceled, actor, "canceled", now);
    transition.events.emplace_back(release_request(order));
    return transition;
}

}  // namespace

std::string_view to_string(OrderStatus status) {
    switch (status) {
        case OrderStatus::pending: return "PENDING";
        case OrderStatus::processing: return "PROCESSING";
        case OrderStatus::paid: return "PAID";
        case OrderStatus::payment_failed: return "PAYMENT_FAILED";
        case OrderStatus::canceled: return "CANCELED";
        case OrderStatus::shipped: return "SHIPPED";
        case OrderStatus::delivered: return "DELIVERED";
        case OrderStatus::refunded: return "REFUNDED";
    }
    return {};
}

std::optional<OrderStatus> parse_order_status(std::string_view text) {
    for (const OrderStatus status : all_statuses) {
        if (to_string(status) == text) return status;
    }
    return std::nullopt;
}

bool is_legal(OrderStatus from, OrderStatus to) {
    using enum OrderStatus;
    switch (from) {
        case pending: return to == processing || to == canceled;
        case processing: return to == paid || to == payment_failed || to == canceled;
        case paid: return to == shipped || to == canceled || to == refunded;
        case payment_failed: return to == processing || to == canceled;
        case shipped: return to == delivered || to == refunded;
        case delivered: return to == refunded;
        case canceled:
        case refunded: return false;
    }
    return false;
}

std::string_view to_string(Actor actor) {
    switch (actor) {
        case Actor::customer: return "customer";
        case Actor::admin: return "admin";
        case Actor::service: return "service";
        case Actor::payment_service: return "payment-service";
        case Actor::system: return "system";
    }
    return {};
}

Actor actor_of(Role role) {
    switch (role) {
        case Role::customer: return Actor::customer;
        case Role::admin: return Actor::admin;
        case Role::service: return Actor::service;
    }
    return Actor::customer;
}

contracts::PaymentRequested payment_request(const Order& order) {
    return {order.id, order.user_id, order.total, order.payment_method, order.payment_attempt};
}

Result<Transition> set_status(const Order& order, OrderStatus target, Actor actor, Timestamp now) {
    if (actor == Actor::customer && target != OrderStatus::canceled) {
        return Error{ErrorCode::forbidden, "Customers can only set the status CANCELED.", {}, 0};
    }
    if (!is_legal(order.status, target)) return illegal_transition(order.status, target);
    if (target == OrderStatus::canceled) return cancel(order, actor, now);
    if (target == OrderStatus::processing && order.status == OrderStatus::payment_failed) {
        return pay_again(order, order.payment_method, actor, now);
    }
    if (auto refused = missing_money(order, target)) return *std::move(refused);
    Transition transition{order, {}, {}};
    advance(transition, target, actor, "set by hand", now);
    return transition;
}

Result<Transition> pay_again(const Order& order, std::string payment_method, Actor actor, Timestamp now) {
    if (order.status != OrderStatus::payment_failed) {
        return conflict("An order that is " + std::string(to_string(order.status)) +
                        " cannot be paid again; only one that is PAYMENT_FAILED can.");
    }
    if (const auto attempt = may_still_bring_money(order)) {
        return conflict("The payment before may still arrive (it is " +
                        std::string(contracts::to_string(attempt->status)) + "); try again later.");
    }
    if (order.payment_attempt >= contracts::max_attempt) {
        return conflict("The payment of this order was tried too often.");
    }
    Transition transition{order, {}, {}};
    Order& after = transition.after;
    after.payment_method = std::move(payment_method);
    after.payment_attempt += 1;
    after.attempts = known_attempts(order);
    begin(after.attempts, after.payment_attempt);
    show(after, after.attempts.back());
    advance(transition, OrderStatus::processing, actor, "paid again", now);
    transition.events.emplace_back(contracts::PaymentRetryRequested{payment_request(after)});
    return transition;
}

std::int64_t refundable_minor(const Order& order) {
    // A refund that is reserved here may find its money gone, given back by a cancellation.
    return std::max<std::int64_t>(0,
                                  order.captured_minor - order.refunded_minor - order.refund_reserved_minor);
}

Result<Transition> request_refund(const Order& order, RefundId id, std::optional<std::int64_t> amount_minor,
                                  std::string reason, Actor actor, Timestamp now) {
    const auto open = std::ranges::find(order.open_refunds, id, &OpenRefund::id);
    if (open != order.open_refunds.end()) {
        if (amount_minor.value_or(open->amount_minor) == open->amount_minor) return Transition{order, {}, {}};
        return Error{ErrorCode::invalid,
                     "The same refund is under way already, of " + amount_text(order, open->amount_minor) +
                         " and not of " + amount_text(order, *amount_minor) + ".",
                     {},
                     0};
    }
    const std::int64_t left = refundable_minor(order);
    const std::int64_t amount = amount_minor.value_or(left);
    if (amount < 1 || amount > left) {
        return conflict("Of this order's payment " + amount_text(order, left) + " can be refunded, and not " +
                        amount_text(order, amount) + ".");
    }
    if (order.status == OrderStatus::canceled) {
        return conflict("An order that is CANCELED is refunded by itself.");
    }
    if (order.open_refunds.size() >= max_open_refunds) {
        return conflict("Too many refunds of this order are under way; try again when some are done.");
    }
    Transition transition{order, {}, {}};
    Order& after = transition.after;
    after.refund_reserved_minor += amount;
    after.open_refunds.push_back({id, amount, order.shown_attempt});
    advance(transition, order.status, actor, describe_refund(order, amount, "requested", reason), now);
    transition.events.emplace_back(contracts::RefundRequested{
        id, order.id, order.user_id, {amount, order.total.currency}, order.shown_attempt, std::move(reason)});
    return transition;
}

void complete_attempts(Order& order) {
    if (order.payment_attempt == 1 && order.attempts.empty()) {
        order.shown_attempt = 1;
        return;
    }
    PaymentAttempts& attempts = order.attempts;
    std::int64_t heard = 0;
    for (const PaymentAttempt& attempt : attempts)
        heard = std::max(heard, attempt.sequence);
    const int newest = attempts.empty() ? 0 : attempts.back().attempt;
    if (heard == order.payment_sequence && newest == order.payment_attempt) return;
    // An older version wrote the order last. It shows the attempt that it began or updated last.
    contracts::PaymentUpdated last;
    last.sequence = order.payment_sequence;
    const bool began_another = last.attempt() < order.payment_attempt;
    if (order.payment_sequence > heard) {
        last.status = began_another ? PaymentStatus::failed : order.payment_status;
        last.captured_minor = order.captured_minor;
        last.refunded_minor = order.refunded_minor;
        last.failure = order.failure;
        record(attempts, last);
    }
    if (began_another) begin(attempts, order.payment_attempt);
    order.payment_attempt = attempts.back().attempt;
    const int shown = began_another ? order.payment_attempt : last.attempt();
    show(order, attempt_to_show(attempts, shown, waits_for_payment(order.status)));
}

Transition note_payment_requested(const Order& order, Timestamp now) {
    Transition transition{order, {}, {}};
    if (order.status == OrderStatus::pending) {
        advance(transition, OrderStatus::processing, Actor::system, "payment requested", now);
    }
    return transition;
}

Result<Transition> apply_payment_update(const Order& order, const contracts::PaymentUpdated& update,
                                        Timestamp now) {
    if (auto refused = misfit(order, update)) return *std::move(refused);
    PaymentAttempts attempts = known_attempts(order);
    const UpdateKind kind = classify(attempts, update);
    if (kind == UpdateKind::contradictory)
        return becomes_less(*find_attempt(attempts, update.attempt()), update);
    Transition transition{order, {}, {}};
    if (kind == UpdateKind::stale) {
        if (update.refund) settle_refund(transition, *update.refund, now);
        return transition;
    }
    record(attempts, update);
    const PaymentAttempt& shown =
        attempt_to_show(attempts, order.shown_attempt, waits_for_payment(order.status));
    const auto path = path_to_outcome(order.status, outcome_of(shown, attempts));
    // The step through PROCESSING belongs to the time before this news.
    const bool stepped = !path.empty() && (order.status == OrderStatus::pending ||
                                           order.status == OrderStatus::payment_failed);
    if (stepped) advance(transition, path.front(), Actor::system, "payment requested", now);
    if (update.refund) settle_refund(transition, *update.refund, now);
    Order& after = transition.after;
    // A refunded order wants no money any more, as a canceled one, whose payments know it already.
    if (order.status == OrderStatus::refunded && holds_money(shown)) {
        transition.events.emplace_back(release_request(order));
    }
    show(after, shown);
    after.payment_attempt = attempts.back().attempt;
    after.payment_sequence = std::max(after.payment_sequence, update.sequence);
    if (attempts.size() > 1) after.attempts = std::move(attempts);
    const std::string reason = describe_update(update, after.payment_attempt);
    std::vector<OrderStatus> steps(path.begin() + (stepped ? 1 : 0), path.end());
    if (steps.empty()) steps.push_back(after.status);
    for (const OrderStatus step : steps)
        advance(transition, step, Actor::payment_service, reason, now);
    return transition;
}

}  // namespace quittance::orders
