// The statements on the table `refunds`: a batch in, a batch out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "db/database.hpp"
#include "payments/payment_store.hpp"
#include "payments/refund.hpp"

namespace quittance::payments {

/// Works inside the caller's transaction, where there is one. The lock of a payment guards its refunds too.
/// Throws the storage failures of db/database.hpp. Thread safe: holds nothing but texts.
class RefundStore {
public:
    explicit RefundStore(const db::Dialect& dialect);

    void insert(db::Session& session, std::span<const Refund> refunds) const;
    /// Stores what changes in a refund.
    void update(db::Session& session, std::span<const Refund> refunds) const;
    /// Sets only when to take them up again.
    void prolong_claims(db::Session& session, std::span<const RefundId> ids, Timestamp until) const;

    /// Ids must not repeat; what is not there is left out.
    [[nodiscard]] std::vector<Refund> find(db::Session& session, std::span<const RefundId> ids) const;
    /// All refunds of these payments, in the order in which they were asked for.
    [[nodiscard]] std::vector<Refund> list(db::Session& session, std::span<const PaymentId> payments) const;

    /// Refunds of payments that were made with this provider, to take up again, the longest due first.
    [[nodiscard]] bool any_due(db::Session& session, std::string_view provider, Timestamp now) const;
    [[nodiscard]] std::vector<Refund> due_and_lock(db::Session& session, std::string_view provider,
                                                   Timestamp now, std::int64_t limit) const;
    /// What stands in the list for a human, the longest first. Takes no locks.
    [[nodiscard]] std::vector<Refund> find_stuck(db::Session& session, std::int64_t limit) const;

private:
    std::string insert_;
    std::string update_;
    std::string prolong_claims_;
    std::string find_;
    std::string list_;
    std::string due_and_lock_;
    std::string stuck_;
};

/// The payments that these refunds belong to.
[[nodiscard]] std::unordered_map<PaymentId, Payment> payments_of(db::Session& session,
                                                                 const PaymentStore& payments,
                                                                 std::span<const Refund> refunds);

}  // namespace quittance::payments
