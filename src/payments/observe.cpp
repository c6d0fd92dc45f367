// The one door for what the provider says of a payment.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "core/canary.hpp"
#include "payments/payment.hpp"
#include "payments/transition.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;

/// What the snapshot says; `none` when the answer is no snapshot of an object.
ProviderState state_in(const Payment& payment, const GatewayResult& answer) {
    switch (answer.outcome) {
        case GatewayOutcome::succeeded:
            if (answer.captured_minor > 0) return ProviderState::captured;
            // What is to be captured at once is not done yet.
            return payment.capture_at_once ? ProviderState::processing : ProviderState::authorized;
        case GatewayOutcome::declined:
        case GatewayOutcome::requires_action: return ProviderState::open;
        case GatewayOutcome::pending: return ProviderState::processing;
        case GatewayOutcome::canceled:
            return answer.captured_minor > 0 ? ProviderState::captured : ProviderState::canceled;
        case GatewayOutcome::not_found:
        case GatewayOutcome::refused:
        case GatewayOutcome::unknown: return ProviderState::none;
    }
    throw std::logic_error("an enumeration holds none of its values");
}

/// A payment never goes back to a lower rank, whatever an old snapshot says.
int rank_of(ProviderState state) {
    switch (state) {
        case ProviderState::none:
        case ProviderState::absent: return 0;
        case ProviderState::open:
        case ProviderState::processing:
        case ProviderState::authorized: return 1;
        case ProviderState::canceled: return 2;
        case ProviderState::captured: return 3;
    }
    throw std::logic_error("an enumeration holds none of its values");
}

bool is_impossible(const Payment& payment) {
    return payment.captured_minor > payment.amount.minor || payment.refunded_minor > payment.captured_minor;
}

void take_in_failure(Payment& after, const GatewayResult& answer) {
    switch (after.provider_state) {
        case ProviderState::authorized:
        case ProviderState::captured: after.failure.reset(); break;
        case ProviderState::open:
            after.failure = answer.failure;
            if (after.failure->code.empty()) {
                const bool asks = answer.outcome == GatewayOutcome::requires_action;
                after.failure->code = asks ? std::string(authentication_required_code) : "declined";
            }
            break;
        case ProviderState::canceled:
            // That it was closed does not say why it had to be.
            if (after.failure) break;
            after.failure = answer.failure;
            if (after.failure->code.empty()) after.failure = Failure{std::string(canceled_code), ""};
            break;
        case ProviderState::none:
        case ProviderState::absent:
        case ProviderState::processing: break;
    }
}

/// Takes in a snapshot. False when it is older than what is known, or the same and not asked for by this
/// state.
bool observe(Payment& after, const GatewayResult& answer, bool is_current) {
    const ProviderState seen = state_in(after, answer);
    if (seen == ProviderState::none || answer.captured_minor < 0 || answer.refunded_minor < 0) return false;
    const bool more =
        answer.captured_minor > after.captured_minor || answer.refunded_minor > after.refunded_minor;
    const int gain = rank_of(seen) - rank_of(after.provider_state);
    if (gain < 0 || (gain == 0 && !more && !is_current)) return false;
    after.charge_sent = true;
    // That of a refused repetition: there is the payment.
    if (after.provider_state == ProviderState::none) after.failure.reset();
    after.provider_state = seen;
    if (!answer.provider_reference.empty()) after.provider_reference = answer.provider_reference;
    after.captured_minor = std::max(after.captured_minor, answer.captured_minor);
    after.refunded_minor = std::max(after.refunded_minor, answer.refunded_minor);
    take_in_failure(after, answer);
    if (seen == ProviderState::captured || seen == ProviderState::canceled) {
        after.capture_requested_minor = 0;
        after.capture_key.clear();
    }
    return true;
}

std::chrono::milliseconds watch_pause(const Payment& payment, Timestamp now) {
    if (payment.provider_state == ProviderState::authorized) return longest_watch_pause;
    return payments::watch_pause(payment.created_at, now);
}

/// Plans what comes after an answer that has said where the payment stands.
Transition after_snapshot(const Payment& before, Payment after, const Asked& asked, RefundId remainder_id,
                          Timestamp now) {
    const GatewayCall planned = plan(after, now);
    GatewayCall next = GatewayCall::none;
    if (planned == GatewayCall::none) {
        settle(after);
    } else if (planned == GatewayCall::look_up) {
        settle(after);
        after.next_look_up_at = now + watch_pause(after, now);
    } else if (planned == asked.call) {
        // Answered, and not done.
        schedule_look_up(after, now);
    } else {
        settle(after);
        schedule_resumption(after, now);
        next = planned;
    }
    // A repetition under a key is answered as the first try was, which may be long ago.
    const bool may_be_old =
        (asked.call == GatewayCall::authorize || asked.call == GatewayCall::capture) && !asked.is_first_try;
    const bool looks_again = may_be_old && (planned == GatewayCall::none || planned == GatewayCall::look_up);
    if (looks_again) schedule_resumption(after, now);
    // What came up after the question was asked is not answered by it.
    const bool is_current = asked.seen_version == before.version;
    if (!is_current && next == GatewayCall::none && before.next_look_up_at) {
        after.next_look_up_at =
            std::min(*before.next_look_up_at, after.next_look_up_at.value_or(*before.next_look_up_at));
    }
    if (is_impossible(after) && !after.stuck_since) after.stuck_since = now;
    Transition transition = followed(before, std::move(after), remainder_id, now, next);
    if (looks_again && transition.next == GatewayCall::none) transition.next = GatewayCall::look_up;
    return transition;
}

/// A look-up beside the repetitions of the charge, which tells something only when it finds the payment.
bool is_beside_the_charge(const Payment& payment, const Asked& asked, Timestamp now) {
    return asked.call == GatewayCall::look_up && plan(payment, now) == GatewayCall::authorize;
}

Transition after_nothing(const Payment& before, const Asked& asked, Timestamp now) {
    if (is_beside_the_charge(before, asked, now)) return {before, {}, {}, GatewayCall::none};
    Payment after = before;
    schedule_look_up(after, now);
    // What stands in the way of charges may let look-ups pass.
    const bool looks = asked.call == GatewayCall::authorize && !asked.is_first_try;
    return followed(before, std::move(after), {}, now, looks ? GatewayCall::look_up : GatewayCall::none);
}

/// It was not made, and will not be.
Transition never_made(const Payment& before, Failure failure, Timestamp now) {
    Payment after = before;
    after.provider_state = ProviderState::absent;
    after.failure = std::move(failure);
    if (after.failure->code.empty()) after.failure->code = "declined";
    settle(after);
    return followed(before, std::move(after), {}, now);
}

Transition after_not_found(const Payment& before, const GatewayResult& answer, const Asked& asked,
                           Timestamp now) {
    if (before.provider_state == ProviderState::absent) {
        Payment after = before;
        settle(after);
        return followed(before, std::move(after), {}, now);
    }
    if (before.provider_state != ProviderState::none) return after_nothing(before, asked, now);
    // A clock of ours that leaps ahead makes nothing certain.
    const Timestamp surely_now = std::min(now, answer.provider_time.value_or(now));
    const Timestamp last_sent = gateway_request(before, GatewayCall::look_up).may_be_sent_until;
    const auto waits =
        planted(Canary::not_found_is_final_at_once) ? std::chrono::hours(0) : not_found_is_final_after;
    if (surely_now >= last_sent + waits) {
        static const Failure never_received{"provider_never_received",
                                            "The payment provider never received this payment."};
        return never_made(before, before.failure.value_or(never_received), now);
    }
    return after_nothing(before, asked, now);
}

/// The capture is over and took nothing. Perhaps because the authorization is gone: look.
Transition capture_refused(const Payment& before, const Failure& failure, Timestamp now) {
    Payment after = before;
    after.capture_requested_minor = 0;
    after.capture_key.clear();
    after.failure = failure;
    if (after.failure->code.empty()) after.failure->code = "capture_declined";
    settle(after);
    after.next_look_up_at = now;
    return followed(before, std::move(after), {}, now);
}

/// The provider refuses to be asked again, and an earlier try may have been made: a look tells, and it was
/// not when it is still not there an hour later.
Transition refused_in_doubt(const Payment& before, const GatewayResult& answer, Timestamp now) {
    Payment after = before;
    after.failure = answer.failure;
    if (after.failure->code.empty()) after.failure->code = "declined";
    schedule_look_up(after, now);
    return followed(before, std::move(after), {}, now, GatewayCall::look_up);
}

Transition after_refusal(const Payment& before, const Asked& asked, const GatewayResult& answer,
                         Timestamp now) {
    // After a try without an answer, a refusal says nothing about that try.
    const bool nothing_under_way = asked.is_first_try || answer.failure.code == looked_for_code ||
                                   planted(Canary::refusal_is_always_final);
    if (asked.call == GatewayCall::authorize && before.provider_state == ProviderState::none) {
        if (nothing_under_way) return never_made(before, answer.failure, now);
        if (now - before.updated_at >= not_found_is_final_after) return refused_in_doubt(before, answer, now);
    }
    const bool of_this_capture =
        asked.call == GatewayCall::capture && asked.idempotency_key == before.capture_key;
    const bool capture_is_final = before.look_ups == 0 || answer.failure.code == looked_for_code ||
                                  before.look_ups >= refusal_is_final_after_look_ups;
    if (of_this_capture && capture_is_final) return capture_refused(before, answer.failure, now);
    return after_nothing(before, asked, now);
}

}  // namespace

Transition apply_answer(const Payment& payment, const Asked& asked, const GatewayResult& answer,
                        RefundId remainder_id, Timestamp now) {
    ensure(asked.call != GatewayCall::none && asked.call != GatewayCall::refund,
           "an answer about a payment is to a call about it");
    const bool is_current = asked.seen_version == payment.version;
    Payment after = payment;
    if (observe(after, answer, is_current)) {
        return after_snapshot(payment, std::move(after), asked, remainder_id, now);
    }
    // Whoever asks now hears of it by an answer of their own.
    if (!is_current) return {payment, {}, {}, GatewayCall::none};
    switch (answer.outcome) {
        case GatewayOutcome::not_found: return after_not_found(payment, answer, asked, now);
        case GatewayOutcome::refused: return after_refusal(payment, asked, answer, now);
        case GatewayOutcome::succeeded:
        case GatewayOutcome::declined:
        case GatewayOutcome::requires_action:
        case GatewayOutcome::pending:
        case GatewayOutcome::canceled:
        case GatewayOutcome::unknown: return after_nothing(payment, asked, now);
    }
    throw std::logic_error("an enumeration holds none of its values");
}

}  // namespace quittance::payments
