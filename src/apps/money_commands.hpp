// What an operator asks about money from the command line. Those that check return whether all is well.
#pragma once

#include <iosfwd>
#include <string>

#include "apps/options.hpp"

namespace quittance::apps {

struct MoneyOptions {
    DatabaseChoice databases;
    GatewayChoice gateway;  ///< For reconcile.
    std::string id;         ///< Of a payment or a refund, for retry.
    bool json = false;      ///< For reconcile: one JSON document in place of lines.
};

/// `quittance ledger verify`
[[nodiscard]] bool verify_ledger(const MoneyOptions& options, std::ostream& out);
/// `quittance payments stuck`: one JSON object a line.
[[nodiscard]] bool list_stuck_payments(const MoneyOptions& options, std::ostream& out);
/// `quittance payments retry ID`
void retry_payment(const MoneyOptions& options, std::ostream& out);
/// `quittance reconcile`
[[nodiscard]] bool reconcile_payments(const MoneyOptions& options, std::ostream& out);

}  // namespace quittance::apps
