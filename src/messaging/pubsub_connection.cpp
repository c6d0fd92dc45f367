#include "messaging/pubsub_connection.hpp"

#include <algorithm>
#include <array>
#include <mutex>

#include <absl/time/time.h>
#include <google/protobuf/util/time_util.h>
#include <grpc/support/log.h>

#include "core/error.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using google::protobuf::util::TimeUtil;

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

/// gRPC would write to standard error, past our log, and its threads would wait where nobody reads it.
void log_for_grpc(gpr_log_func_args* entry) {
    const auto write = entry->severity == GPR_LOG_SEVERITY_ERROR ? log::warning : log::debug;
    write("gRPC says", {{"text", entry->message}, {"file", entry->file}, {"line", entry->line}});
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

}  // namespace

PubsubConnection::PubsubConnection(PubsubSettings settings) : settings_(std::move(settings)) {
    check(settings_);
    static std::once_flag once;
    std::call_once(once, [] { gpr_set_log_function(log_for_grpc); });
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

std::optional<Timestamp> parse_timestamp(std::string_view text) {
    absl::Time time;
    const absl::string_view rfc3339(text.data(), text.size());
    if (!absl::ParseTime(absl::RFC3339_full, rfc3339, &time, nullptr)) return std::nullopt;
    const std::int64_t seconds = absl::ToUnixSeconds(time);
    if (seconds < TimeUtil::kTimestampMinSeconds || seconds > TimeUtil::kTimestampMaxSeconds)
        return std::nullopt;
    return timestamp_from_ms(absl::ToUnixMillis(time));
}

Timestamp to_timestamp(const google::protobuf::Timestamp& time) {
    return timestamp_from_ms(TimeUtil::TimestampToMilliseconds(time));
}

Message from_pubsub(const google::pubsub::v1::PubsubMessage& message) {
    Message result;
    result.id = attribute(message, "ce-id");
    if (result.id.empty()) result.id = message.message_id();
    result.type = attribute(message, "ce-type");
    result.source = attribute(message, "ce-source");
    result.time =
        parse_timestamp(attribute(message, "ce-time")).value_or(to_timestamp(message.publish_time()));
    result.ordering_key = message.ordering_key();
    result.traceparent = attribute(message, "googclient_traceparent");
    result.data = message.data();
    return result;
}

}  // namespace quittance::messaging
