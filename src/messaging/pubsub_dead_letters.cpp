#include "messaging/pubsub_dead_letters.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

namespace {

namespace pubsub = google::pubsub::v1;

constexpr std::chrono::milliseconds call_timeout{20'000};
/// A pull waits for messages until its deadline; when none came for so long, there are none.
constexpr std::chrono::milliseconds pull_timeout{2'000};
constexpr int max_messages_per_pull = 1'000;
constexpr int max_ids_per_call = 2'500;
/// More than anybody looks through by hand.
constexpr std::int64_t max_letters_searched = 100'000;

/// Holds what it pulled from one subscription, and gives it back when it ends.
class Reader {
public:
    Reader(PubsubConnection& connection, const PubsubRoute& route)
        : connection_(connection),
          path_(connection.subscription_path(dead_letter_subscription_of(route.topic))) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { give_back(); }

    /// Pulls until `found` is true, `limit` messages are held, or no more come; the one that was found.
    using Condition = std::function<bool(const pubsub::PubsubMessage&)>;
    const pubsub::ReceivedMessage* pull(std::int64_t limit, const Condition& found);
    [[nodiscard]] const std::unordered_map<std::string, pubsub::ReceivedMessage>& held() const {
        return held_;
    }
    void remove(const pubsub::ReceivedMessage& message);

private:
    [[nodiscard]] std::optional<pubsub::PullResponse> pull_once(std::int64_t limit);
    void give_back() noexcept;

    PubsubConnection& connection_;
    const std::string path_;
    std::unordered_map<std::string, pubsub::ReceivedMessage> held_;  ///< By Pub/Sub's message id.
};

std::optional<pubsub::PullResponse> Reader::pull_once(std::int64_t limit) {
    pubsub::PullRequest request;
    request.set_subscription(path_);
    request.set_max_messages(static_cast<int>(std::min<std::int64_t>(limit, max_messages_per_pull)));
    pubsub::PullResponse response;
    const auto status = call(connection_.subscriber(), &SubscriberStub::Pull, pull_timeout, "subscription",
                             path_, request, response);
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return std::nullopt;
    if (status.error_code() == grpc::StatusCode::NOT_FOUND)
        throw ConfigurationError("there is no " + path_ + "; run 'quittance pubsub provision'");
    if (!status.ok()) {
        throw ConfigurationError("the dead letters could not be read at " + connection_.peer() + ": " +
                                 to_text(status));
    }
    if (response.received_messages().empty()) return std::nullopt;
    return response;
}

const pubsub::ReceivedMessage* Reader::pull(std::int64_t limit, const Condition& found) {
    while (static_cast<std::int64_t>(held_.size()) < limit) {
        auto response = pull_once(limit - static_cast<std::int64_t>(held_.size()));
        if (!response) return nullptr;
        bool any_new = false;
        for (pubsub::ReceivedMessage& message : *response->mutable_received_messages()) {
            const std::string id = message.message().message_id();
            const auto [at, is_new] = held_.insert_or_assign(id, std::move(message));
            any_new |= is_new;
            if (found(at->second.message())) return &at->second;
        }
        // Those whose lease ended come round again.
        if (!any_new) return nullptr;
    }
    return nullptr;
}

void Reader::remove(const pubsub::ReceivedMessage& message) {
    pubsub::AcknowledgeRequest request;
    request.set_subscription(path_);
    request.add_ack_ids(message.ack_id());
    google::protobuf::Empty response;
    const auto status = call(connection_.subscriber(), &SubscriberStub::Acknowledge, call_timeout,
                             "subscription", path_, request, response);
    if (!status.ok()) {
        throw ConfigurationError("it was published again, but not removed from the dead letters: " +
                                 to_text(status));
    }
    const std::string id = message.message().message_id();
    held_.erase(id);
}

void Reader::give_back() noexcept {
    auto at = held_.begin();
    while (at != held_.end()) {
        pubsub::ModifyAckDeadlineRequest request;
        request.set_subscription(path_);
        request.set_ack_deadline_seconds(0);
        for (; at != held_.end() && request.ack_ids_size() < max_ids_per_call; ++at)
            request.add_ack_ids(at->second.ack_id());
        google::protobuf::Empty response;
        // When this fails, the leases end by themselves within a minute.
        static_cast<void>(call(connection_.subscriber(), &SubscriberStub::ModifyAckDeadline, call_timeout,
                               "subscription", path_, request, response));
    }
}

/// What Pub/Sub itself notes when it gives up on a message.
std::string attribute(const pubsub::PubsubMessage& message, const std::string& name) {
    const auto found = message.attributes().find(name);
    return found == message.attributes().end() ? std::string() : found->second;
}

DeadLetter to_dead_letter(const pubsub::PubsubMessage& message, const std::string& topic) {
    DeadLetter letter;
    letter.row = {topic, from_pubsub(message)};
    letter.reason = attribute(message, "reason");
    if (letter.reason.empty()) letter.reason = "Pub/Sub gave up delivering it";
    const std::string attempts = attribute(message, "CloudPubSubDeadLetterSourceDeliveryCount");
    std::from_chars(attempts.data(), attempts.data() + attempts.size(), letter.delivery_attempts);
    letter.dead_at = to_timestamp(message.publish_time());
    return letter;
}

Reader::Condition has_event_id(const std::string& event_id) {
    return [&event_id](const pubsub::PubsubMessage& message) { return from_pubsub(message).id == event_id; };
}

void publish_again(PubsubConnection& connection, const std::string& topic,
                   const pubsub::PubsubMessage& letter) {
    pubsub::PublishRequest request;
    request.set_topic(connection.topic_path(topic));
    *request.add_messages() = to_pubsub(from_pubsub(letter));
    pubsub::PublishResponse response;
    const auto status = call(connection.publisher(), &PublisherStub::Publish, call_timeout, "topic",
                             request.topic(), request, response);
    if (!status.ok()) throw ConfigurationError("it could not be published again: " + to_text(status));
}

}  // namespace

PubsubDeadLetters::PubsubDeadLetters(PubsubSettings settings, std::vector<PubsubRoute> routes)
    : settings_(std::move(settings)), routes_(std::move(routes)) {}

std::vector<DeadLetter> PubsubDeadLetters::list(std::int64_t limit) {
    PubsubConnection connection(settings_);
    std::vector<DeadLetter> letters;
    for (const PubsubRoute& route : routes_) {
        Reader reader(connection, route);
        reader.pull(limit, [](const pubsub::PubsubMessage&) { return false; });
        for (const auto& [id, held] : reader.held())
            letters.push_back(to_dead_letter(held.message(), route.topic));
    }
    std::ranges::sort(letters, {}, &DeadLetter::dead_at);
    return letters;
}

std::optional<DeadLetter> PubsubDeadLetters::find(const std::string& event_id) {
    PubsubConnection connection(settings_);
    for (const PubsubRoute& route : routes_) {
        Reader reader(connection, route);
        if (const auto* found = reader.pull(max_letters_searched, has_event_id(event_id)))
            return to_dead_letter(found->message(), route.topic);
    }
    return std::nullopt;
}

std::optional<std::string> PubsubDeadLetters::replay(const std::string& event_id) {
    PubsubConnection connection(settings_);
    for (const PubsubRoute& route : routes_) {
        Reader reader(connection, route);
        const auto* found = reader.pull(max_letters_searched, has_event_id(event_id));
        if (found == nullptr) continue;
        publish_again(connection, route.topic, found->message());
        reader.remove(*found);
        return route.topic;
    }
    return std::nullopt;
}

}  // namespace quittance::messaging
