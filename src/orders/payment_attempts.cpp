#include "orders/payment_attempts.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace quittance::orders {

using contracts::PaymentStatus;

namespace {

PaymentAttempts::iterator place_of(PaymentAttempts& attempts, int attempt) {
    return std::ranges::lower_bound(attempts, attempt, {}, &PaymentAttempt::attempt);
}

/// Bounds the list, and drops failures that are never shown: an attempt that captured nothing is shown only
/// while it is the newest.
void drop_unneeded(PaymentAttempts& attempts) {
    const int newest = attempts.back().attempt;
    const auto is_past = [&](const PaymentAttempt& attempt) {
        return attempt.attempt != newest && attempt.captured_minor == 0;
    };
    for (PaymentAttempt& attempt : attempts) {
        if (is_past(attempt)) attempt.failure.reset();
    }
    while (attempts.size() > max_known_attempts) {
        const auto oldest = std::ranges::find_if(
            attempts, [&](const PaymentAttempt& attempt) { return is_past(attempt) && !is_open(attempt); });
        if (oldest == attempts.end()) return;
        attempts.erase(oldest);
    }
}

}  // namespace

bool holds_money(const PaymentAttempt& attempt) {
    return attempt.captured_minor > attempt.refunded_minor;
}

bool is_open(const PaymentAttempt& attempt) {
    switch (attempt.status) {
        case PaymentStatus::pending:
        case PaymentStatus::authorized:
        case PaymentStatus::unknown: return true;
        case PaymentStatus::captured:
        case PaymentStatus::failed:
        case PaymentStatus::requires_action:
        case PaymentStatus::canceled:
        case PaymentStatus::partially_refunded:
        case PaymentStatus::refunded: return false;
    }
    return false;
}

bool any_is_open(const PaymentAttempts& attempts) {
    return std::ranges::any_of(attempts, is_open);
}

const PaymentAttempt* find_attempt(const PaymentAttempts& attempts, int attempt) {
    const auto found = std::ranges::find(attempts, attempt, &PaymentAttempt::attempt);
    return found == attempts.end() ? nullptr : &*found;
}

UpdateKind classify(const PaymentAttempts& attempts, const contracts::PaymentUpdated& update) {
    const PaymentAttempt* known = find_attempt(attempts, update.attempt());
    if (known == nullptr) {
        const bool is_past = update.attempt() < attempts.back().attempt;
        return is_past && update.captured_minor == 0 ? UpdateKind::stale : UpdateKind::newer;
    }
    if (update.sequence <= known->sequence) return UpdateKind::stale;
    const bool less =
        update.captured_minor < known->captured_minor || update.refunded_minor < known->refunded_minor;
    return less ? UpdateKind::contradictory : UpdateKind::newer;
}

void begin(PaymentAttempts& attempts, int attempt) {
    PaymentAttempt next;
    next.attempt = attempt;
    attempts.push_back(std::move(next));
    drop_unneeded(attempts);
}

void record(PaymentAttempts& attempts, const contracts::PaymentUpdated& update) {
    if (!attempts.empty() && update.attempt() > attempts.back().attempt) {
        // This database does not know how the attempts before it ended, only that they did.
        for (PaymentAttempt& attempt : attempts) {
            if (is_open(attempt)) attempt.status = PaymentStatus::failed;
        }
    }
    auto place = place_of(attempts, update.attempt());
    if (place == attempts.end() || place->attempt != update.attempt()) place = attempts.emplace(place);
    *place = {update.attempt(),      update.sequence,       update.status,
              update.captured_minor, update.refunded_minor, update.failure};
    drop_unneeded(attempts);
}

const PaymentAttempt& attempt_to_show(const PaymentAttempts& attempts, int shown, bool waits) {
    ensure(!attempts.empty(), "an order has an attempt to show");
    const PaymentAttempt* const now = find_attempt(attempts, shown);
    if (now != nullptr && holds_money(*now)) return *now;
    const auto holder = std::ranges::find_if(attempts, holds_money);
    if (holder != attempts.end()) return *holder;
    const PaymentAttempt& newest = attempts.back();
    if (waits && is_open(newest)) return newest;
    const auto spent = std::find_if(attempts.rbegin(), attempts.rend(),
                                    [](const PaymentAttempt& attempt) { return attempt.captured_minor > 0; });
    return spent == attempts.rend() ? newest : *spent;
}

}  // namespace quittance::orders
