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
    succeeded,
    failed,  ///< Nothing moved; the amount is free for another refund.
};

[[nodiscard]] std::string_view to_string(RefundState state);
[[nodiscard]] std::optional<RefundState> parse_refund_state(std::string_view text);

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
    std::optional<Timestamp> stuck_since;  ///< The schedule ended without an answer: a human has to look.
    Timestamp created_at;
    Timestamp updated_at;

    bool operator==(const Refund&) const = default;
};

}  // namespace quittance::payments
