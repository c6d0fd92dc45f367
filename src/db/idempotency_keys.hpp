// Requests that clients named by keys of their own, so that they may repeat them: the table
// `idempotency_keys`, which each of the databases has.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "db/database.hpp"

namespace quittance::db {

/// How long they are remembered.
inline constexpr std::chrono::hours idempotency_key_lifetime{24};

/// That a user named a request about something by a key of their own.
struct IdempotencyKey {
    UserId user_id;
    std::string key;
    std::string fingerprint;  ///< Of the request that used the key first.
    UuidBytes subject{};      ///< The id of what it is about: an order, or a payment.
    Timestamp created_at;

    /// What no two of them share.
    using Name = std::pair<UserId, std::string>;
    [[nodiscard]] Name name() const { return {user_id, key}; }
};

/// `invalid`: for a request whose key named another one.
[[nodiscard]] Error key_of_another_request();

/// Works inside the caller's transaction. Throws the storage failures of db/database.hpp. Thread safe: holds
/// nothing but texts.
class IdempotencyKeyStore {
public:
    /// `subject_column`: of the ids of what the requests are about.
    IdempotencyKeyStore(const Dialect& dialect, std::string_view subject_column);

    /// Inserts those whose user and key are not taken; returns how many were new.
    std::int64_t insert_new(Session& session, std::span<const IdempotencyKey> keys) const;
    /// The stored entries with the same users and keys.
    [[nodiscard]] std::vector<IdempotencyKey> find(Session& session,
                                                   std::span<const IdempotencyKey> wanted) const;
    /// Forgets old keys, the oldest first and at most `purged_at_once` of them; true when more is left. One
    /// short statement.
    bool purge(Session& session, Timestamp created_before) const;

    /// Few enough that requests, which wait for the same writer, hardly notice.
    static constexpr std::int64_t purged_at_once = 2'000;

private:
    [[nodiscard]] std::string batch_of(std::span<const IdempotencyKey> keys) const;

    std::string subject_column_;
    std::string insert_;
    std::string find_;
    std::string purge_;
};

}  // namespace quittance::db
