#include "messaging/pubsub_subscriber.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/thread_name.hpp"
#include "messaging/pubsub_answers.hpp"
#include "messaging/pubsub_connection.hpp"
#include "messaging/pubsub_lease_time.hpp"
#include "messaging/pubsub_leases.hpp"
#include "messaging/pubsub_publisher.hpp"
#include "messaging/pubsub_stream.hpp"
#include "messaging/pubsub_subscription.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// How often answers are sent and leases looked at.
constexpr std::chrono::milliseconds tick{100};
/// Leases are extended so long before they end: a call may fail and be made again.
constexpr std::chrono::seconds extend_before{5};
static_assert(2 * extend_before <= PubsubLeaseTime::shortest, "a lease is extended when half of it is left");
constexpr std::chrono::seconds keep_alive_interval{30};
/// A stream that ends after so long was not a failure: the service ends them now and then.
constexpr std::chrono::seconds healthy_stream{20};
constexpr std::chrono::seconds warning_interval{30};
/// For streams to end in good order.
constexpr std::chrono::milliseconds finish_timeout{1'000};
constexpr std::chrono::milliseconds last_answers_timeout{3'000};
constexpr std::size_t max_delivered_at_once = 1'000;

struct Slot {
    std::unique_ptr<PubsubStream> stream;
    bool ended = false;
    grpc::Status status;
    int failures = 0;
    TimePoint opened_at{};
    std::chrono::seconds lease{0};  ///< Of what it brings.
    TimePoint reopen_at{};
};

}  // namespace

struct PubsubSubscriber::State : std::enable_shared_from_this<PubsubSubscriber::State> {
    State(std::shared_ptr<PubsubConnection> pubsub, PubsubPublisher& dead_letters, const Clock& system_clock,
          Random& system_random, PubsubSubscriberOptions subscriber_options,
          const std::string& subscription_name, Receiver message_receiver);

    /// False when the service could not be asked. Throws ConfigurationError.
    bool describe();
    void deliver(const std::stop_token& stop);
    void keep(const std::stop_token& stop);

    // On gRPC's threads.
    bool received(std::size_t slot, PubsubStream::Response& response);
    void ended(std::size_t slot, const grpc::Status& status);
    // On anybody's.
    void answer(const PubsubLeases::Pointer& lease, AckHandle::Answer answer, std::string reason);
    void make_dead_letter(const PubsubLeases::Pointer& lease, std::string reason);

    // Under the mutex.
    void acknowledge(PubsubLease& lease);
    void repeat(PubsubLease& lease);

    // On the keeper's thread.
    void try_to_describe();
    void renew_streams();
    void open(std::size_t slot);
    void extend_leases();
    void resume_streams();
    void warn(const std::string& reason);
    void close();

    const std::shared_ptr<PubsubConnection> connection;
    PubsubPublisher& publisher;
    const Clock& clock;
    Random& random;
    const PubsubSubscriberOptions options;
    const std::string name;
    const std::string path;
    const std::string client_id;
    const std::shared_ptr<PubsubAnswers> answers;
    Receiver receiver;

    std::mutex mutex;
    std::condition_variable_any ready;
    std::condition_variable_any keeper_wanted;
    bool wanted = false;
    bool closed = false;
    bool described = false;
    std::string dead_letter_topic_path;
    PubsubLeases leases;
    PubsubLeaseTime lease_time;
    std::vector<Slot> slots;

    // The keeper's own.
    int describe_failures = 0;
    TimePoint describe_at{};
    TimePoint keep_alive_at{};
    TimePoint next_warning{};
};

PubsubSubscriber::State::State(std::shared_ptr<PubsubConnection> pubsub, PubsubPublisher& dead_letters,
                               const Clock& system_clock, Random& system_random,
                               PubsubSubscriberOptions subscriber_options,
                               const std::string& subscription_name, Receiver message_receiver)
    : connection(std::move(pubsub)),
      publisher(dead_letters),
      clock(system_clock),
      random(system_random),
      options(subscriber_options),
      name(subscription_name),
      path(connection->subscription_path(subscription_name)),
      client_id(system_random.token(16)),
      answers(std::make_shared<PubsubAnswers>(connection, clock, path, PubsubLeaseTime::shortest)),
      receiver(std::move(message_receiver)),
      leases(random, options.max_outstanding / 2),
      slots(static_cast<std::size_t>(std::max(options.streams, 1))) {}

bool PubsubSubscriber::State::describe() {
    const auto description = describe_subscription(*connection, path);
    if (!description) {
        warn(description.error().detail);
        return false;
    }
    if (!description->push_endpoint.empty()) {
        throw ConfigurationError("the Pub/Sub subscription " + path + " is pushed to " +
                                 description->push_endpoint +
                                 ": set PUBSUB_DELIVERY=push, or run 'quittance pubsub push off'");
    }
    const std::lock_guard lock(mutex);
    leases.set_redelivery(description->redelivery);
    dead_letter_topic_path = description->dead_letter_topic_path;
    described = true;
    return true;
}

void PubsubSubscriber::State::deliver(const std::stop_token& stop) {
    name_this_thread("q-ps-deliver");
    while (!stop.stop_requested()) {
        std::vector<Delivery> deliveries;
        {
            std::unique_lock lock(mutex);
            if (!ready.wait(lock, stop, [this] { return leases.any_ready(); })) return;
            for (const PubsubLeases::Pointer& lease : leases.take_ready(max_delivered_at_once)) {
                // The lease keeps its own copy, for a rejection.
                deliveries.push_back({lease->message, lease->attempt,
                                      AckHandle([state = shared_from_this(), lease](AckHandle::Answer given,
                                                                                    std::string reason) {
                                          state->answer(lease, given, std::move(reason));
                                      })});
            }
        }
        if (!deliveries.empty()) receiver(std::move(deliveries));
    }
}

bool PubsubSubscriber::State::received(std::size_t slot, PubsubStream::Response& response) {
    const TimePoint now = clock.steady_now();
    std::vector<PubsubLeases::Pointer> arrived;
    for (auto& one : *response.mutable_received_messages()) {
        auto lease = std::make_shared<PubsubLease>();
        lease->message = from_pubsub(one.message());
        lease->message_id = one.message().message_id();
        lease->ack_id = std::move(*one.mutable_ack_id());
        lease->published = to_timestamp(one.message().publish_time());
        lease->attempt = std::max(one.delivery_attempt(), 1);
        lease->arrived = now;
        lease->given_up_at = now + options.longest_lease;
        arrived.push_back(std::move(lease));
    }
    const std::lock_guard lock(mutex);
    if (closed) {
        for (const PubsubLeases::Pointer& lease : arrived)
            answers->hand_back(lease->ack_id);
        return true;
    }
    slots[slot].failures = 0;
    for (PubsubLeases::Pointer& lease : arrived) {
        lease->lease_until = now + slots[slot].lease;
        leases.add(std::move(lease));
    }
    if (leases.any_ready()) ready.notify_one();
    return leases.size() < options.max_outstanding;
}

void PubsubSubscriber::State::ended(std::size_t slot, const grpc::Status& status) {
    const std::lock_guard lock(mutex);
    slots[slot].ended = true;
    slots[slot].status = status;
    wanted = true;
    keeper_wanted.notify_one();
}

void PubsubSubscriber::State::answer(const PubsubLeases::Pointer& lease, AckHandle::Answer answer,
                                     std::string reason) {
    {
        const std::lock_guard lock(mutex);
        if (closed || !lease->held) return;
        if (answer == AckHandle::Answer::ack) return acknowledge(*lease);
        if (answer == AckHandle::Answer::nack) {
            if (!leases.is_exhausted(*lease)) return repeat(*lease);
            reason = "not acknowledged in " + std::to_string(lease->attempt) + " deliveries";
        }
    }
    make_dead_letter(lease, std::move(reason));
}

void PubsubSubscriber::State::acknowledge(PubsubLease& lease) {
    answers->acknowledge(lease.ack_id);
    lease_time.observe(clock.steady_now() - lease.arrived);
    leases.settle(lease);
    if (leases.any_ready()) ready.notify_one();
    if (wanted || !answers->many()) return;
    wanted = true;
    keeper_wanted.notify_one();
}

void PubsubSubscriber::State::repeat(PubsubLease& lease) {
    for (std::string& ack_id : leases.repeat(lease, clock.steady_now()))
        answers->hand_back(std::move(ack_id));
}

void PubsubSubscriber::State::make_dead_letter(const PubsubLeases::Pointer& lease, std::string reason) {
    publish_dead_letter(publisher, dead_letter_topic_path, lease->message, lease->attempt, std::move(reason),
                        [state = shared_from_this(), lease](bool published) {
                            const std::lock_guard lock(state->mutex);
                            if (state->closed || !lease->held) return;
                            if (published) return state->acknowledge(*lease);
                            state->repeat(*lease);
                        });
}

void PubsubSubscriber::State::keep(const std::stop_token& stop) {
    name_this_thread("q-ps-leases");
    while (!stop.stop_requested()) {
        if (described) {
            renew_streams();
        } else {
            try_to_describe();
        }
        extend_leases();
        answers->flush();
        resume_streams();
        std::unique_lock lock(mutex);
        keeper_wanted.wait_for(lock, stop, tick, [this] { return wanted; });
        wanted = false;
    }
    close();
}

void PubsubSubscriber::State::try_to_describe() {
    if (clock.steady_now() < describe_at) return;
    try {
        if (describe()) return;
    } catch (const ConfigurationError& error) {
        warn(error.what());
    }
    ++describe_failures;
    describe_at = clock.steady_now() + backoff(options.reconnect, describe_failures, random);
}

void PubsubSubscriber::State::renew_streams() {
    const TimePoint now = clock.steady_now();
    std::vector<std::unique_ptr<PubsubStream>> over;
    std::vector<std::size_t> due;
    std::string reason;
    {
        const std::lock_guard lock(mutex);
        for (std::size_t i = 0; i < slots.size(); ++i) {
            Slot& slot = slots[i];
            if (slot.ended) {
                slot.ended = false;
                over.push_back(std::move(slot.stream));
                slot.failures = now - slot.opened_at > healthy_stream ? 1 : slot.failures + 1;
                slot.reopen_at = now + backoff(options.reconnect, slot.failures, random);
                if (slot.failures > 1) reason = to_text(slot.status);
            }
            if (!slot.stream && slot.reopen_at <= now) due.push_back(i);
        }
    }
    if (!reason.empty()) warn(reason);
    for (const std::size_t i : due)
        open(i);
    if (now >= keep_alive_at) {
        keep_alive_at = now + keep_alive_interval;
        for (const Slot& slot : slots) {
            if (slot.stream) slot.stream->keep_alive();
        }
    }
}

void PubsubSubscriber::State::open(std::size_t slot) {
    std::chrono::seconds lease{0};
    {
        const std::lock_guard lock(mutex);
        lease = lease_time.current();
        slots[slot].lease = lease;
    }
    PubsubStream::Request first;
    first.set_subscription(path);
    first.set_client_id(client_id);
    first.set_stream_ack_deadline_seconds(static_cast<int>(lease.count()));
    const auto streams = static_cast<std::int64_t>(slots.size());
    first.set_max_outstanding_messages(
        std::max<std::int64_t>(static_cast<std::int64_t>(options.max_outstanding) / streams, 1));
    first.set_max_outstanding_bytes(options.max_outstanding_bytes / streams);
    first.set_protocol_version(1);
    // The state outlives its streams: `close` waits for them.
    auto stream = std::make_unique<PubsubStream>(
        std::move(first), [this, slot](PubsubStream::Response& response) { return received(slot, response); },
        [this, slot](const grpc::Status& status) { ended(slot, status); });
    PubsubStream& opened = *stream;
    {
        const std::lock_guard lock(mutex);
        slots[slot].stream = std::move(stream);
        slots[slot].opened_at = clock.steady_now();
    }
    opened.open(connection->subscriber());
}

void PubsubSubscriber::State::extend_leases() {
    const TimePoint now = clock.steady_now();
    std::vector<std::string> extended;
    std::chrono::seconds extension{0};
    {
        const std::lock_guard lock(mutex);
        leases.drop_overdue(now);
        leases.make_due_ready(now);
        extension = lease_time.current();
        for (const PubsubLeases::Pointer& lease : leases.expiring(now + extend_before)) {
            extended.push_back(lease->ack_id);
            lease->lease_until = now + extension;
        }
        if (leases.any_ready()) ready.notify_one();
    }
    answers->set_lease(extension);
    answers->extend(std::move(extended));
}

void PubsubSubscriber::State::resume_streams() {
    {
        const std::lock_guard lock(mutex);
        if (leases.size() >= options.max_outstanding) return;
    }
    for (const Slot& slot : slots) {
        if (slot.stream) slot.stream->resume();
    }
}

void PubsubSubscriber::State::warn(const std::string& reason) {
    const TimePoint now = clock.steady_now();
    if (now < next_warning) return;
    next_warning = now + warning_interval;
    log::warning("no messages from Pub/Sub; trying again",
                 {{"subscription", name}, {"peer", connection->peer()}, {"reason", reason}});
}

void PubsubSubscriber::State::close() {
    std::vector<std::string> returned;
    {
        const std::lock_guard lock(mutex);
        closed = true;
        returned = leases.release_all();
    }
    const auto all_ended = [this] {
        return std::ranges::all_of(slots, [](const Slot& slot) { return !slot.stream || slot.ended; });
    };
    // The service stops delivering and ends the stream; what it sent until then still arrives, and goes back.
    for (const Slot& slot : slots) {
        if (slot.stream) slot.stream->finish();
    }
    std::unique_lock lock(mutex);
    if (!keeper_wanted.wait_for(lock, finish_timeout, all_ended)) {
        lock.unlock();
        for (const Slot& slot : slots) {
            if (slot.stream) slot.stream->cancel();
        }
        lock.lock();
        keeper_wanted.wait(lock, all_ended);
    }
    lock.unlock();
    for (std::string& ack_id : returned)
        answers->hand_back(std::move(ack_id));
    for (Slot& slot : slots)
        slot.stream.reset();
    answers->flush(true);
    answers->wait(last_answers_timeout);
}

PubsubSubscriber::PubsubSubscriber(std::shared_ptr<PubsubConnection> connection, PubsubPublisher& publisher,
                                   const Clock& clock, Random& random, PubsubSubscriberOptions options,
                                   const std::string& subscription, Receiver receiver)
    : state_(std::make_shared<State>(std::move(connection), publisher, clock, random, options, subscription,
                                     std::move(receiver))) {
    state_->describe();
    delivery_ = std::jthread([state = state_](const std::stop_token& stop) { state->deliver(stop); });
    keeper_ = std::jthread([state = state_](const std::stop_token& stop) { state->keep(stop); });
}

PubsubSubscriber::~PubsubSubscriber() {
    delivery_.request_stop();
    delivery_.join();
    keeper_.request_stop();
    keeper_.join();
    // Handles that outlive us hold the state; what the receiver holds ends here.
    state_->receiver = nullptr;
}

}  // namespace quittance::messaging
