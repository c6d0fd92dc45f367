// What Stripe's answers mean, and which answers are Stripe's. Decides only; does no I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/json.hpp"
#include "core/money.hpp"
#include "payments/gateway.hpp"

namespace quittance::payments {

/// What became of a request to Stripe.
struct StripeAnswer {
    int status = 0;  ///< 0: no answer.
    /// What Stripe's API says: an object with a name ("object"), or with an error of a type. Nothing when
    /// there is no answer, or when the body is something else: then a proxy, balancer or firewall wrote it,
    /// whatever its status, and it says nothing about the request.
    std::optional<json::object> object;
    bool replayed = false;            ///< What an earlier request with the same key was answered.
    bool earlier_unanswered = false;  ///< An earlier try of this exchange may have done something.
    bool too_long = false;            ///< Longer than the request allowed; not read.
    bool closed = false;              ///< Our key may not use this endpoint: 403, now or shortly before.
    std::optional<bool> should_retry;
    std::optional<std::chrono::seconds> retry_after;
    std::optional<Timestamp> provider_time;  ///< Of the header Date.

    /// Stripe itself has answered.
    [[nodiscard]] bool spoke() const { return object.has_value(); }
    [[nodiscard]] bool good() const { return spoke() && status >= 200 && status < 300; }
    /// The request was carried out to an end that nobody knows, and this key will never do more than that.
    [[nodiscard]] bool is_stored_error() const { return spoke() && status >= 500 && replayed; }
};

/// An answer with this status and body. Thread safe.
[[nodiscard]] StripeAnswer read_answer(int status, std::string_view body);

/// True when the same request should be sent again after a pause: https://docs.stripe.com/error-low-level.
[[nodiscard]] bool is_worth_repeating(const StripeAnswer& answer);
/// True when this try may have done something that its answer does not tell: a later refusal under the same
/// key proves nothing then.
[[nodiscard]] bool leaves_open(const StripeAnswer& answer);
/// Stripe has refused this request and done nothing, as far as this try goes.
[[nodiscard]] bool is_refusal(const StripeAnswer& answer);

/// An intent is created and confirmed by one request of ours, and others can see it before it is confirmed.
/// One that nobody has confirmed for so long will not be; Stripe's clock may differ from ours by minutes.
inline constexpr std::chrono::minutes confirmed_within{10};

/// What the answer to `create_intent`, `capture_intent` or `cancel_intent` says of the payment.
[[nodiscard]] GatewayResult intent_result(const StripeAnswer& answer, Currency currency, Timestamp now);
/// The same for `retrieve_intent`; `not_found` when there is no such intent.
[[nodiscard]] GatewayResult look_up_result(const StripeAnswer& answer, Currency currency, Timestamp now);
/// The same for `create_refund`, of the refund.
[[nodiscard]] GatewayResult refund_result(const StripeAnswer& answer, Currency currency);

/// One page of `list_refunds`, searched for the refund that was asked for under a key.
struct RefundPage {
    bool readable = false;
    std::optional<GatewayResult> found;
    std::int64_t refunded_minor = 0;  ///< By all refunds of this page that did not come to nothing.
    std::string next;                 ///< Pass as `after` for the next page; empty when there is none.
};
[[nodiscard]] RefundPage read_refunds(const StripeAnswer& answer, std::string_view idempotency_key,
                                      Currency currency);

/// One page of `search_intents` or `list_intents`, searched for one payment: by its reference where the
/// request has one, else by the id that its intent carries.
struct IntentPage {
    bool readable = false;
    std::optional<GatewayResult> found;  ///< As `look_up_result`.
    std::string next;                    ///< Pass as `after` for the next page; empty when there is none.
};
[[nodiscard]] IntentPage find_intent(const StripeAnswer& answer, const GatewayRequest& request,
                                     Timestamp now);

/// One page of `list_intents`. Not readable when it does not say how much one that we made holds.
[[nodiscard]] ChargePage read_charges(const StripeAnswer& answer);

/// The code of the error, or its type where it has none; empty when the answer carries no error of Stripe's.
[[nodiscard]] std::string error_code(const StripeAnswer& answer);
/// What to show of an error: Stripe's words about a card, ours about a bad request.
[[nodiscard]] contracts::Failure failure_of(const StripeAnswer& answer);
/// For a log: what Stripe says was wrong.
[[nodiscard]] std::string error_message(const StripeAnswer& answer);
/// The answer says that we are at fault: a bug or a wrong setting, which a person has to see.
[[nodiscard]] bool is_our_fault(const StripeAnswer& answer);
/// The intent was in another state than the request needs, perhaps the one that was wanted: look.
[[nodiscard]] bool is_unexpected_state(const StripeAnswer& answer);

/// What was captured of a payment and given back, as an object of an event has it.
struct ToldMoney {
    std::int64_t captured_minor = 0;
    std::optional<std::int64_t> refunded_minor{};  ///< None of a payment intent, which does not have it.
};
/// From a payment intent or a charge. None for other objects, and for what says more than these amounts, such
/// as a disputed charge.
[[nodiscard]] std::optional<ToldMoney> told_money(const json::object& object);

}  // namespace quittance::payments
