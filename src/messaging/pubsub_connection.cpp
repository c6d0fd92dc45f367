#include "messaging/pubsub_connection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/error.hpp"

namespace quittance::messaging {

namespace {

/// Larger than any answer: a pull brings at most 10 MB of messages.
constexpr int max_message_bytes = 16 << 20;
/// What Google's clients use; more often, and servers end the connection for "too many pings".
constexpr int keepalive_ms = 300'000;
constexpr int keepalive_timeout_ms = 20'000;
/// Soon enough after an outage to be noticed by nobody, seldom enough to disturb nobody.
constexpr int first_reconnect_ms = 100;
constexpr int longest_reconnect_ms = 5'000;
/// What gRPC calls the shortest pause between attempts is how long one may at least take. A refused one is
/// repeated after the pauses above.
constexpr int connect_timeout_ms = 5'000;

std::shared_ptr<grpc::ChannelCredentials> credentials_for(const PubsubSettings& settings) {
    if (!settings.emulator_host.empty()) return grpc::InsecureChannelCredentials();
    auto credentials = grpc::GoogleDefaultCredentials();
    if (!credentials) {
        throw ConfigurationError(
            "there are no Google credentials for Pub/Sub: on Google Cloud give the service an account; "
            "elsewhere set GOOGLE_APPLICATION_CREDENTIALS to a key file or run "
            "'gcloud auth application-default login'; for the emulator set PUBSUB_EMULATOR_HOST");
    }
    return credentials;
}

grpc::ChannelArguments channel_arguments() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(max_message_bytes);
    arguments.SetMaxSendMessageSize(max_message_bytes);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_reconnect_ms);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_timeout_ms);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, longest_reconnect_ms);
    // Without this, channels to the same address share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return arguments;
}

/// What can stand in the name of a resource and not in the value of a routing header.
std::string url_encoded(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        switch (c) {
            case '/': encoded += "%2F"; break;
            case '%': encoded += "%25"; break;
            case '+': encoded += "%2B"; break;
            default: encoded += c;
        }
    }
    return encoded;
}

std::string attribute(const google::pubsub::v1::PubsubMessage& message, const std::string& name) {
    const auto found = message.attributes().find(name);
    return found == message.attributes().end() ? std::string() : found->second;
}

std::optional<int> number(std::string_view text, std::size_t at, std::size_t length) {
    if (at + length > text.size()) return std::nullopt;
    int value = 0;
    const char* const end = text.data() + at + length;
    const auto parsed = std::from_chars(text.data() + at, end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
    return value;
}

/// Reads RFC 3339 in UTC ("…Z"), which is what CloudEvents of ours carry; nullopt for anything else.
std::optional<Timestamp> parse_time(std::string_view text) {
    const auto year = number(text, 0, 4);
    const auto month = number(text, 5, 2);
    const auto day = number(text, 8, 2);
    const auto hour = number(text, 11, 2);
    const auto minute = number(text, 14, 2);
    const auto second = number(text, 17, 2);
    if (!year || !month || !day || !hour || !minute || !second || text.back() != 'Z') return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year),
                                           std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return std::nullopt;
    std::chrono::milliseconds fraction{0};
    if (text.size() > 20 && text[19] == '.') {
        std::string digits(text.substr(20, text.size() - 21));
        digits.resize(3, '0');
        fraction = std::chrono::milliseconds(number(digits, 0, 3).value_or(0));
    }
    return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
           std::chrono::seconds(*second) + fraction;
}

}  // namespace

PubsubConnection::PubsubConnection(PubsubSettings settings) : settings_(std::move(settings)) {
    if (settings_.project.empty()) {
        throw ConfigurationError(
            "Pub/Sub needs a project: set GOOGLE_CLOUD_PROJECT (any name will do for the emulator)");
    }
    const std::string target =
        settings_.emulator_host.empty() ? "pubsub.googleapis.com" : settings_.emulator_host;
    const auto credentials = credentials_for(settings_);
    for (int i = 0; i < std::max(settings_.channels, 1); ++i) {
        const auto channel = grpc::CreateCustomChannel(target, credentials, channel_arguments());
        stubs_.push_back({google::pubsub::v1::Publisher::NewStub(channel),
                          google::pubsub::v1::Subscriber::NewStub(channel)});
    }
}

PubsubConnection::Stubs& PubsubConnection::next() {
    return stubs_[turn_.fetch_add(1, std::memory_order_relaxed) % stubs_.size()];
}

PublisherStub& PubsubConnection::publisher() {
    return *next().publisher;
}

SubscriberStub& PubsubConnection::subscriber() {
    return *next().subscriber;
}

std::string PubsubConnection::topic_path(const std::string& name) const {
    return "projects/" + settings_.project + "/topics/" + name;
}

std::string PubsubConnection::subscription_path(const std::string& name) const {
    return "projects/" + settings_.project + "/subscriptions/" + name;
}

std::string PubsubConnection::peer() const {
    return settings_.emulator_host.empty() ? "Google Cloud Pub/Sub"
                                           : "the Pub/Sub emulator at " + settings_.emulator_host;
}

void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout, std::string_view kind,
             std::string_view path) {
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    context.AddMetadata("x-goog-request-params", std::string(kind) + "=" + url_encoded(path));
}

bool is_retryable(grpc::StatusCode code) {
    switch (code) {
        case grpc::StatusCode::CANCELLED:
        case grpc::StatusCode::UNKNOWN:
        case grpc::StatusCode::DEADLINE_EXCEEDED:
        case grpc::StatusCode::RESOURCE_EXHAUSTED:
        case grpc::StatusCode::ABORTED:
        case grpc::StatusCode::INTERNAL:
        case grpc::StatusCode::UNAVAILABLE: return true;
        default: return false;
    }
}

std::string to_text(const grpc::Status& status) {
    static constexpr std::array names{
        "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED"};
    const auto code = static_cast<std::size_t>(status.error_code());
    return std::string(code < names.size() ? names[code] : "UNKNOWN") + ": " + status.error_message();
}

std::chrono::milliseconds backoff(int failures, std::chrono::milliseconds first,
                                  std::chrono::milliseconds longest, Random& random) {
    auto pause = first;
    for (int i = 1; i < failures && pause < longest; ++i)
        pause *= 2;
    pause = std::min(pause, longest);
    return pause - std::chrono::milliseconds(random.below(static_cast<std::uint64_t>(pause.count() / 2 + 1)));
}

google::pubsub::v1::PubsubMessage to_pubsub(const Message& message) {
    google::pubsub::v1::PubsubMessage result;
    result.set_data(message.data);
    result.set_ordering_key(message.ordering_key);
    auto& attributes = *result.mutable_attributes();
    attributes["ce-id"] = message.id;
    attributes["ce-source"] = message.source;
    attributes["ce-type"] = message.type;
    attributes["ce-specversion"] = "1.0";
    attributes["ce-time"] = to_rfc3339(message.time);
    attributes["content-type"] = "application/json";
    if (!message.traceparent.empty()) attributes["googclient_traceparent"] = message.traceparent;
    return result;
}

Message from_pubsub(const google::pubsub::v1::PubsubMessage& message) {
    Message result;
    result.id = attribute(message, "ce-id");
    if (result.id.empty()) result.id = message.message_id();
    result.type = attribute(message, "ce-type");
    result.source = attribute(message, "ce-source");
    const auto& published = message.publish_time();
    result.time =
        parse_time(attribute(message, "ce-time"))
            .value_or(timestamp_from_ms(published.seconds() * 1000 + published.nanos() / 1'000'000));
    result.ordering_key = message.ordering_key();
    result.traceparent = attribute(message, "googclient_traceparent");
    result.data = message.data();
    return result;
}

}  // namespace quittance::messaging
