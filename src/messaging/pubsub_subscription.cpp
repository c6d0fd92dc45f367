#include "messaging/pubsub_subscription.hpp"

#include <utility>
#include <vector>

#include "core/utf8.hpp"
#include "messaging/pubsub_connection.hpp"
#include "messaging/pubsub_publisher.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

constexpr std::chrono::milliseconds describe_timeout{3'000};
/// Pub/Sub's limit for the value of an attribute.
constexpr std::size_t max_attribute_bytes = 1'024;

std::string shortened(std::string text) {
    if (text.size() <= max_attribute_bytes) return text;
    text.resize(max_attribute_bytes);
    while (!text.empty() && !is_utf8(text))
        text.pop_back();
    return text;
}

std::chrono::milliseconds to_ms(const google::protobuf::Duration& duration) {
    return std::chrono::seconds(duration.seconds()) + std::chrono::milliseconds(duration.nanos() / 1'000'000);
}

}  // namespace

Result<PubsubDescription> describe_subscription(PubsubConnection& connection, const std::string& path) {
    google::pubsub::v1::GetSubscriptionRequest request;
    request.set_subscription(path);
    google::pubsub::v1::Subscription subscription;
    const auto status = call(connection.subscriber(), &SubscriberStub::GetSubscription, describe_timeout,
                             "subscription", path, request, subscription);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
        throw ConfigurationError("there is no Pub/Sub subscription " + path +
                                 "; run 'quittance pubsub provision'");
    }
    if (!status.ok() && !is_retryable(status.error_code()))
        throw ConfigurationError("the Pub/Sub subscription " + path + " cannot be used: " + to_text(status));
    if (!status.ok()) return Error{ErrorCode::unavailable, to_text(status), {}, 0};
    PubsubDescription description;
    description.redelivery.max_delivery_attempts = subscription.dead_letter_policy().max_delivery_attempts();
    if (subscription.has_retry_policy()) {
        description.redelivery.backoff_min = to_ms(subscription.retry_policy().minimum_backoff());
        description.redelivery.backoff_max = to_ms(subscription.retry_policy().maximum_backoff());
    }
    description.dead_letter_topic_path = subscription.dead_letter_policy().dead_letter_topic();
    if (description.dead_letter_topic_path.empty())
        description.dead_letter_topic_path = dead_letter_topic_of(subscription.topic());
    description.push_endpoint = subscription.push_config().push_endpoint();
    return description;
}

void publish_dead_letter(PubsubPublisher& publisher, const std::string& topic_path, const Message& message,
                         int delivery_attempts, std::string reason, absl::AnyInvocable<void(bool)> done) {
    log::error("a message became a dead letter", {{"event_id", message.id},
                                                  {"type", message.type},
                                                  {"reason", reason},
                                                  {"delivery_attempts", delivery_attempts}});
    std::vector<PubsubPublisher::Item> items(1);
    items.front().message = to_pubsub(message);
    (*items.front().message.mutable_attributes())["reason"] = shortened(std::move(reason));
    items.front().done = [id = message.id, done = std::move(done)](const PublishResult& result) mutable {
        const bool published = result.outcome == PublishOutcome::confirmed;
        if (!published) {
            log::warning("a dead letter could not be published; its message will come again",
                         {{"event_id", id}, {"reason", result.reason}});
        }
        done(published);
    };
    publisher.publish(topic_path, std::move(items));
}

}  // namespace quittance::messaging
