// Captures and voids that an administrator may repeat under an idempotency key.
#pragma once

#include <span>
#include <vector>

#include "core/clock.hpp"
#include "db/idempotency_keys.hpp"
#include "messaging/outbox.hpp"
#include "payments/payment_writer.hpp"

namespace quittance::payments {

/// `PaymentWriter::command` for the requests that are new; those that repeat an earlier one come out as a
/// `Step` with the payment as it is now, `repeated` and without a call. `invalid` for a key that named
/// another request; the key of a command that was refused stays free. Throws StorageConflict when another
/// transaction has just used one of the keys for another payment.
[[nodiscard]] std::vector<Result<Step>> command_under_keys(db::Session& session,
                                                           const db::IdempotencyKeyStore& keys,
                                                           const PaymentWriter& writer, Timestamp now,
                                                           std::span<const CommandRequest> requests,
                                                           std::vector<messaging::OutboxRow>& published);

}  // namespace quittance::payments
