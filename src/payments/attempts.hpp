// The attempts to pay one order, and what they mean for each other. Decides only; does no I/O.
#pragma once

#include <vector>

#include <absl/functional/function_ref.h>

#include "payments/payment.hpp"

namespace quittance::payments {

/// All attempts to pay one order, the first one first.
using Attempts = std::vector<const Payment*>;
using NewRefundId = absl::FunctionRef<RefundId()>;

/// A new attempt takes the place of the ones before: what closes each of them.
[[nodiscard]] std::vector<Transition> close_earlier(const Attempts& attempts, int new_attempt, Timestamp now);

/// Whether the charge of this attempt has to wait: one before it is not over.
[[nodiscard]] bool must_wait(const Attempts& attempts, int attempt);

/// What the change asks of the gateway is left to the next sweep.
[[nodiscard]] Transition left_to_sweep(Transition transition, Timestamp now);

/// After a change of one of them: one pays, which is the one that did already or else the one that has come
/// to hold money, and every other one is released; and one is charged at a time, when all before are over.
[[nodiscard]] std::vector<Transition> settle_attempts(const Attempts& attempts, const PaymentId& changed,
                                                      NewRefundId new_refund_id, Timestamp now);

/// The order was canceled: nothing shall stay with any of them.
[[nodiscard]] std::vector<Transition> release_all(const Attempts& attempts, NewRefundId new_refund_id,
                                                  Timestamp now);

/// The attempt whose money a refund gives back: the one that was meant, unless only another holds money. Null
/// when there is neither.
[[nodiscard]] const Payment* holder_of_money(const Attempts& attempts, int meant);

}  // namespace quittance::payments
