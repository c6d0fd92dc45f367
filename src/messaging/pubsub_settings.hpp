// Where Pub/Sub is, under which project, and the limits of our client. No gRPC here: wiring may include it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/backoff.hpp"

namespace quittance::messaging {

struct PubsubSettings {
    std::string project;        ///< GOOGLE_CLOUD_PROJECT
    std::string emulator_host;  ///< PUBSUB_EMULATOR_HOST as host:port; empty means Google Cloud.
    /// Connections. Calls and streams take turns on them, because one alone is bound to one thread and to
    /// the 100 calls at a time that Google's front ends accept.
    int channels = 4;
};

/// Throws ConfigurationError with the variable, its value and an example when the project or the emulator's
/// address cannot be one; gRPC would abort, or wait for ever.
void check(const PubsubSettings& settings);

struct PubsubPublisherOptions {
    /// Calls under way or waiting to be repeated. Keys beyond that wait, and their messages gather.
    std::size_t max_requests = 256;
    /// Messages in the publisher; beyond that `publish` fails and the sender keeps them.
    std::size_t max_queued = 65'536;
    std::chrono::milliseconds request_timeout{20'000};
    /// Temporary failures are repeated for so long; then the message fails.
    std::chrono::milliseconds retry_for{60'000};
    BackoffLimits retry{std::chrono::milliseconds(100), std::chrono::milliseconds(10'000)};
};

struct PubsubSubscriberOptions {
    /// Each brings at most 10 MB/s from Google Cloud, and about 2 000 messages a second from the emulator.
    int streams = 4;
    /// Messages on lease, over all streams. The service keeps to it, and we stop reading.
    std::size_t max_outstanding = 4096;
    std::int64_t max_outstanding_bytes = std::int64_t{100} << 20;
    /// A message that is in work for longer is left to be delivered again.
    std::chrono::minutes longest_lease{60};
    BackoffLimits reconnect{std::chrono::milliseconds(100), std::chrono::milliseconds(30'000)};
};

/// How messages come: we fetch them, or Pub/Sub posts them to us.
enum class PubsubDelivery { pull, push };

struct PubsubPushOptions {
    /// A post is answered within this time. Shorter than the acknowledgement deadline of our subscriptions
    /// (60 s), after which Pub/Sub would send the message again without having heard from us.
    std::chrono::milliseconds deadline{50'000};
    /// Posts that wait for their answer; beyond it they are refused at once.
    std::size_t max_outstanding = 4096;
    BackoffLimits describe{std::chrono::milliseconds(100), std::chrono::milliseconds(30'000)};
};

/// A topic and the one subscription that our services read it by.
struct PubsubRoute {
    std::string topic;
    std::string subscription;
};

/// Where messages of `topic` go that no consumer could handle.
[[nodiscard]] inline std::string dead_letter_topic_of(const std::string& topic) {
    return topic + "-dead-letter";
}
/// What keeps dead letters until somebody looks; without it they would be lost.
[[nodiscard]] inline std::string dead_letter_subscription_of(const std::string& topic) {
    return dead_letter_topic_of(topic) + "-sub";
}

}  // namespace quittance::messaging
