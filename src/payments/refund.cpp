#include "payments/refund.hpp"

#include <array>
#include <utility>

#include "payments/transition.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;

/// Stores and publishes how the refund ended.
Transition ended(Transition transition, Refund refund, Timestamp now) {
    settle(refund);
    refund.updated_at = now;
    transition.events.back().refund =
        contracts::RefundOutcome{refund.id, refund.amount_minor, refund.failure};
    // In front of a refund that begins with it, which the next call is for.
    transition.refunds.insert(transition.refunds.begin(), std::move(refund));
    return transition;
}

Transition made(Payment after, Refund refund, const GatewayResult& answer, RefundId spare, Timestamp now) {
    reserve(after, -refund.amount_minor);
    after.refunded_minor += refund.amount_minor;
    after.status = status_of_money(after);
    refund.state = RefundState::succeeded;
    refund.failure.reset();
    if (!answer.provider_reference.empty()) refund.provider_reference = answer.provider_reference;
    return ended(settled(std::move(after), spare, now), std::move(refund), now);
}

/// A refund that was refused has moved nothing. For a canceled payment the money has to go back all the same:
/// by another refund, under a key of its own, on the schedule of the one before.
Transition not_made(Payment after, Refund refund, Failure failure, RefundId spare, Timestamp now) {
    reserve(after, -refund.amount_minor);
    if (failure.code.empty()) failure.code = "declined";
    refund.state = RefundState::failed;
    refund.failure = std::move(failure);
    const int look_ups = refund.look_ups;
    Transition transition = settled(std::move(after), spare, now);
    transition.next = GatewayCall::none;
    for (Refund& again : transition.refunds) {
        again.look_ups = look_ups;
        schedule_look_up(again, now);
    }
    return ended(std::move(transition), std::move(refund), now);
}

Transition waits_on(Payment after, Refund refund, Timestamp now, GatewayCall next = GatewayCall::none) {
    schedule_look_up(refund, now);
    refund.updated_at = now;
    Transition transition{std::move(after), {}, {}, next};
    transition.refunds.push_back(std::move(refund));
    return transition;
}

Transition apply_look_up(Payment after, Refund refund, const GatewayResult& answer, RefundId spare,
                         Timestamp now) {
    if (answer.outcome == GatewayOutcome::succeeded) {
        return made(std::move(after), std::move(refund), answer, spare, now);
    }
    if (answer.outcome == GatewayOutcome::declined) {
        return not_made(std::move(after), std::move(refund), answer.failure, spare, now);
    }
    if (answer.outcome != GatewayOutcome::not_found) {
        return waits_on(std::move(after), std::move(refund), now);
    }
    const auto age = now - refund.created_at;
    if (age < idempotency_key_valid_for) {
        // The very same request again cannot refund twice.
        return waits_on(std::move(after), std::move(refund), now, GatewayCall::refund);
    }
    // The last request may be on its way for a while.
    if (age >= idempotency_key_valid_for + not_found_is_final_after) {
        return not_made(std::move(after), std::move(refund),
                        {"provider_never_received", "The payment provider never received this refund."},
                        spare, now);
    }
    return waits_on(std::move(after), std::move(refund), now);
}

bool awaits_news(const Refund& refund) {
    return refund.state == RefundState::succeeded && refund.next_look_up_at.has_value();
}

/// News of a refund that succeeded. That its money did not go back cannot be told to an order that counts it
/// as given back: a human has to see to it, once.
Transition apply_news(const Payment& payment, Refund refund, const GatewayResult& answer, Timestamp now) {
    if (answer.outcome != GatewayOutcome::succeeded && answer.outcome != GatewayOutcome::declined) {
        return waits_on(payment, std::move(refund), now);
    }
    settle(refund);
    refund.updated_at = now;
    if (answer.outcome == GatewayOutcome::succeeded) {
        refund.failure.reset();
    } else if (!refund.failure) {
        refund.failure = answer.failure;
        if (refund.failure->code.empty()) refund.failure->code = "declined";
        refund.stuck_since = now;
    }
    Transition transition{payment, {}, {}, GatewayCall::none};
    transition.refunds.push_back(std::move(refund));
    return transition;
}

constexpr std::string_view key_prefix = "refund-";

constexpr std::array all_states{RefundState::requested, RefundState::succeeded, RefundState::failed};

}  // namespace

std::string_view to_string(RefundState state) {
    switch (state) {
        case RefundState::requested: return "REQUESTED";
        case RefundState::succeeded: return "SUCCEEDED";
        case RefundState::failed: return "FAILED";
    }
    return "";
}

std::optional<RefundState> parse_refund_state(std::string_view text) {
    for (const RefundState state : all_states) {
        if (to_string(state) == text) return state;
    }
    return std::nullopt;
}

std::string refund_key(RefundId id) {
    return std::string(key_prefix) + id.to_string();
}

std::optional<RefundId> refund_of_key(std::string_view key) {
    if (!key.starts_with(key_prefix)) return std::nullopt;
    return RefundId::parse(key.substr(key_prefix.size()));
}

Transition request_refund(const Payment& payment, const contracts::RefundRequested& event, Timestamp now) {
    Payment after = payment;
    Refund refund{.id = event.refund_id,
                  .payment_id = payment.id,
                  .amount_minor = event.amount.minor,
                  .reason = event.reason,
                  .idempotency_key = refund_key(event.refund_id),
                  .created_at = now,
                  .updated_at = now};
    const bool possible =
        event.amount.currency == payment.amount.currency && event.amount.minor <= refundable_minor(payment);
    if (!possible) {
        refund.state = RefundState::failed;
        refund.failure = Failure{"not_refundable", "That much is not left of this payment."};
        return ended(published(std::move(after), now), std::move(refund), now);
    }
    reserve(after, event.amount.minor);
    schedule_resumption(refund, now);
    Transition transition = unpublished(std::move(after), now, GatewayCall::refund);
    transition.refunds.push_back(std::move(refund));
    return transition;
}

Result<Transition> apply_refund_answer(const Payment& payment, const Refund& refund, const Asked& asked,
                                       const GatewayResult& answer, RefundId spare, Timestamp now) {
    ensure(refund.payment_id == payment.id, "a refund is of its payment");
    if (awaits_news(refund) && asked.call == GatewayCall::look_up) {
        return apply_news(payment, refund, answer, now);
    }
    if (refund.state != RefundState::requested) {
        return conflict(payment, "take the answer to a refund that is over");
    }
    if (asked.call == GatewayCall::look_up) return apply_look_up(payment, refund, answer, spare, now);
    ensure(asked.call == GatewayCall::refund && asked.idempotency_key == refund.idempotency_key,
           "a refund is asked for under its own key");
    if (answer.outcome == GatewayOutcome::succeeded) return made(payment, refund, answer, spare, now);
    if (answer.outcome == GatewayOutcome::declined) {
        return not_made(payment, refund, answer.failure, spare, now);
    }
    return waits_on(payment, refund, now);
}

Transition put_off(const Payment& payment, const Refund& refund, Timestamp now) {
    return waits_on(payment, refund, now);
}

GatewayCall resume_call(const Refund& refund, Timestamp now) {
    if (awaits_news(refund)) return GatewayCall::look_up;
    if (refund.state != RefundState::requested) return GatewayCall::none;
    const bool may_repeat = refund.look_ups == 0 && now - refund.created_at < idempotency_key_valid_for;
    return may_repeat ? GatewayCall::refund : GatewayCall::look_up;
}

GatewayRequest gateway_request(const Payment& payment, const Refund& refund, GatewayCall call) {
    GatewayRequest request = gateway_request(payment, call);
    if (call == GatewayCall::refund || call == GatewayCall::look_up) {
        request.amount.minor = refund.amount_minor;
        request.idempotency_key = refund.idempotency_key;
    }
    return request;
}

bool resume_stuck(Refund& refund, Timestamp now) {
    if (!refund.stuck_since) return false;
    settle(refund);
    refund.next_look_up_at = now;
    // Not from the beginning: what was asked before may have been done.
    refund.look_ups = 1;
    return true;
}

}  // namespace quittance::payments
