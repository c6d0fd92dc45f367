#include "messaging/pubsub_admin.hpp"

#include <memory>
#include <optional>
#include <ostream>

#include <google/protobuf/util/time_util.h>

#include "core/error.hpp"
#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

namespace {

namespace pubsub = google::pubsub::v1;
using google::protobuf::util::TimeUtil;

constexpr std::chrono::milliseconds call_timeout{20'000};
constexpr int ack_deadline_seconds = 60;
/// As long as Pub/Sub keeps messages without charging for it: dead letters wait for a person.
constexpr int retention_days = 7;

/// A difference between a subscription as it is and as it should be.
struct Difference {
    std::string field;  ///< In google.pubsub.v1.Subscription, for an update.
    std::string detail;
    bool fixed_at_creation = false;
};

class Admin {
public:
    explicit Admin(const PubsubSettings& settings) : connection_(settings) {}

    /// True when it was not there.
    bool create_topic(const std::string& name);
    void create_subscription(const pubsub::Subscription& subscription);
    void update_subscription(const pubsub::Subscription& subscription,
                             const std::vector<Difference>& differences);
    /// An empty configuration means that it is pulled.
    void set_push(const std::string& subscription, const pubsub::PushConfig& push);
    [[nodiscard]] bool has_topic(const std::string& name);
    [[nodiscard]] std::optional<pubsub::Subscription> find_subscription(const std::string& name);

    /// The two subscriptions of a route, as they should be.
    [[nodiscard]] pubsub::Subscription main_subscription(const PubsubProvisioning& wanted,
                                                         const PubsubRoute& route) const;
    [[nodiscard]] pubsub::Subscription dead_letter_subscription(const PubsubRoute& route) const;

private:
    void require(const grpc::Status& status, const std::string& what) const;

    PubsubConnection connection_;
};

void Admin::require(const grpc::Status& status, const std::string& what) const {
    if (status.ok()) return;
    throw ConfigurationError("could not " + what + " at " + connection_.peer() + ": " + to_text(status));
}

bool Admin::create_topic(const std::string& name) {
    pubsub::Topic topic;
    topic.set_name(connection_.topic_path(name));
    pubsub::Topic created;
    const auto status = call(connection_.publisher(), &PublisherStub::CreateTopic, call_timeout, "name",
                             topic.name(), topic, created);
    if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return false;
    require(status, "create the topic " + name);
    return true;
}

bool Admin::has_topic(const std::string& name) {
    pubsub::GetTopicRequest request;
    request.set_topic(connection_.topic_path(name));
    pubsub::Topic found;
    const auto status = call(connection_.publisher(), &PublisherStub::GetTopic, call_timeout, "topic",
                             request.topic(), request, found);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) return false;
    require(status, "look at the topic " + name);
    return true;
}

std::optional<pubsub::Subscription> Admin::find_subscription(const std::string& name) {
    pubsub::GetSubscriptionRequest request;
    request.set_subscription(connection_.subscription_path(name));
    pubsub::Subscription found;
    const auto status = call(connection_.subscriber(), &SubscriberStub::GetSubscription, call_timeout,
                             "subscription", request.subscription(), request, found);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) return std::nullopt;
    require(status, "look at the subscription " + name);
    return found;
}

void Admin::create_subscription(const pubsub::Subscription& subscription) {
    pubsub::Subscription created;
    require(call(connection_.subscriber(), &SubscriberStub::CreateSubscription, call_timeout, "name",
                 subscription.name(), subscription, created),
            "create " + subscription.name());
}

void Admin::update_subscription(const pubsub::Subscription& subscription,
                                const std::vector<Difference>& differences) {
    pubsub::UpdateSubscriptionRequest request;
    *request.mutable_subscription() = subscription;
    for (const Difference& difference : differences)
        request.mutable_update_mask()->add_paths(difference.field);
    pubsub::Subscription updated;
    require(call(connection_.subscriber(), &SubscriberStub::UpdateSubscription, call_timeout,
                 "subscription.name", subscription.name(), request, updated),
            "update " + subscription.name());
}

void Admin::set_push(const std::string& subscription, const pubsub::PushConfig& push) {
    pubsub::ModifyPushConfigRequest request;
    request.set_subscription(connection_.subscription_path(subscription));
    *request.mutable_push_config() = push;
    google::protobuf::Empty done;
    require(call(connection_.subscriber(), &SubscriberStub::ModifyPushConfig, call_timeout, "subscription",
                 request.subscription(), request, done),
            "change how " + subscription + " is delivered");
}

pubsub::Subscription Admin::dead_letter_subscription(const PubsubRoute& route) const {
    pubsub::Subscription subscription;
    subscription.set_name(connection_.subscription_path(dead_letter_subscription_of(route.topic)));
    subscription.set_topic(connection_.topic_path(dead_letter_topic_of(route.topic)));
    subscription.set_ack_deadline_seconds(ack_deadline_seconds);
    *subscription.mutable_message_retention_duration() = TimeUtil::HoursToDuration(24 * retention_days);
    // Present and without a time to live: never.
    subscription.mutable_expiration_policy();
    return subscription;
}

pubsub::Subscription Admin::main_subscription(const PubsubProvisioning& wanted,
                                              const PubsubRoute& route) const {
    pubsub::Subscription subscription = dead_letter_subscription(route);
    subscription.set_name(connection_.subscription_path(route.subscription));
    subscription.set_topic(connection_.topic_path(route.topic));
    subscription.set_enable_message_ordering(true);
    auto& dead_letters = *subscription.mutable_dead_letter_policy();
    dead_letters.set_dead_letter_topic(connection_.topic_path(dead_letter_topic_of(route.topic)));
    dead_letters.set_max_delivery_attempts(wanted.max_delivery_attempts);
    auto& retries = *subscription.mutable_retry_policy();
    *retries.mutable_minimum_backoff() = TimeUtil::MillisecondsToDuration(wanted.backoff_min.count());
    *retries.mutable_maximum_backoff() = TimeUtil::MillisecondsToDuration(wanted.backoff_max.count());
    return subscription;
}

std::string seconds(const google::protobuf::Duration& duration) {
    return TimeUtil::ToString(duration);
}

std::vector<Difference> differences(const pubsub::Subscription& is, const pubsub::Subscription& wanted) {
    std::vector<Difference> found;
    const auto compare = [&](const std::string& field, const auto& have, const auto& want, bool fixed) {
        if (have != want) found.push_back({field, field + " is " + have + ", not " + want, fixed});
    };
    const auto yes_or_no = [](bool yes) { return std::string(yes ? "on" : "off"); };
    compare("topic", is.topic(), wanted.topic(), true);
    // What a filter leaves out counts as acknowledged, and what is detached gets nothing any more.
    const auto text_or_none = [](const std::string& text) { return text.empty() ? "none" : text; };
    compare("filter", text_or_none(is.filter()), text_or_none(wanted.filter()), true);
    compare("detached", yes_or_no(is.detached()), yes_or_no(false), true);
    compare("enable_message_ordering", yes_or_no(is.enable_message_ordering()),
            yes_or_no(wanted.enable_message_ordering()), true);
    compare("ack_deadline_seconds", std::to_string(is.ack_deadline_seconds()),
            std::to_string(wanted.ack_deadline_seconds()), false);
    compare("message_retention_duration", seconds(is.message_retention_duration()),
            seconds(wanted.message_retention_duration()), false);
    if (is.expiration_policy().has_ttl() || !is.has_expiration_policy()) {
        found.push_back({"expiration_policy",
                         "expiration_policy lets the subscription expire when it is not used, with all that "
                         "it holds",
                         false});
    }
    const auto dead_letters = [](const pubsub::Subscription& one) {
        return one.has_dead_letter_policy()
                   ? one.dead_letter_policy().dead_letter_topic() + " after " +
                         std::to_string(one.dead_letter_policy().max_delivery_attempts()) + " deliveries"
                   : std::string("none");
    };
    compare("dead_letter_policy", dead_letters(is), dead_letters(wanted), false);
    const auto retries = [](const pubsub::Subscription& one) {
        return one.has_retry_policy() ? seconds(one.retry_policy().minimum_backoff()) + " to " +
                                            seconds(one.retry_policy().maximum_backoff())
                                      : std::string("none");
    };
    compare("retry_policy", retries(is), retries(wanted), false);
    return found;
}

std::string short_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

void provision_subscription(Admin& admin, const pubsub::Subscription& wanted, std::ostream& out) {
    const std::string name = short_name(wanted.name());
    const auto is = admin.find_subscription(name);
    if (!is) {
        admin.create_subscription(wanted);
        out << "created subscription " << name << std::endl;
        return;
    }
    const auto found = differences(*is, wanted);
    for (const Difference& difference : found) {
        if (difference.fixed_at_creation) {
            throw ConfigurationError("subscription " + name + ": " + difference.detail +
                                     "; that cannot be changed. Let it run empty, delete it, and provision "
                                     "again");
        }
    }
    if (!found.empty()) admin.update_subscription(wanted, found);
    for (const Difference& difference : found)
        out << "changed subscription " << name << ": " << difference.detail << std::endl;
    if (found.empty()) out << "subscription " << name << " is as it should be" << std::endl;
}

void check_subscription(Admin& admin, const pubsub::Subscription& wanted, const std::string& if_missing,
                        std::vector<std::string>& problems) {
    const std::string name = short_name(wanted.name());
    const auto is = admin.find_subscription(name);
    if (!is) {
        problems.push_back("there is no subscription " + name + ": " + if_missing);
        return;
    }
    for (const Difference& difference : differences(*is, wanted)) {
        std::string problem = "subscription " + name + ": " + difference.detail;
        if (difference.field == "dead_letter_policy" && !is->has_dead_letter_policy())
            problem += ": a message that always fails would come back for ever";
        problems.push_back(std::move(problem));
    }
}

void check_delivery(Admin& admin, const PubsubProvisioning& wanted, const std::string& subscription,
                    std::vector<std::string>& problems) {
    const auto is = admin.find_subscription(subscription);
    // That it is missing was said already.
    if (!is) return;
    const auto& push = is->push_config();
    const auto add = [&](const std::string& problem) {
        problems.push_back("subscription " + subscription + " is " + problem);
    };
    if (wanted.delivery == PubsubDelivery::pull) {
        if (push.push_endpoint().empty()) return;
        return add("pushed to " + push.push_endpoint() +
                   ", but the services are to pull: run 'quittance pubsub push off', or set "
                   "PUBSUB_DELIVERY=push");
    }
    static const std::string mend = ": run 'quittance pubsub push on'";
    if (push.push_endpoint().empty()) return add("pulled, but PUBSUB_DELIVERY is push" + mend);
    const auto compare = [&](const std::string& what, const std::string& have, const std::string& want) {
        if (want.empty() || have == want) return;
        add("pushed with the " + what + " " + (have.empty() ? "of nobody" : have) + ", not " + want + mend);
    };
    compare("service account", push.oidc_token().service_account_email(),
            wanted.push_identity.service_account);
    compare("audience", push.oidc_token().audience(), wanted.push_identity.audience);
}

}  // namespace

void provision_pubsub(const PubsubProvisioning& wanted, std::ostream& out) {
    Admin admin(wanted.settings);
    for (const PubsubRoute& route : wanted.routes) {
        for (const std::string& topic : {route.topic, dead_letter_topic_of(route.topic)})
            out << (admin.create_topic(topic) ? "created topic " + topic : "topic " + topic + " is there")
                << std::endl;
        // The place for dead letters first, so that at no moment one could get lost.
        provision_subscription(admin, admin.dead_letter_subscription(route), out);
        provision_subscription(admin, admin.main_subscription(wanted, route), out);
        std::vector<std::string> otherwise;
        check_delivery(admin, wanted, route.subscription, otherwise);
        for (const std::string& problem : otherwise)
            out << problem << std::endl;
    }
}

std::vector<std::string> check_pubsub(const PubsubProvisioning& wanted) {
    Admin admin(wanted.settings);
    std::vector<std::string> problems;
    for (const PubsubRoute& route : wanted.routes) {
        for (const std::string& topic : {route.topic, dead_letter_topic_of(route.topic)}) {
            if (!admin.has_topic(topic)) problems.push_back("there is no topic " + topic);
        }
        check_subscription(admin, admin.main_subscription(wanted, route),
                           "what is published meanwhile to " + route.topic + " is lost to it", problems);
        check_delivery(admin, wanted, route.subscription, problems);
        check_subscription(admin, admin.dead_letter_subscription(route),
                           "dead letters of " + route.topic + " would be lost", problems);
    }
    return problems;
}

void push_subscriptions(const PubsubSettings& settings, const std::map<std::string, std::string>& endpoints,
                        const PubsubPushIdentity& identity, std::ostream& out) {
    Admin admin(settings);
    for (const auto& [subscription, endpoint] : endpoints) {
        pubsub::PushConfig push;
        push.set_push_endpoint(endpoint);
        if (!identity.service_account.empty()) {
            push.mutable_oidc_token()->set_service_account_email(identity.service_account);
            push.mutable_oidc_token()->set_audience(identity.audience);
        }
        admin.set_push(subscription, push);
        out << "subscription " << subscription << " is pushed to " << endpoint << std::endl;
    }
}

void pull_subscriptions(const PubsubSettings& settings, const std::vector<std::string>& subscriptions,
                        std::ostream& out) {
    Admin admin(settings);
    for (const std::string& subscription : subscriptions) {
        admin.set_push(subscription, {});
        out << "subscription " << subscription << " is pulled" << std::endl;
    }
}

}  // namespace quittance::messaging
