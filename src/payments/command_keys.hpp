// Captures and voids that an administrator may repeat under an idempotency key.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "db/database.hpp"
#include "messaging/outbox.hpp"
#include "payments/payment_writer.hpp"

namespace quittance::payments {

/// How long an idempotency key is remembered, as for orders.
inline constexpr std::chrono::hours command_key_lifetime{24};

/// That a user named a command by a key of their own.
struct CommandKey {
    UserId user_id;
    std::string key;
    std::string fingerprint;  ///< Of the request that used the key first.
    PaymentId payment_id;
    Timestamp created_at;
};

/// The statements on the table `idempotency_keys` of the payments' database. Works inside the caller's
/// transaction. Throws the storage failures of db/database.hpp. Thread safe: holds nothing but texts.
class CommandKeyStore {
public:
    explicit CommandKeyStore(const db::Dialect& dialect);

    /// Inserts those whose user and key are not taken; returns how many were new.
    std::int64_t insert_new(db::Session& session, std::span<const CommandKey> keys) const;
    /// The stored entries with the same users and keys.
    [[nodiscard]] std::vector<CommandKey> find(db::Session& session,
                                               std::span<const CommandKey> wanted) const;
    /// Forgets old keys, the oldest first and at most `purged_at_once` of them; true when more is left.
    bool purge(db::Session& session, Timestamp created_before) const;

    static constexpr std::int64_t purged_at_once = 2'000;

private:
    std::string insert_;
    std::string purge_;
    std::string find_;
};

/// `PaymentWriter::command` for the requests that are new; those that repeat an earlier one come out as a
/// `Step` with the payment as it is now, `repeated` and without a call. `invalid` for a key that named
/// another request; the key of a command that was refused stays free. Throws StorageConflict when another
/// transaction has just used one of the keys for another payment.
[[nodiscard]] std::vector<Result<Step>> command_under_keys(db::Session& session, const CommandKeyStore& keys,
                                                           const PaymentWriter& writer, Timestamp now,
                                                           std::span<const CommandRequest> requests,
                                                           std::vector<messaging::OutboxRow>& published);

}  // namespace quittance::payments
