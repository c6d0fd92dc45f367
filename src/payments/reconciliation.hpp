// Compares what is stored with what the provider says: for `quittance reconcile`.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "payments/gateway.hpp"
#include "payments/ledger_audit.hpp"
#include "payments/payment.hpp"

namespace quittance::payments {

enum class DifferenceKind {
    missing_at_provider,
    unknown_here,    ///< The provider holds money in our name that no payment here accounts for ...
    charged_twice,   ///< ... beside that of the payment for which it was charged.
    amount_differs,  ///< Captured.
    refunded_differs,
    state_differs,
    stuck,         ///< Waits for a human.
    not_answered,  ///< The provider did not say.
    ledger_differs,
};

inline constexpr std::array all_difference_kinds{
    DifferenceKind::missing_at_provider,
    DifferenceKind::unknown_here,
    DifferenceKind::charged_twice,
    DifferenceKind::amount_differs,
    DifferenceKind::refunded_differs,
    DifferenceKind::state_differs,
    DifferenceKind::stuck,
    DifferenceKind::not_answered,
    DifferenceKind::ledger_differs,
};

[[nodiscard]] std::string_view to_string(DifferenceKind kind);

struct Difference {
    DifferenceKind kind = DifferenceKind::state_differs;
    std::string payment_id;  ///< Empty where it is not about one payment.
    std::string order_id;
    std::string detail;  ///< For people.
};

struct Reconciliation {
    std::int64_t compared = 0;
    std::int64_t under_way = 0;          ///< Still being decided, and so left for the next time.
    std::int64_t of_others = 0;          ///< Made with another provider than this one.
    std::int64_t charges = 0;            ///< In the provider's own list, since our first payment.
    std::int64_t charges_of_others = 0;  ///< Of these: made in the same account, and not by us.
    std::int64_t ledger_entries = 0;
    std::vector<Difference> differences;
};

struct ReconcileOptions {
    std::size_t calls_at_once = 16;
    /// An answer that takes longer counts as none.
    std::chrono::seconds patience{90};
    ReportAuditProgress audit_progress{};
};

/// Whether the outcome of the payment, or of a capture or refund of it, is still to come, or the provider is
/// about to be asked. An authorization that only waits to be captured is not under way.
[[nodiscard]] bool is_under_way(const Payment& payment);

/// What differs between one payment and what a look-up answered; nothing when all is well.
[[nodiscard]] std::vector<Difference> compare(const Payment& payment, const GatewayResult& answer);

/// Looks every payment up, page by page, then goes through the provider's own list of charges for money that
/// no payment accounts for, and audits the ledger. Changes nothing. The service may go on meanwhile: a
/// payment that seems to differ is read and looked up once more before it is listed.
[[nodiscard]] Reconciliation reconcile(db::Session& session, Gateway& gateway,
                                       const ReconcileOptions& options);

}  // namespace quittance::payments
