#include "payments/refund.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "payments/transition.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;

/// Stores and publishes how the refund came to its end.
Transition closed(Transition transition, Refund refund, Timestamp now) {
    settle(refund);
    refund.updated_at = now;
    if (transition.events.empty()) transition.events.push_back(updated_event(transition.after));
    transition.events.back().refund =
        contracts::RefundOutcome{refund.id, refund.amount_minor, refund.failure};
    // In front of a refund that begins with it, which the next call is for.
    transition.refunds.insert(transition.refunds.begin(), std::move(refund));
    return transition;
}

/// What went back of the payment, at whosever request. Its own refund may be among it already.
void observe_refunded(Payment& after, const GatewayResult& answer) {
    if (answer.all_refunded_minor) {
        after.refunded_minor = std::max(after.refunded_minor, *answer.all_refunded_minor);
    }
}

Transition succeeded(const Payment& before, Refund refund, const GatewayResult& answer, RefundId remainder_id,
                     Timestamp now) {
    Payment after = before;
    reserve(after, -refund.amount_minor);
    if (answer.all_refunded_minor) {
        observe_refunded(after, answer);
    } else {
        after.refunded_minor += refund.amount_minor;
    }
    refund.state = RefundState::succeeded;
    refund.failure.reset();
    if (!answer.provider_reference.empty()) refund.provider_reference = answer.provider_reference;
    return closed(followed(before, std::move(after), remainder_id, now), std::move(refund), now);
}

/// It has moved nothing. For a canceled payment the money has to go back all the same: by another refund of
/// what is left, under a key of its own, on the schedule of the one before.
Transition failed(const Payment& before, const GatewayResult& seen, Refund refund, Failure failure,
                  RefundId remainder_id, Timestamp now) {
    Payment after = before;
    reserve(after, -refund.amount_minor);
    observe_refunded(after, seen);
    if (failure.code.empty()) failure.code = "declined";
    // What went back elsewhere is no reason to wait.
    const bool asks_for_less = failure.code == already_given_back_code;
    refund.state = RefundState::failed;
    refund.failure = std::move(failure);
    const int look_ups = refund.look_ups;
    Transition transition = followed(before, std::move(after), remainder_id, now);
    if (!asks_for_less) {
        transition.next = GatewayCall::none;
        for (Refund& again : transition.refunds) {
            again.look_ups = look_ups;
            schedule_look_up(again, now);
        }
    }
    return closed(std::move(transition), std::move(refund), now);
}

Transition waits_on(const Payment& payment, Refund refund, Timestamp now,
                    GatewayCall next = GatewayCall::none) {
    schedule_look_up(refund, now);
    refund.updated_at = now;
    Transition transition{payment, {}, {}, next};
    transition.refunds.push_back(std::move(refund));
    return transition;
}

/// The provider has it and decides later: it is looked at at its own pace, for as long as that takes.
Transition watched(const Payment& payment, Refund refund, const GatewayResult& answer, Timestamp now) {
    settle(refund);
    refund.next_look_up_at = now + watch_pause(refund.created_at, now);
    refund.updated_at = now;
    if (!answer.provider_reference.empty()) refund.provider_reference = answer.provider_reference;
    Transition transition{payment, {}, {}, GatewayCall::none};
    transition.refunds.push_back(std::move(refund));
    return transition;
}

/// The provider has no such refund.
Transition not_there(const Payment& payment, Refund refund, const GatewayResult& answer,
                     RefundId remainder_id, Timestamp now) {
    Payment seen = payment;
    observe_refunded(seen, answer);
    const bool has_room = refund.amount_minor <= seen.captured_minor - seen.refunded_minor;
    if (answer.all_refunded_minor && !has_room) {
        // A request that is still under way meets the same.
        return failed(
            payment, answer, std::move(refund),
            {std::string(already_given_back_code), "That much is not left: it was given back before."},
            remainder_id, now);
    }
    if (refund.failure) {
        // The provider refused it, and every try was answered.
        Failure failure = *refund.failure;
        return failed(payment, answer, std::move(refund), std::move(failure), remainder_id, now);
    }
    const auto age = now - refund.created_at;
    if (age < idempotency_key_valid_for) {
        // The very same request again cannot refund twice.
        return waits_on(payment, std::move(refund), now, GatewayCall::refund);
    }
    // The last request may be on its way for a while.
    const Timestamp surely_now = std::min(now, answer.provider_time.value_or(now));
    if (surely_now - refund.created_at >= idempotency_key_valid_for + not_found_is_final_after) {
        return failed(payment, answer, std::move(refund),
                      {"provider_never_received", "The payment provider never received this refund."},
                      remainder_id, now);
    }
    return waits_on(payment, std::move(refund), now);
}

/// Refused by the provider itself. A look tells what is left of the payment.
Transition refused(const Payment& payment, Refund refund, const Asked& asked, const GatewayResult& answer,
                   Timestamp now) {
    const bool is_final = asked.is_first_try || answer.failure.code == looked_for_code ||
                          refund.look_ups >= refusal_is_final_after_look_ups;
    if (!is_final) return waits_on(payment, std::move(refund), now);
    refund.failure = answer.failure;
    if (refund.failure->code.empty()) refund.failure->code = "provider_refused";
    return waits_on(payment, std::move(refund), now, GatewayCall::look_up);
}

bool awaits_news(const Refund& refund) {
    return refund.state == RefundState::succeeded && refund.next_look_up_at.has_value();
}

/// News of a refund that succeeded. That its money did not go back cannot be told to an order that counts it
/// as given back: it waits for manual review, once.
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
        return closed(published(std::move(after), now), std::move(refund), now);
    }
    reserve(after, event.amount.minor);
    schedule_resumption(refund, now);
    Transition transition = unpublished(std::move(after), now, GatewayCall::refund);
    transition.refunds.push_back(std::move(refund));
    return transition;
}

Transition repeat_outcome(const Payment& payment, const Refund& refund, Timestamp now) {
    ensure(refund.state != RefundState::requested, "only a refund that is over has an outcome");
    Transition transition = published(payment, now);
    // One that failed after it had succeeded was told as made.
    const bool has_failed = refund.state == RefundState::failed;
    transition.events.back().refund =
        contracts::RefundOutcome{refund.id, refund.amount_minor, has_failed ? refund.failure : std::nullopt};
    return transition;
}

Transition apply_refund_answer(const Payment& payment, const Refund& refund, const Asked& asked,
                               const GatewayResult& answer, RefundId remainder_id, Timestamp now) {
    ensure(refund.payment_id == payment.id, "a refund is of its payment");
    ensure(asked.call == GatewayCall::look_up || asked.call == GatewayCall::refund,
           "an answer about a refund is to a call about it");
    Transition unchanged{payment, {}, {}, GatewayCall::none};
    if (awaits_news(refund)) {
        return asked.call == GatewayCall::look_up ? apply_news(payment, refund, answer, now) : unchanged;
    }
    if (refund.state != RefundState::requested) return unchanged;
    switch (answer.outcome) {
        case GatewayOutcome::succeeded: return succeeded(payment, refund, answer, remainder_id, now);
        case GatewayOutcome::declined:
        case GatewayOutcome::canceled:
            return failed(payment, answer, refund, answer.failure, remainder_id, now);
        case GatewayOutcome::pending:
        case GatewayOutcome::requires_action: return watched(payment, refund, answer, now);
        case GatewayOutcome::not_found:
        case GatewayOutcome::refused:
        case GatewayOutcome::unknown: break;
    }
    // Whoever asks now hears of it by an answer of their own.
    if (asked.seen_version != refund.look_ups) return unchanged;
    if (answer.outcome == GatewayOutcome::not_found && asked.call == GatewayCall::look_up) {
        return not_there(payment, refund, answer, remainder_id, now);
    }
    if (answer.outcome == GatewayOutcome::refused && asked.call == GatewayCall::refund) {
        return refused(payment, refund, asked, answer, now);
    }
    return waits_on(payment, refund, now);
}

Transition put_off(const Payment& payment, const Refund& refund, Timestamp now) {
    return waits_on(payment, refund, now);
}

GatewayCall plan(const Refund& refund, Timestamp now) {
    if (awaits_news(refund)) return GatewayCall::look_up;
    if (refund.state != RefundState::requested) return GatewayCall::none;
    const bool may_repeat = refund.look_ups == 0 && refund.provider_reference.empty() &&
                            now - refund.created_at < idempotency_key_valid_for;
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
