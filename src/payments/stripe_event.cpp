#include "payments/stripe_event.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <vector>

#include <boost/json/parse.hpp>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/json.hpp"
#include "payments/refund.hpp"

namespace quittance::payments {

namespace {

constexpr std::size_t digest_bytes = 32;
/// Stripe sends one signature for each secret that is in use; nobody has this many.
constexpr int max_signatures = 10;

/// The objects that are, or belong to, a payment of ours.
constexpr std::array<std::string_view, 3> objects_of_payments{"payment_intent", "charge", "refund"};

Error bad_signature(std::string_view why) {
    return {ErrorCode::malformed, "The signature is not accepted: " + std::string(why), {}, 0};
}

struct SignatureHeader {
    std::optional<std::int64_t> seconds;
    std::string_view seconds_text;
    std::vector<std::string_view> signatures;
};

SignatureHeader parse_header(std::string_view header) {
    SignatureHeader parsed;
    while (!header.empty()) {
        const auto end = header.find(',');
        const std::string_view element = header.substr(0, end);
        header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
        if (element.starts_with("t=")) {
            parsed.seconds_text = element.substr(2);
            std::int64_t seconds = 0;
            const char* last = parsed.seconds_text.data() + parsed.seconds_text.size();
            const auto [at, failure] = std::from_chars(parsed.seconds_text.data(), last, seconds);
            parsed.seconds.reset();
            if (failure == std::errc() && at == last) parsed.seconds = seconds;
        } else if (element.starts_with("v1=") && parsed.signatures.size() < max_signatures) {
            parsed.signatures.push_back(element.substr(3));
        }
    }
    return parsed;
}

std::string hex_hmac(const Secret& secret, std::string_view text) {
    std::array<unsigned char, digest_bytes> digest{};
    unsigned int size = digest_bytes;
    const std::string& key = secret.reveal();
    const auto* made =
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
    ensure(made != nullptr && size == digest_bytes, "HMAC-SHA256 can be computed");
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    hex.reserve(2 * digest_bytes);
    for (const unsigned char byte : digest) {
        hex += digits[byte >> 4U];
        hex += digits[byte & 15U];
    }
    return hex;
}

bool same_text(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Whom the event concerns.
void read_object(const json::object& event, StripeEvent& read) {
    const auto* data = object_member(event, "data");
    const auto* object = data == nullptr ? nullptr : object_member(*data, "object");
    if (object == nullptr) return;
    const std::string_view kind = text_member(*object, "object").value_or("");
    if (std::ranges::find(objects_of_payments, kind) == objects_of_payments.end()) return;
    const auto* metadata = object_member(*object, "metadata");
    if (metadata == nullptr) return;
    read.payment_id = PaymentId::parse(text_member(*metadata, "payment_id").value_or(""));
    if (!read.payment_id) return;
    read.money = told_money(*object);
    const std::string_view status = text_member(*object, "status").value_or("");
    if (kind == "refund" && (status == "failed" || status == "canceled")) {
        read.failed_refund = refund_of_key(text_member(*metadata, "refund_key").value_or(""));
    }
}

}  // namespace

Result<Done> verify_stripe_signature(std::string_view header, std::string_view body, const Secret& secret,
                                     Timestamp now) {
    if (header.empty()) return bad_signature("the header Stripe-Signature is missing.");
    const SignatureHeader parsed = parse_header(header);
    if (!parsed.seconds) return bad_signature("the header has no time (t=...).");
    if (parsed.signatures.empty()) return bad_signature("the header has no signature (v1=...).");
    std::string signed_text;
    signed_text.reserve(parsed.seconds_text.size() + 1 + body.size());
    signed_text.append(parsed.seconds_text).append(".").append(body);
    const std::string expected = hex_hmac(secret, signed_text);
    bool fits = false;
    for (const std::string_view signature : parsed.signatures)
        fits = same_text(signature, expected) || fits;
    if (!fits) return bad_signature("it was made with another secret, or of another text.");
    const std::int64_t now_s = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    const std::int64_t tolerance_s = webhook_tolerance.count();
    if (*parsed.seconds < now_s - tolerance_s) return bad_signature("it is too old.");
    if (*parsed.seconds > now_s + tolerance_s) return bad_signature("it is of the future.");
    return Done{};
}

Result<StripeEvent> read_stripe_event(std::string_view body) {
    const auto parsed = parse_json(body);
    if (!parsed) {
        // Deeper than we read, or with a key twice: JSON all the same, and not of a kind that we know.
        boost::system::error_code error;
        static_cast<void>(json::parse(body, error, {}, {.max_depth = 1000}));
        if (error) return parsed.error();
        return StripeEvent{};
    }
    const auto* event = parsed->if_object();
    if (event == nullptr || text_member(*event, "object") != "event") return StripeEvent{};
    const std::string_view id = text_member(*event, "id").value_or("");
    if (id.empty() || id.size() > max_notice_id_bytes || id.find('\0') != std::string_view::npos) {
        return StripeEvent{};
    }
    StripeEvent read{.id = std::string(id)};
    read_object(*event, read);
    return read;
}

}  // namespace quittance::payments
