// What an operator does with Pub/Sub from the command line.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "apps/options.hpp"

namespace quittance::apps {

struct PubsubOptions {
    BusChoice bus;
    double min_backoff_s = 10;  ///< The pause before a message is delivered for the second time; 0 to 600.
    // For push on.
    std::string order_service_url;
    std::string payment_service_url;
};

/// `quittance pubsub provision`: makes topics and subscriptions, or changes them to what they should be.
void provision(const PubsubOptions& options, std::ostream& out);
/// `quittance pubsub check`: a line for each difference; false when there is one.
[[nodiscard]] bool check(const PubsubOptions& options, std::ostream& out);
/// `quittance pubsub push on`: messages are posted to both services from now on.
void push_on(const PubsubOptions& options, std::ostream& out);
/// `quittance pubsub push off`: the services pull from now on.
void push_off(const PubsubOptions& options, std::ostream& out);

}  // namespace quittance::apps
