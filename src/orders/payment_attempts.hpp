// The attempts to pay one order: the last reported state of each, and which one the order shows. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "contracts/events.hpp"

namespace quittance::orders {

/// Stored in the order's row. Of more attempts, the oldest that are not open and never captured anything are
/// dropped. This loses nothing: a later update of a dropped attempt matters only if it reports captured
/// money, and then it is recorded again.
inline constexpr std::size_t max_known_attempts = 20;

/// The state of one attempt to pay an order, as the payment service last reported it.
struct PaymentAttempt {
    int attempt = 1;
    std::int64_t sequence = 0;  ///< Of the newest update that was recorded; 0: none yet.
    contracts::PaymentStatus status = contracts::PaymentStatus::pending;
    std::int64_t captured_minor = 0;  ///< Never decreases; the same holds for refunded_minor.
    std::int64_t refunded_minor = 0;
    std::optional<contracts::Failure> failure;

    bool operator==(const PaymentAttempt&) const = default;
};

/// One element for each known attempt, ascending; the last is the newest.
using PaymentAttempts = std::vector<PaymentAttempt>;

[[nodiscard]] bool holds_money(const PaymentAttempt& attempt);

/// PENDING, AUTHORIZED or UNKNOWN: the provider may still report money without anybody doing anything.
/// REQUIRES_ACTION is not open, because the customer would have to act first.
[[nodiscard]] bool is_open(const PaymentAttempt& attempt);

[[nodiscard]] bool any_is_open(const PaymentAttempts& attempts);

/// nullptr when nothing is known of it.
[[nodiscard]] const PaymentAttempt* find_attempt(const PaymentAttempts& attempts, int attempt);

enum class UpdateKind {
    newer,
    stale,          ///< A repetition, or older than the last update of the same attempt.
    contradictory,  ///< Newer by its sequence, but a captured or refunded amount would decrease.
};

[[nodiscard]] UpdateKind classify(const PaymentAttempts& attempts, const contracts::PaymentUpdated& update);

/// Adds an attempt that is newer than all that are known, PENDING.
void begin(PaymentAttempts& attempts, int attempt);

/// Stores the state that an update of kind `newer` reports. If its attempt is newer than all known ones, open
/// ones become FAILED: an attempt begins only after those before it have ended.
void record(PaymentAttempts& attempts, const contracts::PaymentUpdated& update);

/// The attempt whose payment the order shows and whose outcome it follows. The first of these that exists:
/// 1. an attempt that holds money: `shown` if it does, else the lowest;
/// 2. the newest attempt, if it is open and the order `waits` for its payment;
/// 3. the newest attempt that ever captured money (all of it was refunded, or 1 would apply);
/// 4. the newest attempt.
/// Requires at least one attempt.
[[nodiscard]] const PaymentAttempt& attempt_to_show(const PaymentAttempts& attempts, int shown, bool waits);

}  // namespace quittance::orders
