// What we say to Stripe and what its answers mean. Decides only; does no I/O.
#pragma once

#include <chrono>
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

struct StripeRequest {
    std::string_view endpoint;  ///< A name for limits and metrics, such as "payment_intents.create".
    bool posts = false;         ///< Else it is a GET.
    std::string path;           ///< From "/v1" on, with the query.
    std::string form;           ///< The body of a POST.
    std::string idempotency_key;
};

struct StripeAnswer {
    int status = 0;         ///< 0: no answer.
    bool replayed = false;  ///< This is what an earlier request with the same key was answered.
    std::optional<bool> should_retry;
    std::optional<std::chrono::seconds> retry_after;
    std::string body;

    [[nodiscard]] bool good() const { return status >= 200 && status < 300; }
    /// The request was carried out to an end that nobody knows, and this key will never do more than that.
    [[nodiscard]] bool is_stored_error() const { return status >= 500 && replayed; }
};

using FormFields = std::vector<std::pair<std::string_view, std::string>>;
/// application/x-www-form-urlencoded; names keep their brackets in escaped form, which Stripe accepts.
[[nodiscard]] std::string encode_form(const FormFields& fields);

/// Stripe's unit for the currency differs from ISO 4217's minor unit for a few
/// (https://docs.stripe.com/currencies). `invalid` for an amount that Stripe cannot express.
[[nodiscard]] Result<std::int64_t> to_stripe_amount(const Money& money);
/// The other way; nullopt for an amount that is no whole number of minor units.
[[nodiscard]] std::optional<std::int64_t> from_stripe_amount(std::int64_t amount, Currency currency);

// The requests. `amount` is in Stripe's unit.
[[nodiscard]] StripeRequest create_intent(const GatewayRequest& request, std::int64_t amount, bool capture);
[[nodiscard]] StripeRequest capture_intent(const GatewayRequest& request, std::int64_t amount);
/// Without a key: an intent is canceled once at the most, whoever asks how often.
[[nodiscard]] StripeRequest cancel_intent(const GatewayRequest& request);
[[nodiscard]] StripeRequest create_refund(const GatewayRequest& request, std::int64_t amount);
[[nodiscard]] StripeRequest retrieve_intent(std::string_view intent_id);
[[nodiscard]] StripeRequest search_intents(PaymentId payment_id);
/// The newest first; `after` is the last id of the page before, or empty.
[[nodiscard]] StripeRequest list_intents(Timestamp created_since, std::string_view after);
/// The same with what was refunded of each.
[[nodiscard]] StripeRequest list_intents_with_charges(Timestamp created_since, std::string_view after);
[[nodiscard]] StripeRequest list_refunds(std::string_view intent_id);

/// True when the same request should be sent again after a pause: https://docs.stripe.com/error-low-level.
[[nodiscard]] bool is_worth_repeating(const StripeAnswer& answer);

/// An intent is created and confirmed by one request of ours, and others can see it before it is confirmed.
/// One that nobody has confirmed for so long will not be; Stripe's clock may differ from ours by minutes.
inline constexpr std::chrono::minutes confirmed_within{10};

/// What the answer to `create_intent`, `capture_intent` or `cancel_intent` says of the payment. An answer
/// that cannot be read is `unknown`.
[[nodiscard]] GatewayResult intent_result(const StripeAnswer& answer, Currency currency, Timestamp now);
/// The same for `retrieve_intent`; `not_found` when there is no such intent.
[[nodiscard]] GatewayResult look_up_result(const StripeAnswer& answer, Currency currency, Timestamp now);
/// The same for `create_refund`.
[[nodiscard]] GatewayResult refund_result(const StripeAnswer& answer, Currency currency);

/// The refund that was asked for under this key, from the answer to `list_refunds`; `not_found` when there is
/// none, `unknown` when the answer does not tell.
[[nodiscard]] GatewayResult find_refund(const StripeAnswer& answer, std::string_view idempotency_key,
                                        Currency currency);

/// One page of `search_intents` or `list_intents`, searched for one payment.
struct IntentPage {
    bool readable = false;
    std::string intent_id;  ///< Of the intent that was made for the payment; empty when it is not here.
    std::string next;       ///< Pass as `after` for the next page; empty when there is none.
};
[[nodiscard]] IntentPage find_intent(const StripeAnswer& answer, PaymentId payment_id);

/// One page of `list_intents_with_charges`. Not readable when it does not say how much one that we made
/// holds.
[[nodiscard]] ChargePage read_charges(const StripeAnswer& answer);

/// The code of the error, or its type where it has none; empty when the answer carries no error.
[[nodiscard]] std::string error_code(const StripeAnswer& answer);
/// For a log: what Stripe says was wrong.
[[nodiscard]] std::string error_message(const StripeAnswer& answer);
/// The answer says that we are at fault: a bug or a wrong setting, which a person has to see.
[[nodiscard]] bool is_our_fault(const StripeAnswer& answer);
/// The object was in another state than the request needs, perhaps the one that was wanted: look.
[[nodiscard]] bool is_unexpected_state(const StripeAnswer& answer);
/// A refund was refused because nothing is left of the charge: all that was wanted may be there.
[[nodiscard]] bool is_refunded_already(const StripeAnswer& answer);

/// When a payment was begun; its id says so (UUIDv7, RFC 9562).
[[nodiscard]] Timestamp begun_at(PaymentId id);

}  // namespace quittance::payments
