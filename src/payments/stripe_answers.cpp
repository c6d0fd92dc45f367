#include "payments/stripe_answers.hpp"

#include <algorithm>
#include <utility>

#include "payments/stripe_messages.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;

std::string upper_case(std::string_view code) {
    std::string text(code);
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return text;
}

/// Members that are not there, or of another type, read as nothing.
std::string text_of(const json::object& object, std::string_view name) {
    return std::string(text_member(object, name).value_or(""));
}
std::int64_t number_of(const json::object& object, std::string_view name) {
    const auto* found = object.if_contains(name);
    return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}
bool is_a(const json::object& object, std::string_view name) {
    return text_member(object, "object") == name;
}

/// nullptr when the answer is no error of Stripe's.
const json::object* error_of(const StripeAnswer& answer) {
    return answer.spoke() && answer.status >= 400 ? object_member(*answer.object, "error") : nullptr;
}
std::string_view type_of(const json::object& error) {
    return text_member(error, "type").value_or("");
}
bool is_card_error(const StripeAnswer& answer) {
    const auto* error = error_of(answer);
    return error != nullptr && answer.status == 402 && type_of(*error) == "card_error";
}

/// In the words of the customer's card where Stripe has them; see https://docs.stripe.com/declines/codes.
Failure failure_of(const json::object& error) {
    std::string code = text_of(error, "code");
    const std::string decline_code = text_of(error, "decline_code");
    if (code == "card_declined" && !decline_code.empty() && decline_code != "generic_decline") {
        code = decline_code;
    }
    if (code.empty()) code = "declined";
    return {std::move(code), text_of(error, "message")};
}

bool asks_for_authentication(const Failure& failure) {
    return failure.code == "authentication_required";
}

GatewayResult refused(const StripeAnswer& answer) {
    return {.outcome = GatewayOutcome::refused, .failure = failure_of(answer)};
}

/// What Stripe's clock said, on whatever was answered.
GatewayResult at_time_of(const StripeAnswer& answer, GatewayResult result) {
    if (answer.spoke()) result.provider_time = answer.provider_time;
    return result;
}

bool may_be_confirmed(const json::object& intent, Timestamp now) {
    return number_of(intent, "created") > to_ms(now - confirmed_within) / 1000;
}

/// An intent that waits for a method or a confirmation. Until it is canceled, its customer may give one.
void read_open(const json::object& intent, Timestamp now, GatewayResult& result) {
    const auto* error = object_member(intent, "last_payment_error");
    if (error == nullptr && may_be_confirmed(intent, now)) {
        result.outcome = GatewayOutcome::pending;
        return;
    }
    result.failure = error == nullptr
                         ? Failure{"not_charged", "The payment provider did not charge the payment."}
                         : failure_of(*error);
    result.outcome =
        asks_for_authentication(result.failure) ? GatewayOutcome::requires_action : GatewayOutcome::declined;
}

enum class Charge { expanded, is_new };

/// False when the object does not say how much was captured and refunded.
bool read_amounts(const json::object& intent, Currency currency, Charge charge, GatewayResult& result) {
    const auto captured = from_stripe_amount(number_of(intent, "amount_received"), currency);
    const auto* latest = object_member(intent, "latest_charge");
    // Nothing went back of a charge that this answer is the first to show.
    if (latest == nullptr && charge != Charge::is_new && captured != 0) return false;
    const auto refunded =
        from_stripe_amount(latest == nullptr ? 0 : number_of(*latest, "amount_refunded"), currency);
    if (!captured || !refunded) return false;
    result.captured_minor = *captured;
    result.refunded_minor = *refunded;
    return true;
}

/// The intent as it stands; `unknown` where it does not say enough.
GatewayResult snapshot(const json::object& intent, Currency currency, Timestamp now, Charge charge) {
    if (!is_a(intent, "payment_intent")) return {};
    GatewayResult result{.provider_reference = text_of(intent, "id")};
    if (result.provider_reference.empty() || !read_amounts(intent, currency, charge, result)) return result;
    const std::string status = text_of(intent, "status");
    if (status == "succeeded" || status == "requires_capture") {
        result.outcome = GatewayOutcome::succeeded;
    } else if (status == "processing") {
        result.outcome = GatewayOutcome::pending;
    } else if (status == "requires_action") {
        result.outcome = GatewayOutcome::requires_action;
        result.failure = {"authentication_required", "The card's bank asks for an authentication."};
    } else if (status == "canceled") {
        const auto* error = object_member(intent, "last_payment_error");
        result.outcome = GatewayOutcome::canceled;
        result.failure =
            error == nullptr ? Failure{"canceled", "The payment was canceled."} : failure_of(*error);
    } else if (status == "requires_payment_method" || status == "requires_confirmation") {
        read_open(intent, now, result);
    }
    return result;
}

/// What an error says of the payment: by the intent that it carries, or that nothing was done.
GatewayResult error_result(const StripeAnswer& answer, Currency currency, Timestamp now) {
    const auto* error = error_of(answer);
    if (error == nullptr || (!is_card_error(answer) && !is_refusal(answer))) return {};
    if (const auto* intent = object_member(*error, "payment_intent")) {
        GatewayResult result = snapshot(*intent, currency, now, Charge::expanded);
        // The error tells the reason in more words.
        if (is_card_error(answer) && !result.failure.code.empty()) result.failure = failure_of(*error);
        return result;
    }
    // That the card was declined says that there is an intent, which can still be confirmed: it is looked
    // for.
    return is_card_error(answer) || answer.earlier_unanswered ? GatewayResult{} : refused(answer);
}

GatewayResult refund_snapshot(const json::object& refund, Currency currency) {
    const auto amount = from_stripe_amount(number_of(refund, "amount"), currency);
    if (!is_a(refund, "refund") || !amount || *amount == 0) return {};
    const std::string status = text_of(refund, "status");
    GatewayResult result{.provider_reference = text_of(refund, "id")};
    if (status == "succeeded") {
        result.outcome = GatewayOutcome::succeeded;
        result.refunded_minor = *amount;
    } else if (status == "pending" || status == "requires_action") {
        result.outcome = GatewayOutcome::pending;
        result.refunded_minor = *amount;
    } else if (status == "failed" || status == "canceled") {
        result.outcome = GatewayOutcome::declined;
        const std::string reason = text_of(refund, "failure_reason");
        result.failure = {reason.empty() ? "refund_failed" : reason,
                          "The payment provider could not make the refund."};
    }
    if (const auto* charge = object_member(refund, "charge")) {
        result.all_refunded_minor = from_stripe_amount(number_of(*charge, "amount_refunded"), currency);
    }
    return result;
}

/// One page of a list, or of what a search found.
struct Listed {
    const json::array* objects = nullptr;  ///< nullptr when the answer is no list.
    bool has_more = false;
};

Listed list_of(const StripeAnswer& answer) {
    if (!answer.good() || (!is_a(*answer.object, "list") && !is_a(*answer.object, "search_result")))
        return {};
    const auto* data = answer.object->if_contains("data");
    const auto* more = answer.object->if_contains("has_more");
    if (data == nullptr || more == nullptr || !more->is_bool()) return {};
    const auto* objects = data->if_array();
    // Without a last id there is no next page to ask for.
    if (objects == nullptr || (objects->empty() && more->get_bool())) return {};
    return {objects, more->get_bool()};
}

std::string metadata_of(const json::object& object, std::string_view name) {
    const auto* metadata = object_member(object, "metadata");
    return metadata == nullptr ? std::string() : text_of(*metadata, name);
}

bool is_of(const json::object& intent, const GatewayRequest& request) {
    if (!request.provider_reference.empty()) return text_of(intent, "id") == request.provider_reference;
    return metadata_of(intent, "payment_id") == request.payment_id.to_string();
}

std::optional<ListedCharge> listed_charge(const json::object& intent) {
    ListedCharge charge{.payment_id = PaymentId::parse(metadata_of(intent, "payment_id")),
                        .provider_reference = text_of(intent, "id")};
    if (charge.provider_reference.empty()) return std::nullopt;
    // What others made may be in a currency that we do not know.
    if (!charge.payment_id) return charge;
    const auto currency = Currency::parse(upper_case(text_of(intent, "currency")));
    if (!currency) return std::nullopt;
    const auto* latest = object_member(intent, "latest_charge");
    const std::int64_t refunded = latest == nullptr ? 0 : number_of(*latest, "amount_refunded");
    const std::int64_t held = text_of(intent, "status") == "requires_capture"
                                  ? number_of(intent, "amount")
                                  : number_of(intent, "amount_received") - refunded;
    const auto minor = from_stripe_amount(held, *currency);
    if (!minor) return std::nullopt;
    charge.held = {*minor, *currency};
    return charge;
}

/// What Stripe's API writes, as opposed to whatever stands in between.
bool is_stripes(int status, const json::object& body) {
    if (status >= 200 && status < 300) return text_member(body, "object").has_value();
    const auto* error = status >= 400 ? object_member(body, "error") : nullptr;
    return error != nullptr && !type_of(*error).empty();
}

}  // namespace

StripeAnswer read_answer(int status, std::string_view body) {
    StripeAnswer answer{.status = status};
    auto parsed = parse_json(body);
    if (parsed && parsed->is_object() && is_stripes(status, parsed->get_object())) {
        answer.object = std::move(parsed->get_object());
    }
    return answer;
}

bool is_worth_repeating(const StripeAnswer& answer) {
    // The same request would be answered at the same length, and what is closed stays closed for a while.
    if (answer.good() || answer.too_long || answer.closed) return false;
    if (answer.should_retry) return *answer.should_retry;
    if (!answer.spoke() || answer.status == 429) return true;
    if (answer.status == 409) return error_code(answer) == "idempotency_key_in_use";
    return answer.status >= 500 && !answer.replayed;
}

bool leaves_open(const StripeAnswer& answer) {
    return !answer.spoke() || answer.status >= 500 || answer.status == 409;
}

bool is_refusal(const StripeAnswer& answer) {
    const auto* error = error_of(answer);
    const bool says_nothing_was_done = answer.status == 400 || answer.status == 402 || answer.status == 404;
    return error != nullptr && says_nothing_was_done && type_of(*error) == "invalid_request_error";
}

GatewayResult intent_result(const StripeAnswer& answer, Currency currency, Timestamp now) {
    return at_time_of(answer, answer.good() ? snapshot(*answer.object, currency, now, Charge::is_new)
                                            : error_result(answer, currency, now));
}

GatewayResult look_up_result(const StripeAnswer& answer, Currency currency, Timestamp now) {
    GatewayResult result;
    if (answer.good()) {
        result = snapshot(*answer.object, currency, now, Charge::expanded);
    } else if (answer.status == 404 && error_code(answer) == "resource_missing") {
        result.outcome = GatewayOutcome::not_found;
    }
    return at_time_of(answer, std::move(result));
}

GatewayResult refund_result(const StripeAnswer& answer, Currency currency) {
    GatewayResult result;
    if (answer.good()) {
        result = refund_snapshot(*answer.object, currency);
    } else if ((is_refusal(answer) || is_card_error(answer)) && !answer.earlier_unanswered) {
        result = refused(answer);
    }
    return at_time_of(answer, std::move(result));
}

RefundPage read_refunds(const StripeAnswer& answer, std::string_view idempotency_key, Currency currency) {
    const auto [refunds, has_more] = list_of(answer);
    if (refunds == nullptr) return {};
    RefundPage page{.readable = true};
    std::string last;
    for (const json::value& value : *refunds) {
        const auto* refund = value.if_object();
        if (refund == nullptr) return {};
        GatewayResult read = refund_snapshot(*refund, currency);
        if (read.outcome == GatewayOutcome::unknown) return {};
        last = read.provider_reference;
        page.refunded_minor += read.refunded_minor;
        if (metadata_of(*refund, "refund_key") == idempotency_key) {
            page.found = at_time_of(answer, std::move(read));
        }
    }
    if (has_more) page.next = last;
    return page;
}

IntentPage find_intent(const StripeAnswer& answer, const GatewayRequest& request, Timestamp now) {
    const auto [intents, has_more] = list_of(answer);
    if (intents == nullptr) return {};
    IntentPage page{.readable = true};
    std::string last;
    for (const json::value& value : *intents) {
        const auto* intent = value.if_object();
        if (intent == nullptr) return {};
        last = text_of(*intent, "id");
        if (is_of(*intent, request)) {
            page.found =
                at_time_of(answer, snapshot(*intent, request.amount.currency, now, Charge::expanded));
            return page;
        }
    }
    if (has_more) page.next = last;
    return page;
}

ChargePage read_charges(const StripeAnswer& answer) {
    const auto [intents, has_more] = list_of(answer);
    if (intents == nullptr) return {};
    ChargePage page{.readable = true};
    for (const json::value& intent : *intents) {
        auto charge = intent.is_object() ? listed_charge(intent.get_object()) : std::nullopt;
        if (!charge) return {};
        page.charges.push_back(*std::move(charge));
    }
    if (has_more) page.next = page.charges.back().provider_reference;
    return page;
}

std::string error_code(const StripeAnswer& answer) {
    const auto* error = error_of(answer);
    if (error == nullptr) return {};
    std::string code = text_of(*error, "code");
    return code.empty() ? std::string(type_of(*error)) : code;
}

Failure failure_of(const StripeAnswer& answer) {
    if (is_card_error(answer)) return failure_of(*error_of(answer));
    return {error_code(answer), "The payment provider refused the request."};
}

std::string error_message(const StripeAnswer& answer) {
    const auto* error = error_of(answer);
    return error == nullptr ? std::string() : text_of(*error, "message");
}

bool is_our_fault(const StripeAnswer& answer) {
    if (error_of(answer) == nullptr || answer.status >= 500) return false;
    if (is_card_error(answer) || answer.status == 429) return false;
    return answer.status != 409 || error_code(answer) != "idempotency_key_in_use";
}

bool is_unexpected_state(const StripeAnswer& answer) {
    const std::string code = error_code(answer);
    return code == "payment_intent_unexpected_state" || code == "charge_already_captured" ||
           code == "charge_expired_for_capture";
}

std::optional<ToldMoney> told_money(const json::object& object) {
    const std::string kind = text_of(object, "object");
    const auto currency = Currency::parse(upper_case(text_of(object, "currency")));
    if (!currency) return std::nullopt;
    std::optional<std::int64_t> captured;
    std::optional<std::int64_t> refunded;
    if (kind == "payment_intent") {
        captured = from_stripe_amount(number_of(object, "amount_received"), *currency);
    } else if (kind == "charge") {
        const auto* disputed = object.if_contains("disputed");
        if (disputed == nullptr || disputed->kind() != json::kind::bool_ || disputed->get_bool()) {
            return std::nullopt;
        }
        captured = from_stripe_amount(number_of(object, "amount_captured"), *currency);
        refunded = from_stripe_amount(number_of(object, "amount_refunded"), *currency);
        if (!refunded) return std::nullopt;
    }
    if (!captured) return std::nullopt;
    return ToldMoney{*captured, refunded};
}

}  // namespace quittance::payments
