#include "payments/stripe_messages.hpp"

#include <algorithm>

namespace quittance::payments {

namespace {

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

void add_page(FormFields& fields, const StripePage& page) {
    fields.emplace_back("limit", std::to_string(page.limit));
    if (!page.after.empty()) fields.emplace_back("starting_after", page.after);
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
            .form = encode_form(
                {{"cancellation_reason", "requested_by_customer"}, {"expand[]", "latest_charge"}})};
}

StripeRequest create_refund(const GatewayRequest& request, std::int64_t amount) {
    return {.endpoint = "refunds.create",
            .posts = true,
            .path = "/v1/refunds",
            .form = encode_form({{"payment_intent", request.provider_reference},
                                 {"amount", std::to_string(amount)},
                                 {"reason", "requested_by_customer"},
                                 {"expand[]", "charge"},
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
                    encode_form({{"query", "metadata['payment_id']:'" + payment_id.to_string() + "'"},
                                 {"expand[]", "data.latest_charge"}}),
            .max_answer_bytes = stripe_list_bytes};
}

StripeRequest list_intents(Timestamp created_since, const StripePage& page) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(created_since).time_since_epoch().count();
    FormFields fields{{"created[gte]", std::to_string(seconds)}, {"expand[]", "data.latest_charge"}};
    add_page(fields, page);
    return {.endpoint = "payment_intents.list",
            .path = "/v1/payment_intents?" + encode_form(fields),
            .max_answer_bytes = stripe_list_bytes};
}

StripeRequest list_refunds(std::string_view intent_id, const StripePage& page) {
    FormFields fields{{"payment_intent", std::string(intent_id)}};
    add_page(fields, page);
    return {.endpoint = "refunds.list",
            .path = "/v1/refunds?" + encode_form(fields),
            .max_answer_bytes = stripe_list_bytes};
}

Timestamp begun_at(PaymentId id) {
    std::int64_t ms = 0;
    for (std::size_t i = 0; i < 6; ++i)
        ms = ms * 256 + id.bytes().at(i);
    return timestamp_from_ms(ms);
}

}  // namespace quittance::payments
