// The statements on the table `payments`: a batch in, a batch out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "db/database.hpp"
#include "payments/payment.hpp"

namespace quittance::payments {

/// A payment, or an order, as one caller may see it: with an owner set, another's is not there.
template <class IdType>
struct Visible {
    IdType id;
    std::optional<UserId> owner;
};

/// Works inside the caller's transaction, where there is one. Throws the storage failures of db/database.hpp.
/// Thread safe: holds nothing but texts.
class PaymentStore {
public:
    explicit PaymentStore(const db::Dialect& dialect);

    /// Leaves out payments that would be a second one of an order that is not ended, or the second of the
    /// same attempt; returns how many went in.
    std::int64_t insert_new(db::Session& session, std::span<const Payment> payments) const;
    /// Stores what changes in a payment; lock it before.
    void update(db::Session& session, std::span<const Payment> payments) const;
    /// Whether `update_charge` stores the whole change.
    [[nodiscard]] static bool is_change_by_charge(const Payment& before, const Payment& after);
    /// Stores what the answer to a charge changes, with fewer columns than `update`.
    void update_charge(db::Session& session, std::span<const Payment> payments) const;
    /// Sets only the schedule: `look_ups`, `next_look_up_at` and `stuck_since`, and the version.
    void reschedule(db::Session& session, std::span<const Payment> payments) const;

    /// Sets only when to take them up again.
    void prolong_claims(db::Session& session, std::span<const PaymentId> ids, Timestamp until) const;

    /// Ids must not repeat; what is not there is left out.
    [[nodiscard]] std::vector<Payment> find_and_lock(db::Session& session,
                                                     std::span<const PaymentId> ids) const;
    [[nodiscard]] std::vector<Payment> find_and_lock(db::Session& session,
                                                     std::span<const OrderId> ids) const;

    /// Payments that were made with this provider, to take up again, the longest due first.
    [[nodiscard]] bool any_due(db::Session& session, std::string_view provider, Timestamp now) const;
    [[nodiscard]] std::vector<Payment> due_and_lock(db::Session& session, std::string_view provider,
                                                    Timestamp now, std::int64_t limit) const;

    /// What stands in the list for a human, the longest first. Takes no locks.
    [[nodiscard]] std::vector<Payment> find_stuck(db::Session& session, std::int64_t limit) const;
    /// All payments in pages, in the order of their ids; those behind `after`.
    [[nodiscard]] std::vector<Payment> page(db::Session& session, const PaymentId& after,
                                            std::int64_t limit) const;

    [[nodiscard]] std::vector<Payment> find(db::Session& session,
                                            std::span<const Visible<PaymentId>> wanted) const;
    /// All attempts, the first one first.
    [[nodiscard]] std::vector<Payment> list(db::Session& session,
                                            std::span<const Visible<OrderId>> wanted) const;

private:
    std::string insert_;
    std::string update_;
    std::string update_charge_;
    std::string reschedule_;
    std::string prolong_claims_;
    std::string find_and_lock_;
    std::string find_by_order_and_lock_;
    std::string due_and_lock_;
    std::string stuck_;
    std::string find_;
    std::string list_;
};

}  // namespace quittance::payments
