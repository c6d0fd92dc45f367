// What an operator can mend after the two databases were restored from backups of different times.
#pragma once

#include <cstdint>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "db/database.hpp"

namespace quittance::audit {

/// Asks the payment service to give back or void whatever the payments of an order hold, by the event that an
/// order's cancellation publishes. For an order that is not stored: `conflict` for one that is (cancel it),
/// `not_found` when it has no payments. Returns their number. A running order service publishes the event.
/// Throws the storage failures of db/database.hpp.
[[nodiscard]] Result<std::int64_t> release_payments(db::Session& orders, db::Session& payments, OrderId id,
                                                    IdGenerator& ids, const Clock& clock);

/// A payment that the provider knows and the payments' database does not.
struct LostPayment {
    PaymentId id;  ///< As the provider's metadata say.
    OrderId order_id;
    int attempt = 1;
};

/// Stores a lost payment anew, closed, so that it is looked up and never charged: the provider's answer tells
/// what it holds. A running payment service looks it up within moments. `not_found` when there is no such
/// order, or it never had such an attempt; `conflict` when the payment, or another of the same attempt, is
/// stored. Throws the storage failures of db/database.hpp.
[[nodiscard]] Result<Done> restore_payment(db::Session& orders, db::Session& payments,
                                           const LostPayment& lost, std::string_view provider,
                                           const Clock& clock);

}  // namespace quittance::audit
