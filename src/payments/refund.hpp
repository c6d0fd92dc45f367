// One refund of one payment. Decides only; does no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/ids.hpp"

namespace quittance::payments {

enum class RefundState {
    requested,  ///< Its amount is reserved; the provider was asked, or will be.
    succeeded,  ///< May fail later all the same, when a bank sends the money back: then it gets stuck.
    failed,     ///< Nothing moved; the amount is free for another refund.
};

[[nodiscard]] std::string_view to_string(RefundState state);
[[nodiscard]] std::optional<RefundState> parse_refund_state(std::string_view text);

/// The key under which a refund is asked for, and whose key it is.
[[nodiscard]] std::string refund_key(RefundId id);
[[nodiscard]] std::optional<RefundId> refund_of_key(std::string_view key);

struct Refund {
    RefundId id;
    PaymentId payment_id;
    RefundState state = RefundState::requested;
    std::int64_t amount_minor = 0;
    std::string reason;
    std::string idempotency_key;  ///< Stored before the first call and never changed.
    std::string provider_reference;
    std::optional<contracts::Failure> failure;
    int look_ups = 0;  ///< Answers in a row that did not say what happened.
    std::optional<Timestamp> next_look_up_at;
    /// The schedule ended without an answer, or what had succeeded has failed: a human has to look.
    std::optional<Timestamp> stuck_since;
    Timestamp created_at;
    Timestamp updated_at;

    bool operator==(const Refund&) const = default;
};

}  // namespace quittance::payments
