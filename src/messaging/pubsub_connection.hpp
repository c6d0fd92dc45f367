// The connections to Pub/Sub, and what every call on them has in common.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/pubsub/v1/pubsub.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include "core/backoff.hpp"
#include "messaging/bus.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::messaging {

using PublisherStub = google::pubsub::v1::Publisher::Stub;
using SubscriberStub = google::pubsub::v1::Subscriber::Stub;

/// Thread safe.
class PubsubConnection {
public:
    /// Does not wait for the peer. Throws ConfigurationError without a project or without credentials.
    explicit PubsubConnection(PubsubSettings settings);

    /// The next connection's turn.
    [[nodiscard]] PublisherStub& publisher();
    [[nodiscard]] SubscriberStub& subscriber();

    [[nodiscard]] std::string topic_path(const std::string& name) const;
    [[nodiscard]] std::string subscription_path(const std::string& name) const;
    /// What to say when something cannot be reached: "the emulator at …" or "Google Cloud Pub/Sub".
    [[nodiscard]] std::string peer() const;

private:
    struct Stubs {
        std::unique_ptr<PublisherStub> publisher;
        std::unique_ptr<SubscriberStub> subscriber;
    };
    [[nodiscard]] Stubs& next();

    const PubsubSettings settings_;
    std::vector<Stubs> stubs_;
    std::atomic<std::size_t> turn_ = 0;
};

/// Sets the deadline and the routing header that Google's front ends read; `kind` is "topic" or
/// "subscription", `path` the resource's full name.
void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout, std::string_view kind,
             std::string_view path);

/// One call that waits for its answer, with the deadline and the routing header of `prepare`.
template <class Stub, class Request, class Response>
[[nodiscard]] grpc::Status call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                std::chrono::milliseconds timeout, std::string_view kind,
                                std::string_view path, const Request& request, Response& response) {
    grpc::ClientContext context;
    prepare(context, timeout, kind, path);
    return (stub.*method)(&context, request, &response);
}

/// Whether the same call may succeed later: the codes that Google's own clients retry.
[[nodiscard]] bool is_retryable(grpc::StatusCode code);

/// For logs and errors: "NOT_FOUND: …".
[[nodiscard]] std::string to_text(const grpc::Status& status);

/// CloudEvents 1.0, binary mode: attributes beside the data.
[[nodiscard]] google::pubsub::v1::PubsubMessage to_pubsub(const Message& message);
/// RFC 3339 in any zone; nullopt for anything else, or outside the years 0001 to 9999.
[[nodiscard]] std::optional<Timestamp> parse_timestamp(std::string_view text);
[[nodiscard]] Timestamp to_timestamp(const google::protobuf::Timestamp& time);
/// A message from elsewhere may lack attributes: its id and time are then those that Pub/Sub gave it.
[[nodiscard]] Message from_pubsub(const google::pubsub::v1::PubsubMessage& message);

}  // namespace quittance::messaging
