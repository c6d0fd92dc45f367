// The HTTP side of payments.
#pragma once

#include "http/auth.hpp"
#include "http/router.hpp"
#include "payments/payment_service.hpp"

namespace quittance::payments {

/// `GET /payments/{id}` and `GET /payments?orderId=`: a customer's own, an ADMIN's any; and for ADMIN
/// `POST /payments/{id}/capture` and `POST /payments/{id}/void`. What is referred to
/// must outlive the router.
void add_payment_routes(http::Router& router, PaymentService& payments, http::TokenVerifier& tokens);

}  // namespace quittance::payments
