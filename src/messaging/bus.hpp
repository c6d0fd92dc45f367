// The port to a message broker: at least once, in order per key.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"

namespace quittance::messaging {

/// A CloudEvents 1.0 event in binary mode: attributes beside the data.
struct Message {
    std::string id;            ///< ce-id: ours, stable over every retry; consumers deduplicate on it.
    std::string type;          ///< ce-type, such as quittance.order.created.v1.
    std::string source;        ///< ce-source: the service that made it.
    Timestamp time;            ///< ce-time
    std::string ordering_key;  ///< Messages with the same key arrive in the order of publishing.
    std::string traceparent;   ///< W3C trace context; may be empty.
    std::string data;          ///< JSON
};

enum class PublishOutcome {
    confirmed,      ///< The broker has it for good; the sender may forget it.
    dead_lettered,  ///< No consumer could handle it; `reason` says why. The sender keeps it as a dead letter.
    failed,         ///< Not published; send it again later.
};

struct PublishResult {
    PublishOutcome outcome = PublishOutcome::confirmed;
    std::string reason;
    int delivery_attempts = 0;  ///< For `dead_lettered`.
};

struct Outgoing {
    Message message;
    /// Called exactly once, on any thread; must not block or throw.
    absl::AnyInvocable<void(PublishResult)> done;
};

/// The duty to answer one delivery. Move-only and consumed by its answer; dropped unanswered, it is a nack.
class AckHandle {
public:
    enum class Answer { ack, nack, reject };
    using Answered = absl::AnyInvocable<void(Answer, std::string reason)>;

    explicit AckHandle(Answered answered) : answered_(std::move(answered)) {}
    AckHandle(AckHandle&& other) noexcept : answered_(std::exchange(other.answered_, nullptr)) {}
    AckHandle& operator=(AckHandle&& other) noexcept {
        if (this != &other) {
            drop();
            answered_ = std::exchange(other.answered_, nullptr);
        }
        return *this;
    }
    AckHandle(const AckHandle&) = delete;
    AckHandle& operator=(const AckHandle&) = delete;
    ~AckHandle() { drop(); }

    /// The effect is committed; never deliver this again.
    void ack() && { answer(Answer::ack, {}); }
    /// A temporary failure; deliver again after the back-off.
    void nack() && { answer(Answer::nack, {}); }
    /// No repetition can help; to the dead letters at once.
    void reject(std::string reason) && { answer(Answer::reject, std::move(reason)); }

private:
    void answer(Answer answer, std::string reason) {
        auto answered = std::exchange(answered_, nullptr);
        if (answered) answered(answer, std::move(reason));
    }
    void drop() noexcept {
        if (answered_) answer(Answer::nack, "dropped");
    }

    Answered answered_;
};

struct Delivery {
    Message message;
    int attempt = 1;  ///< 1 for the first delivery.
    AckHandle handle;
};

/// Gets deliveries as they arrive, a batch at a time. Called from one thread at a time; hands the work on
/// and returns soon. Handles may be answered later and from any thread.
using Receiver = absl::AnyInvocable<void(std::vector<Delivery>)>;

/// Deliveries flow while it lives. Its destructor stops them, waits for a receiver that is running, and
/// returns what was delivered but not answered to the broker; late answers are then ignored.
class Subscription {
public:
    virtual ~Subscription() = default;
};

/// Thread safe. Each adapter passes tests/conformance/bus_conformance.
class Bus {
public:
    virtual ~Bus() = default;

    /// Publishes in the given order. Never blocks for long. Where it throws, it has taken none of them and
    /// called no `done`. After a message with a key failed, those of the
    /// same key behind it in the bus fail too, so that a sender who repeats them keeps their order.
    virtual void publish(const std::string& topic, std::vector<Outgoing> messages) = 0;

    /// One subscription object per name at a time. Of one key, the next message is delivered only after the
    /// one before it was acknowledged or became a dead letter.
    [[nodiscard]] virtual std::unique_ptr<Subscription> subscribe(const std::string& subscription,
                                                                  Receiver receiver) = 0;
};

}  // namespace quittance::messaging
