// A pushed message is read the same in both spellings, and nothing of it is lost or added.
#include <absl/strings/escaping.h>
#include <boost/json.hpp>

#include "core/json.hpp"
#include "messaging/pubsub_push.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::messaging {
namespace {

using fuzz::require;

void require_same(const PushedMessage& a, const PushedMessage& b) {
    require(a.subscription == b.subscription && a.message_id == b.message_id && a.attempt == b.attempt,
            "a push says the same in both spellings");
    const Message& x = a.message;
    const Message& y = b.message;
    require(x.id == y.id && x.type == y.type && x.source == y.source && x.ordering_key == y.ordering_key &&
                x.traceparent == y.traceparent && x.data == y.data && x.time == y.time,
            "a message is the same in both spellings");
}

/// The same push as somebody else would write it.
std::string written(const PushedMessage& pushed, bool camel_case) {
    const Message& message = pushed.message;
    json::object attributes{{"ce-id", message.id},
                            {"ce-type", message.type},
                            {"ce-source", message.source},
                            {"ce-time", to_rfc3339(message.time)},
                            {"googclient_traceparent", message.traceparent}};
    json::object inner{{"data", absl::Base64Escape(message.data)},
                       {camel_case ? "messageId" : "message_id", pushed.message_id},
                       {camel_case ? "orderingKey" : "ordering_key", message.ordering_key},
                       {"attributes", std::move(attributes)}};
    return json::serialize(
        json::object{{"message", std::move(inner)},
                     {"subscription", pushed.subscription},
                     {camel_case ? "deliveryAttempt" : "delivery_attempt", pushed.attempt}});
}

}  // namespace
}  // namespace quittance::messaging

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance;
    using namespace quittance::messaging;
    const std::string_view body = fuzz::Input(data, size).rest();
    const auto pushed = parse_push(body);
    if (!pushed) {
        fuzz::require(pushed.error().code == ErrorCode::malformed && !pushed.error().detail.empty(),
                      "what is no push is malformed");
        return 0;
    }
    fuzz::require(!pushed->subscription.empty() && !pushed->message_id.empty() && !pushed->message.id.empty(),
                  "a push says where it came from, and which message it is");
    fuzz::require(pushed->attempt >= 0, "deliveries are counted from 1");
    const auto camel = parse_push(written(*pushed, true));
    const auto snake = parse_push(written(*pushed, false));
    fuzz::require(camel && snake, "a push that is written otherwise is accepted, too");
    require_same(*pushed, *camel);
    require_same(*pushed, *snake);
    return 0;
}
