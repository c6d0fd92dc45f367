// What we say to Stripe. Decides only; does no I/O.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/money.hpp"
#include "payments/gateway.hpp"

namespace quittance::payments {

/// Sent with every request, so that a change of the account's default changes nothing for us
/// (https://docs.stripe.com/api/versioning).
inline constexpr std::string_view stripe_api_version = "2024-06-20";
/// The most that a list gives at once (https://docs.stripe.com/api/pagination).
inline constexpr int stripe_page_size = 100;
/// Longest answer to a list. An object may have 50 metadata values of 500 characters, and its charge has a
/// copy of them (https://docs.stripe.com/api/metadata): 5 MB a page. What exceeds this is asked for in
/// smaller pages.
inline constexpr std::size_t stripe_list_bytes = std::size_t{8} * 1024 * 1024;
/// Longest answer with one object.
inline constexpr std::size_t stripe_object_bytes = std::size_t{1024} * 1024;

struct StripeRequest {
    std::string_view endpoint;  ///< A name for limits and metrics, such as "payment_intents.create".
    bool posts = false;         ///< Else it is a GET.
    std::string path;           ///< From "/v1" on, with the query.
    std::string form;           ///< The body of a POST.
    std::string idempotency_key;
    std::size_t max_answer_bytes = stripe_object_bytes;
};

using FormFields = std::vector<std::pair<std::string_view, std::string>>;
/// application/x-www-form-urlencoded; names keep their brackets in escaped form, which Stripe accepts.
[[nodiscard]] std::string encode_form(const FormFields& fields);

/// Stripe's unit for the currency differs from ISO 4217's minor unit for a few
/// (https://docs.stripe.com/currencies). `invalid` for an amount that Stripe cannot express.
[[nodiscard]] Result<std::int64_t> to_stripe_amount(const Money& money);
/// The other way; nullopt for an amount that is no whole number of minor units.
[[nodiscard]] std::optional<std::int64_t> from_stripe_amount(std::int64_t amount, Currency currency);

/// Which part of a list.
struct StripePage {
    std::string after;             ///< The last id of the page before, or empty.
    int limit = stripe_page_size;  ///< 1 to 100 objects.
};

// The requests. `amount` is in Stripe's unit. What asks for intents expands their charges, which say how much
// was refunded; what makes or captures one needs none, as nothing was refunded before.
[[nodiscard]] StripeRequest create_intent(const GatewayRequest& request, std::int64_t amount, bool capture);
[[nodiscard]] StripeRequest capture_intent(const GatewayRequest& request, std::int64_t amount);
/// Without a key: an intent is canceled once at the most, whoever asks how often.
[[nodiscard]] StripeRequest cancel_intent(const GatewayRequest& request);
[[nodiscard]] StripeRequest create_refund(const GatewayRequest& request, std::int64_t amount);
[[nodiscard]] StripeRequest retrieve_intent(std::string_view intent_id);
[[nodiscard]] StripeRequest search_intents(PaymentId payment_id);
/// The newest first.
[[nodiscard]] StripeRequest list_intents(Timestamp created_since, const StripePage& page);
[[nodiscard]] StripeRequest list_refunds(std::string_view intent_id, const StripePage& page);

/// When a payment was begun; its id says so (UUIDv7, RFC 9562).
[[nodiscard]] Timestamp begun_at(PaymentId id);

}  // namespace quittance::payments
