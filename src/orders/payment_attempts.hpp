// The attempts to pay one order: what was heard of each, and which one the order shows. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "contracts/events.hpp"

namespace quittance::orders {

/// An order's row holds them. Beyond this many the oldest that never captured anything are forgotten, which
/// loses nothing: what they can still tell is money, and that is heard all the same.
inline constexpr std::size_t max_known_attempts = 20;

/// What was last heard of one attempt to pay an order.
struct PaymentAttempt {
    int attempt = 1;
    std::int64_t sequence = 0;  ///< Of the newest update that was applied; 0: none yet.
    contracts::PaymentStatus status = contracts::PaymentStatus::pending;
    std::int64_t captured_minor = 0;  ///< Neither this nor the next ever becomes less.
    std::int64_t refunded_minor = 0;
    std::optional<contracts::Failure> failure;

    bool operator==(const PaymentAttempt&) const = default;
};

/// One for each attempt that is known, in ascending order; the last is the newest.
using PaymentAttempts = std::vector<PaymentAttempt>;

[[nodiscard]] bool holds_money(const PaymentAttempt& attempt);

/// Whether the provider may still decide to take money by itself. Not so after REQUIRES_ACTION: there the
/// customer would have to do something first.
[[nodiscard]] bool is_open(const PaymentAttempt& attempt);

[[nodiscard]] bool any_is_open(const PaymentAttempts& attempts);

/// nullptr when nothing is known of it.
[[nodiscard]] const PaymentAttempt* find_attempt(const PaymentAttempts& attempts, int attempt);

enum class News {
    newer,          ///< To be taken in.
    old,            ///< A repetition, or overtaken by what is known.
    contradictory,  ///< Newer by its sequence, but something that was captured or refunded would become less.
};

[[nodiscard]] News news_of(const PaymentAttempts& attempts, const contracts::PaymentUpdated& update);

/// Adds an attempt that is newer than all that are known, PENDING.
void begin(PaymentAttempts& attempts, int attempt);

/// Takes in an update that is newer.
void take_in(PaymentAttempts& attempts, const contracts::PaymentUpdated& update);

/// The attempt whose payment an order shows, and whose outcome it follows: the one that holds money, which is
/// `shown` if that does, else the first that does. Without any: of an order that `waits` for its payment the
/// newest attempt while that is open; else the newest that ever captured money, all of which has gone back;
/// else the newest attempt. At least one attempt is known.
[[nodiscard]] const PaymentAttempt& attempt_to_show(const PaymentAttempts& attempts, int shown, bool waits);

}  // namespace quittance::orders
