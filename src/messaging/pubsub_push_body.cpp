#include <absl/strings/escaping.h>
#include <boost/json.hpp>
#include <google/protobuf/util/time_util.h>

#include "core/json.hpp"
#include "messaging/pubsub_connection.hpp"
#include "messaging/pubsub_push.hpp"

namespace quittance::messaging {

namespace {

Error malformed(std::string detail) {
    return Error{ErrorCode::malformed, std::move(detail), {}, 0};
}

/// A text under one of the two spellings; empty when there is none.
std::string text_of(const json::object& object, std::string_view camel_case, std::string_view snake_case) {
    const auto camel = text_member(object, camel_case);
    return std::string(camel ? *camel : text_member(object, snake_case).value_or(""));
}

int attempt_of(const json::object& body) {
    for (const std::string_view name : {"deliveryAttempt", "delivery_attempt"}) {
        const json::value* value = body.if_contains(name);
        if (value != nullptr && value->is_int64() && value->get_int64() > 0 && value->get_int64() < 1'000)
            return static_cast<int>(value->get_int64());
    }
    return 0;
}

}  // namespace

Result<PushedMessage> parse_push(std::string_view body) {
    const auto parsed = parse_json(body);
    if (!parsed) return parsed.error();
    const json::object* outer = parsed->if_object();
    const json::object* wrapped = outer == nullptr ? nullptr : object_member(*outer, "message");
    if (wrapped == nullptr) return malformed("This is no message that Pub/Sub has wrapped.");
    const json::object& inner = *wrapped;

    PushedMessage pushed;
    pushed.subscription = text_of(*outer, "subscription", "subscription");
    pushed.message_id = text_of(inner, "messageId", "message_id");
    pushed.attempt = attempt_of(*outer);
    if (pushed.subscription.empty() || pushed.message_id.empty())
        return malformed("The message does not say its id, or its subscription.");

    google::pubsub::v1::PubsubMessage message;
    message.set_message_id(pushed.message_id);
    message.set_ordering_key(text_of(inner, "orderingKey", "ordering_key"));
    if (!absl::Base64Unescape(text_of(inner, "data", "data"), message.mutable_data()))
        return malformed("The data of the message is not base64.");
    // One that cannot be read stays at the beginning of time: it only stands in for a missing ce-time.
    if (const auto published = parse_timestamp(text_of(inner, "publishTime", "publish_time")))
        *message.mutable_publish_time() =
            google::protobuf::util::TimeUtil::MillisecondsToTimestamp(to_ms(*published));
    const json::value* attributes = inner.if_contains("attributes");
    if (attributes != nullptr && attributes->is_object()) {
        for (const auto& attribute : attributes->get_object()) {
            if (!attribute.value().is_string()) return malformed("An attribute of the message is no text.");
            (*message.mutable_attributes())[std::string(attribute.key())] = attribute.value().get_string();
        }
    }
    pushed.message = from_pubsub(message);
    return pushed;
}

}  // namespace quittance::messaging
