#include "messaging/pubsub_bus.hpp"

#include <utility>

#include "core/error.hpp"
#include "messaging/pubsub_connection.hpp"
#include "messaging/pubsub_publisher.hpp"
#include "messaging/pubsub_push.hpp"
#include "messaging/pubsub_subscriber.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

constexpr std::chrono::milliseconds topic_check_timeout{3'000};

}  // namespace

PubsubBus::PubsubBus(const Clock& clock, Random& random, PubsubBusOptions options)
    : clock_(clock),
      random_(random),
      subscriber_options_(options.subscriber),
      connection_(std::make_shared<PubsubConnection>(std::move(options.settings))),
      publisher_(std::make_unique<PubsubPublisher>(connection_, clock, random, options.publisher)) {
    if (options.delivery == PubsubDelivery::push)
        push_ = std::make_unique<PubsubPush>(connection_, *publisher_, clock, random, options.push);
}

PubsubBus::~PubsubBus() = default;

void PubsubBus::require_topic(const std::string& topic) {
    const std::string path = connection_->topic_path(topic);
    google::pubsub::v1::GetTopicRequest request;
    request.set_topic(path);
    google::pubsub::v1::Topic found;
    const auto status = call(connection_->publisher(), &PublisherStub::GetTopic, topic_check_timeout, "topic",
                             path, request, found);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND)
        throw ConfigurationError("there is no Pub/Sub topic " + path + "; run 'quittance pubsub provision'");
    // The role that publishes need not be allowed to look.
    if (!status.ok()) {
        log::warning(
            "the topic could not be looked at; going on without",
            {{"topic", topic}, {"peer", connection_->peer()}, {"reason", std::string_view(to_text(status))}});
    }
}

void PubsubBus::publish(const std::string& topic, std::vector<Outgoing> messages) {
    std::vector<PubsubPublisher::Item> items;
    items.reserve(messages.size());
    for (Outgoing& outgoing : messages)
        items.push_back({to_pubsub(outgoing.message), std::move(outgoing.done)});
    publisher_->publish(connection_->topic_path(topic), std::move(items));
}

std::unique_ptr<Subscription> PubsubBus::subscribe(const std::string& subscription, Receiver receiver) {
    if (push_) return push_->subscribe(subscription, std::move(receiver));
    return std::make_unique<PubsubSubscriber>(connection_, *publisher_, clock_, random_, subscriber_options_,
                                              subscription, std::move(receiver));
}

void PubsubBus::close() {
    publisher_->close();
}

}  // namespace quittance::messaging
