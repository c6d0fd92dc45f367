// What an operator asks about money from the command line. Those that check return whether all is well.
#pragma once

#include <iosfwd>
#include <string>

#include "apps/options.hpp"

namespace quittance::apps {

struct MoneyOptions {
    DatabaseChoice databases;
    bool at_once = false;  ///< For verify and reconcile: do not pause between pages.
    std::string id;        ///< For retry, of a payment or a refund; for restore, of a payment.
    std::string order_id;  ///< For release and restore.
    int attempt = 1;       ///< For restore.

    GatewayChoice gateway;  ///< For reconcile and restore.

    // For reconcile.
    bool orders_only = false;  ///< Compare orders with payments, and leave the provider alone.
    bool json = false;         ///< Print one JSON document in place of lines.
    std::string metrics_file;  ///< Also write what was found there, for Prometheus; empty: do not.
};

/// `quittance ledger verify`
[[nodiscard]] bool verify_ledger(const MoneyOptions& options, std::ostream& out);
/// `quittance payments stuck`: one JSON object a line.
[[nodiscard]] bool list_stuck_payments(const MoneyOptions& options, std::ostream& out);
/// `quittance payments retry ID`
void retry_payment(const MoneyOptions& options, std::ostream& out);
/// `quittance payments release ORDER`
void release_payments(const MoneyOptions& options, std::ostream& out);
/// `quittance payments restore PAYMENT --order ORDER`
void restore_payment(const MoneyOptions& options, std::ostream& out);
/// `quittance reconcile`
[[nodiscard]] bool reconcile_books(const MoneyOptions& options, std::ostream& out);

}  // namespace quittance::apps
