// A webhook is believed only with the signature of the secret over exactly its bytes, made lately; and an
// event is read no further than its id, its type and the payment that it names.
#include <boost/json.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/manual_clock.hpp"
#include "core/random.hpp"
#include "payments/stripe_event.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::payments {
namespace {

using fuzz::require;
namespace json = boost::json;

/// Of this process alone: no input can hold a signature made with it.
const Secret& secret() {
    static SystemRandom random;
    static const Secret made(random.token(32));
    return made;
}

const ManualClock manual_clock;

std::int64_t now_s() {
    return std::chrono::floor<std::chrono::seconds>(manual_clock.now()).time_since_epoch().count();
}

Result<Done> verify(std::string_view header, std::string_view body) {
    return verify_stripe_signature(header, body, secret(), manual_clock.now());
}

/// As https://docs.stripe.com/webhooks says, by OpenSSL alone.
std::string signature_of(std::int64_t seconds, std::string_view body) {
    const std::string text = std::to_string(seconds) + "." + std::string(body);
    const std::string& key = secret().reveal();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", digest[i]);
        hex += two;
    }
    return hex;
}

void try_signed(fuzz::Input& input) {
    const std::int64_t seconds = now_s() - 512 + (input.byte() * 256 + input.byte()) % 1024;
    const std::string_view before = input.line();
    const std::string_view body = input.rest();
    const std::string good = signature_of(seconds, body);
    const std::string stamp = "t=" + std::to_string(seconds);
    const bool lately = std::abs(seconds - now_s()) <= webhook_tolerance.count();

    require(verify(stamp + ",v1=" + good, body).ok() == lately, "a signature is good for five minutes");
    require(!verify(stamp + ",v1=" + good, std::string(body) + " "), "a signature is good for its text only");
    require(!verify(stamp + ",v0=" + good, body), "a signature of another scheme is none");
    require(!verify("t=" + std::to_string(seconds + 1) + ",v1=" + good, body),
            "a signature is good for its time only");
    // What stands before cannot break a good signature, unless there are ten of its kind.
    if (before.find("v1=") == std::string_view::npos && before.find("t=") == std::string_view::npos) {
        require(verify(std::string(before) + "," + stamp + ",v1=" + good, body).ok() == lately,
                "other elements of the header change nothing");
    }
}

void try_unsigned(fuzz::Input& input) {
    const std::string_view header = input.line();
    const auto verified = verify(header, input.rest());
    require(!verified && verified.error().code == ErrorCode::malformed,
            "nothing is believed without a signature");
}

void try_event(std::string_view body) {
    const auto event = read_stripe_event(body);
    if (!event) {
        boost::system::error_code error;
        const json::value parsed = json::parse(body, error);
        return require(event.error().code == ErrorCode::malformed && error.failed(),
                       "only no JSON is refused");
    }
    if (!event->payment_id) return require(!event->failed_refund, "a refund is of a payment");
    const json::object said = json::parse(body).as_object();
    require(said.at("object") == "event", "an event says that it is one");
    require(said.at("id").as_string() == event->id, "an event is read as it was written");
    require(!event->id.empty() && event->id.size() <= max_notice_id_bytes &&
                event->id.find('\0') == std::string::npos,
            "the id of an event can be stored");
    const json::object& object = said.at("data").at("object").as_object();
    const std::string_view named = object.at("metadata").at("payment_id").as_string();
    require(PaymentId::parse(named) == event->payment_id, "the payment is the one that the event names");
}

}  // namespace
}  // namespace quittance::payments

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance::payments;
    quittance::fuzz::Input input(data, size);
    switch (input.choice(3)) {
        case 0: try_unsigned(input); break;
        case 1: try_signed(input); break;
        default: try_event(input.rest());
    }
    return 0;
}
