#include "payments/attempts.hpp"

#include <algorithm>
#include <utility>

namespace quittance::payments {

namespace {

void release(const Payment& payment, NewRefundId new_refund_id, Timestamp now, std::vector<Transition>& all) {
    if (payment.cancel_requested) return;
    all.push_back(*request_cancel(payment, new_refund_id(), now));
}

const Payment* payer_of(const Attempts& attempts, const PaymentId& changed) {
    const Payment* payer = nullptr;
    for (const Payment* payment : attempts) {
        if (pays(*payment) && (payer == nullptr || payer->id == changed)) payer = payment;
    }
    return payer;
}

}  // namespace

Transition left_to_sweep(Transition transition, Timestamp now) {
    if (transition.next == GatewayCall::refund) {
        transition.refunds.back().next_look_up_at = now;
    } else if (transition.next != GatewayCall::none) {
        transition.after.next_look_up_at = now;
    }
    transition.next = GatewayCall::none;
    return transition;
}

std::vector<Transition> close_earlier(const Attempts& attempts, int new_attempt, Timestamp now) {
    std::vector<Transition> all;
    for (const Payment* payment : attempts) {
        if (payment->attempt >= new_attempt) continue;
        auto closed = request_close(*payment, now);
        if (closed) all.push_back(*std::move(closed));
    }
    return all;
}

bool must_wait(const Attempts& attempts, int attempt) {
    return std::ranges::any_of(
        attempts, [&](const Payment* payment) { return payment->attempt < attempt && !is_over(*payment); });
}

std::vector<Transition> settle_attempts(const Attempts& attempts, const PaymentId& changed,
                                        NewRefundId new_refund_id, Timestamp now) {
    std::vector<Transition> all;
    if (const Payment* payer = payer_of(attempts, changed)) {
        for (const Payment* payment : attempts) {
            if (payment != payer && !is_over(*payment)) release(*payment, new_refund_id, now, all);
        }
        return all;
    }
    for (const Payment* payment : attempts) {
        if (payment->charge_sent || is_ended(*payment) || must_wait(attempts, payment->attempt)) continue;
        all.push_back(release_charge(*payment, now));
        break;
    }
    return all;
}

std::vector<Transition> release_all(const Attempts& attempts, NewRefundId new_refund_id, Timestamp now) {
    std::vector<Transition> all;
    for (const Payment* payment : attempts)
        release(*payment, new_refund_id, now, all);
    return all;
}

const Payment* holder_of_money(const Attempts& attempts, int meant) {
    const auto holds = [](const Payment* payment) {
        return refundable_minor(*payment) > 0 && !payment->cancel_requested;
    };
    const auto is_meant = [&](const Payment* payment) { return payment->attempt == meant; };
    const auto named = std::ranges::find_if(attempts, is_meant);
    if (named != attempts.end() && holds(*named)) return *named;
    const auto holder = std::ranges::find_if(attempts, holds);
    if (holder != attempts.end()) return *holder;
    return named == attempts.end() ? nullptr : *named;
}

}  // namespace quittance::payments
