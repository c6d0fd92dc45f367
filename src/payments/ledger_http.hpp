// The HTTP side of the ledger.
#pragma once

#include "http/auth.hpp"
#include "http/router.hpp"
#include "payments/ledger_reader.hpp"

namespace quittance::payments {

/// `GET /ledger/balances` and `GET /ledger/entries?orderId=`, for ADMIN. What is referred to must outlive the
/// router.
void add_ledger_routes(http::Router& router, LedgerReader& ledger, http::TokenVerifier& tokens);

}  // namespace quittance::payments
