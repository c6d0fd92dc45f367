#include "payments/stripe_messages.hpp"

#include <algorithm>
#include <array>

#include "core/json.hpp"

namespace quittance::payments {

namespace {

using contracts::Failure;

constexpr std::string_view zero_decimals = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
constexpr std::string_view three_decimals = "BHD JOD KWD OMR TND";

std::int64_t power_of_ten(int exponent) {
    std::int64_t power = 1;
    for (int i = 0; i < exponent; ++i)
        power *= 10;
    return power;
}

/// Digits after the decimal point in Stripe's unit. ISK and UGX have none by ISO 4217, and two at Stripe.
int stripe_exponent(Currency currency) {
    if (zero_decimals.find(currency.code()) != std::string_view::npos) return 0;
    if (three_decimals.find(currency.code()) != std::string_view::npos) return 3;
    return 2;
}

std::string lower_case(std::string_view code) {
    std::string text(code);
    std::ranges::transform(text, text.begin(), [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    return text;
}

std::string upper_case(std::string_view code) {
    std::string text(code);
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return text;
}

void append_escaped(std::string& out, std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
}

std::string intent_path(std::string_view id, std::string_view verb = {}) {
    std::string path = "/v1/payment_intents/";
    append_escaped(path, id);
    path += verb;
    return path;
}

/// Members that are not there, or of another type, read as nothing.
std::string text_of(const json::object& object, std::string_view name) {
    return std::string(text_member(object, name).value_or(""));
}
std::int64_t number_of(const json::object& object, std::string_view name) {
    const auto* found = object.if_contains(name);
    return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

std::optional<json::object> body_of(const StripeAnswer& answer) {
    auto parsed = parse_json(answer.body);
    if (!parsed || !parsed->is_object()) return std::nullopt;
    return std::move(parsed->get_object());
}

std::optional<json::object> error_of(const StripeAnswer& answer) {
    if (answer.status < 400) return std::nullopt;
    const auto body = body_of(answer);
    const auto* error = body ? object_member(*body, "error") : nullptr;
    if (error == nullptr) return std::nullopt;
    return *error;
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

GatewayResult refused(const json::object& error) {
    Failure failure = failure_of(error);
    const auto outcome =
        asks_for_authentication(failure) ? GatewayOutcome::requires_action : GatewayOutcome::declined;
    GatewayResult result{.outcome = outcome, .failure = std::move(failure)};
    if (const auto* intent = object_member(error, "payment_intent")) {
        result.provider_reference = text_of(*intent, "id");
    }
    return result;
}

/// What an answer with an error says of the payment.
GatewayResult error_result(const StripeAnswer& answer) {
    const auto error = error_of(answer);
    if (answer.status == 402 && error) return refused(*error);
    // An earlier request has used the key, and this answer does not say what became of that one.
    if (error && text_of(*error, "type") == "idempotency_error") return {.outcome = GatewayOutcome::unknown};
    // Stripe has done nothing; the words are for us and not for the customer.
    if (is_our_fault(answer) && answer.status != 401 && answer.status != 403) {
        const std::string code = error_code(answer);
        return {.outcome = GatewayOutcome::declined,
                .failure = {code.empty() ? "provider_refused" : code,
                            "The payment provider refused the request."}};
    }
    return {.outcome = GatewayOutcome::unknown};
}

bool may_be_confirmed(const json::object& intent, Timestamp now) {
    return number_of(intent, "created") > to_ms(now - confirmed_within) / 1000;
}

GatewayResult intent_result(const json::object& intent, Currency currency, Timestamp now) {
    const std::string status = text_of(intent, "status");
    GatewayResult result{.provider_reference = text_of(intent, "id")};
    const auto* charge = object_member(intent, "latest_charge");
    const auto captured = from_stripe_amount(number_of(intent, "amount_received"), currency);
    const auto refunded =
        from_stripe_amount(charge == nullptr ? 0 : number_of(*charge, "amount_refunded"), currency);
    if (!captured || !refunded || result.provider_reference.empty()) return {};
    result.captured_minor = *captured;
    result.refunded_minor = *refunded;
    if (status == "succeeded" || status == "requires_capture") {
        result.outcome = GatewayOutcome::succeeded;
    } else if (status == "processing") {
        result.outcome = GatewayOutcome::pending;
    } else if (status == "requires_action") {
        result.outcome = GatewayOutcome::requires_action;
        result.failure = {"authentication_required", "The card's bank asks for an authentication."};
    } else if (status == "canceled") {
        result.outcome = GatewayOutcome::declined;
        result.failure = {"canceled", "The payment was canceled."};
    } else if (status == "requires_payment_method" || status == "requires_confirmation") {
        const auto* error = object_member(intent, "last_payment_error");
        if (error == nullptr && may_be_confirmed(intent, now)) {
            result.outcome = GatewayOutcome::pending;
            return result;
        }
        // Only we can confirm it, and we do not: nothing was charged and nothing will be.
        result.failure = error == nullptr
                             ? Failure{"not_charged", "The payment provider did not charge the payment."}
                             : failure_of(*error);
        result.outcome = asks_for_authentication(result.failure) ? GatewayOutcome::requires_action
                                                                 : GatewayOutcome::declined;
    }
    return result;
}

GatewayResult refund_result(const json::object& refund, Currency currency) {
    const std::string status = text_of(refund, "status");
    GatewayResult result{.provider_reference = text_of(refund, "id")};
    if (status == "succeeded") {
        const auto amount = from_stripe_amount(number_of(refund, "amount"), currency);
        if (!amount || *amount == 0) return {};
        result.outcome = GatewayOutcome::succeeded;
        result.refunded_minor = *amount;
    } else if (status == "pending" || status == "requires_action") {
        result.outcome = GatewayOutcome::pending;
    } else if (status == "failed" || status == "canceled") {
        result.outcome = GatewayOutcome::declined;
        const std::string reason = text_of(refund, "failure_reason");
        result.failure = {reason.empty() ? "refund_failed" : reason,
                          "The payment provider could not make the refund."};
    }
    return result;
}

/// The objects of a list or of what a search found; nullptr when the answer is none.
const json::array* data_of(const json::object& body) {
    const auto* data = body.if_contains("data");
    return data == nullptr ? nullptr : data->if_array();
}

std::string metadata_of(const json::object& object, std::string_view name) {
    const auto* metadata = object_member(object, "metadata");
    return metadata == nullptr ? std::string() : text_of(*metadata, name);
}

bool has_more(const json::object& body) {
    const auto* more = body.if_contains("has_more");
    return more != nullptr && more->is_bool() && more->get_bool();
}

FormFields listed_since(Timestamp created_since, std::string_view after) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(created_since).time_since_epoch().count();
    FormFields fields{{"limit", std::to_string(stripe_page_size)}, {"created[gte]", std::to_string(seconds)}};
    if (!after.empty()) fields.emplace_back("starting_after", after);
    return fields;
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

}  // namespace

std::string encode_form(const FormFields& fields) {
    std::string form;
    for (const auto& [name, value] : fields) {
        if (!form.empty()) form += '&';
        append_escaped(form, name);
        form += '=';
        append_escaped(form, value);
    }
    return form;
}

Result<std::int64_t> to_stripe_amount(const Money& money) {
    const auto refuse = [&] {
        return Error{ErrorCode::invalid, "Stripe cannot charge exactly " + to_string(money) + ".", {}, 0};
    };
    const int exponent = stripe_exponent(money.currency);
    const int more_digits = exponent - money.currency.exponent();
    std::int64_t amount = money.minor;
    if (more_digits > 0) {
        const auto product = multiply_amount(amount, power_of_ten(more_digits));
        if (!product) return refuse();
        amount = *product;
    } else if (more_digits < 0) {
        const std::int64_t divisor = power_of_ten(-more_digits);
        if (amount % divisor != 0) return refuse();
        amount /= divisor;
    }
    // Card networks know two of the three digits; rounding is not ours to do.
    if (exponent == 3 && amount % 10 != 0) return refuse();
    return amount;
}

std::optional<std::int64_t> from_stripe_amount(std::int64_t amount, Currency currency) {
    if (amount < 0) return std::nullopt;
    const int fewer_digits = stripe_exponent(currency) - currency.exponent();
    if (fewer_digits <= 0) return multiply_amount(amount, power_of_ten(-fewer_digits));
    const std::int64_t divisor = power_of_ten(fewer_digits);
    if (amount % divisor != 0) return std::nullopt;
    return amount / divisor;
}

StripeRequest create_intent(const GatewayRequest& request, std::int64_t amount, bool capture) {
    return {.endpoint = "payment_intents.create",
            .posts = true,
            .path = "/v1/payment_intents",
            .form = encode_form({{"amount", std::to_string(amount)},
                                 {"currency", lower_case(request.amount.currency.code())},
                                 {"payment_method", request.payment_method},
                                 {"confirm", "true"},
                                 {"capture_method", capture ? "automatic" : "manual"},
                                 {"automatic_payment_methods[enabled]", "true"},
                                 {"automatic_payment_methods[allow_redirects]", "never"},
                                 {"error_on_requires_action", "true"},
                                 {"metadata[order_id]", request.order_id.to_string()},
                                 {"metadata[payment_id]", request.payment_id.to_string()}}),
            .idempotency_key = request.idempotency_key};
}

StripeRequest capture_intent(const GatewayRequest& request, std::int64_t amount) {
    return {.endpoint = "payment_intents.capture",
            .posts = true,
            .path = intent_path(request.provider_reference, "/capture"),
            .form = encode_form({{"amount_to_capture", std::to_string(amount)}}),
            .idempotency_key = request.idempotency_key};
}

StripeRequest cancel_intent(const GatewayRequest& request) {
    return {.endpoint = "payment_intents.cancel",
            .posts = true,
            .path = intent_path(request.provider_reference, "/cancel"),
            .form = encode_form({{"cancellation_reason", "requested_by_customer"}})};
}

StripeRequest create_refund(const GatewayRequest& request, std::int64_t amount) {
    return {.endpoint = "refunds.create",
            .posts = true,
            .path = "/v1/refunds",
            .form = encode_form({{"payment_intent", request.provider_reference},
                                 {"amount", std::to_string(amount)},
                                 {"reason", "requested_by_customer"},
                                 {"metadata[order_id]", request.order_id.to_string()},
                                 {"metadata[payment_id]", request.payment_id.to_string()},
                                 {"metadata[refund_key]", request.idempotency_key}}),
            .idempotency_key = request.idempotency_key};
}

StripeRequest retrieve_intent(std::string_view intent_id) {
    return {.endpoint = "payment_intents.retrieve",
            .path = intent_path(intent_id) + "?" + encode_form({{"expand[]", "latest_charge"}})};
}

StripeRequest search_intents(PaymentId payment_id) {
    return {.endpoint = "payment_intents.search",
            .path = "/v1/payment_intents/search?" +
                    encode_form({{"query", "metadata['payment_id']:'" + payment_id.to_string() + "'"}})};
}

StripeRequest list_intents(Timestamp created_since, std::string_view after) {
    return {.endpoint = "payment_intents.list",
            .path = "/v1/payment_intents?" + encode_form(listed_since(created_since, after))};
}

StripeRequest list_intents_with_charges(Timestamp created_since, std::string_view after) {
    FormFields fields = listed_since(created_since, after);
    fields.emplace_back("expand[]", "data.latest_charge");
    return {.endpoint = "payment_intents.list", .path = "/v1/payment_intents?" + encode_form(fields)};
}

StripeRequest list_refunds(std::string_view intent_id) {
    return {.endpoint = "refunds.list",
            .path = "/v1/refunds?" + encode_form({{"payment_intent", std::string(intent_id)},
                                                  {"limit", std::to_string(stripe_page_size)}})};
}

bool is_worth_repeating(const StripeAnswer& answer) {
    if (answer.should_retry) return *answer.should_retry;
    if (answer.status == 409) return error_code(answer) == "idempotency_key_in_use";
    return answer.status == 0 || answer.status == 429 || (answer.status >= 500 && !answer.replayed);
}

GatewayResult intent_result(const StripeAnswer& answer, Currency currency, Timestamp now) {
    if (!answer.good()) return error_result(answer);
    const auto body = body_of(answer);
    return body ? intent_result(*body, currency, now) : GatewayResult{};
}

GatewayResult look_up_result(const StripeAnswer& answer, Currency currency, Timestamp now) {
    if (answer.status == 404 && error_code(answer) == "resource_missing") {
        return {.outcome = GatewayOutcome::not_found};
    }
    GatewayResult result = intent_result(answer, currency, now);
    // That the question was refused says nothing of the payment.
    if (!answer.good()) result.outcome = GatewayOutcome::unknown;
    return result;
}

GatewayResult refund_result(const StripeAnswer& answer, Currency currency) {
    if (!answer.good()) return error_result(answer);
    const auto body = body_of(answer);
    return body ? refund_result(*body, currency) : GatewayResult{};
}

GatewayResult find_refund(const StripeAnswer& answer, std::string_view idempotency_key, Currency currency) {
    const auto body = answer.good() ? body_of(answer) : std::nullopt;
    const auto* refunds = body ? data_of(*body) : nullptr;
    if (refunds == nullptr) return {};
    for (const json::value& refund : *refunds) {
        if (refund.is_object() && metadata_of(refund.get_object(), "refund_key") == idempotency_key) {
            return refund_result(refund.get_object(), currency);
        }
    }
    // Nobody makes that many refunds of one payment; if somebody did, we would not know.
    if (has_more(*body)) return {};
    return {.outcome = GatewayOutcome::not_found};
}

IntentPage find_intent(const StripeAnswer& answer, PaymentId payment_id) {
    const auto body = answer.good() ? body_of(answer) : std::nullopt;
    const auto* intents = body ? data_of(*body) : nullptr;
    if (intents == nullptr) return {};
    IntentPage page{.readable = true};
    const std::string wanted = payment_id.to_string();
    std::string last;
    for (const json::value& intent : *intents) {
        if (!intent.is_object()) return {};
        last = text_of(intent.get_object(), "id");
        if (metadata_of(intent.get_object(), "payment_id") == wanted) {
            page.intent_id = last;
            return page;
        }
    }
    if (has_more(*body)) page.next = last;
    return page;
}

ChargePage read_charges(const StripeAnswer& answer) {
    const auto body = answer.good() ? body_of(answer) : std::nullopt;
    const auto* intents = body ? data_of(*body) : nullptr;
    if (intents == nullptr) return {};
    ChargePage page{.readable = true};
    for (const json::value& intent : *intents) {
        auto charge = intent.is_object() ? listed_charge(intent.get_object()) : std::nullopt;
        if (!charge) return {};
        page.charges.push_back(*std::move(charge));
    }
    if (has_more(*body) && !page.charges.empty()) page.next = page.charges.back().provider_reference;
    return page;
}

std::string error_code(const StripeAnswer& answer) {
    const auto error = error_of(answer);
    if (!error) return {};
    std::string code = text_of(*error, "code");
    return code.empty() ? text_of(*error, "type") : code;
}

std::string error_message(const StripeAnswer& answer) {
    const auto error = error_of(answer);
    return error ? text_of(*error, "message") : std::string();
}

bool is_our_fault(const StripeAnswer& answer) {
    if (answer.status < 400 || answer.status >= 500) return false;
    if (answer.status == 402 || answer.status == 429) return false;
    return answer.status != 409 || error_code(answer) != "idempotency_key_in_use";
}

bool is_unexpected_state(const StripeAnswer& answer) {
    const std::string code = error_code(answer);
    return code == "payment_intent_unexpected_state" || code == "charge_already_captured";
}

bool is_refunded_already(const StripeAnswer& answer) {
    return error_code(answer) == "charge_already_refunded";
}

Timestamp begun_at(PaymentId id) {
    std::int64_t ms = 0;
    for (std::size_t i = 0; i < 6; ++i)
        ms = ms * 256 + id.bytes().at(i);
    return timestamp_from_ms(ms);
}

}  // namespace quittance::payments
