#include "messaging/pubsub_push.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/thread_name.hpp"
#include "messaging/pubsub_connection.hpp"
#include "messaging/pubsub_publisher.hpp"
#include "messaging/pubsub_subscription.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// How often deadlines are looked at.
constexpr std::chrono::milliseconds tick{200};
constexpr std::size_t max_delivered_at_once = 1'000;

/// One message that is in work or waits for its turn.
struct Post {
    PushedMessage pushed;
    PushDone done;  ///< Empty once answered; the work may go on.
    TimePoint due{};
};
using PostPointer = std::shared_ptr<Post>;

/// Answers that are given when no lock is held any more.
class Answers {
public:
    void add(Post& post, PushOutcome outcome) {
        if (post.done) given_.emplace_back(std::exchange(post.done, nullptr), outcome);
    }
    void give() {
        for (auto& [done, outcome] : given_)
            done(outcome);
        given_.clear();
    }

private:
    std::vector<std::pair<PushDone, PushOutcome>> given_;
};

}  // namespace

/// Where the posts of one subscription wait.
struct PubsubPush::Desk : std::enable_shared_from_this<PubsubPush::Desk> {
    Desk(std::shared_ptr<PubsubConnection> pubsub, PubsubPublisher& dead_letters, const Clock& system_clock,
         PubsubPushOptions push_options, std::string subscription_path)
        : connection(std::move(pubsub)),
          publisher(dead_letters),
          clock(system_clock),
          options(push_options),
          path(std::move(subscription_path)) {}

    /// False when the service could not be asked. Throws ConfigurationError.
    bool describe();
    void add(PushedMessage pushed, PushDone done);
    /// Waits for messages whose turn it is; none when it is time to stop.
    [[nodiscard]] std::vector<Delivery> take(const std::stop_token& stop);
    void give_up_on_what_is_late();
    /// Answers everything; what is still in work will be sent again.
    void close();

    void answer(const PostPointer& post, AckHandle::Answer answer, std::string reason);
    void finish(const PostPointer& post, PushOutcome outcome);

    const std::shared_ptr<PubsubConnection> connection;
    PubsubPublisher& publisher;
    const Clock& clock;
    const PubsubPushOptions options;
    const std::string path;

    std::mutex mutex;
    std::condition_variable_any changed;
    bool closed = false;
    std::optional<PubsubDescription> description;
    /// The front of each queue is in work.
    std::unordered_map<std::string, std::deque<PostPointer>> queues;
    std::size_t posts = 0;
    std::deque<PostPointer> ready;
};

bool PubsubPush::Desk::describe() {
    auto found = describe_subscription(*connection, path);
    if (!found) {
        log::warning("the Pub/Sub subscription cannot be looked at; trying again",
                     {{"subscription", path}, {"reason", found.error().detail}});
        return false;
    }
    if (found->push_endpoint.empty()) {
        log::warning(
            "the Pub/Sub subscription is not pushed, so that no message will come: run "
            "'quittance pubsub push on'",
            {{"subscription", path}});
    }
    const std::lock_guard lock(mutex);
    description = std::move(*found);
    return true;
}

void PubsubPush::Desk::add(PushedMessage pushed, PushDone done) {
    std::optional<PushOutcome> refused;
    {
        const std::lock_guard lock(mutex);
        // Without the description there is nowhere to put a dead letter.
        if (closed || !description) refused = PushOutcome::again;
        if (posts >= options.max_outstanding) refused = PushOutcome::overloaded;
        if (!refused) {
            auto post = std::make_shared<Post>(
                Post{std::move(pushed), std::move(done), clock.steady_now() + options.deadline});
            auto& queue = queues[queue_of(post->pushed.message, post->pushed.message_id)];
            queue.push_back(post);
            ++posts;
            if (queue.size() > 1) return;
            ready.push_back(std::move(post));
            changed.notify_one();
            return;
        }
    }
    done(*refused);
}

std::vector<Delivery> PubsubPush::Desk::take(const std::stop_token& stop) {
    std::vector<Delivery> deliveries;
    std::unique_lock lock(mutex);
    if (!changed.wait(lock, stop, [this] { return !ready.empty(); })) return deliveries;
    while (!ready.empty() && deliveries.size() < max_delivered_at_once) {
        PostPointer post = std::move(ready.front());
        ready.pop_front();
        // The post keeps its own copy of the message, for a rejection.
        deliveries.push_back(
            {post->pushed.message, std::max(post->pushed.attempt, 1),
             AckHandle([desk = shared_from_this(), post](AckHandle::Answer given, std::string reason) {
                 desk->answer(post, given, std::move(reason));
             })});
    }
    return deliveries;
}

void PubsubPush::Desk::answer(const PostPointer& post, AckHandle::Answer answer, std::string reason) {
    std::string dead_letter_topic_path;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        const int last_attempt = description->redelivery.max_delivery_attempts;
        if (answer == AckHandle::Answer::nack && last_attempt > 0 && post->pushed.attempt >= last_attempt) {
            answer = AckHandle::Answer::reject;
            reason = "not acknowledged in " + std::to_string(post->pushed.attempt) + " deliveries";
        }
        dead_letter_topic_path = description->dead_letter_topic_path;
    }
    if (answer != AckHandle::Answer::reject) {
        return finish(post, answer == AckHandle::Answer::ack ? PushOutcome::settled : PushOutcome::again);
    }
    publish_dead_letter(publisher, dead_letter_topic_path, post->pushed.message,
                        std::max(post->pushed.attempt, 1), std::move(reason),
                        [desk = shared_from_this(), post](bool published) {
                            desk->finish(post, published ? PushOutcome::settled : PushOutcome::again);
                        });
}

void PubsubPush::Desk::finish(const PostPointer& post, PushOutcome outcome) {
    Answers answers;
    {
        const std::lock_guard lock(mutex);
        if (closed) return;
        const auto at = queues.find(queue_of(post->pushed.message, post->pushed.message_id));
        ensure(at != queues.end() && at->second.front() == post, "a post in work is the first of its key");
        auto& queue = at->second;
        answers.add(*post, outcome);
        queue.pop_front();
        --posts;
        if (outcome == PushOutcome::again) {
            // Otherwise those behind it would overtake it.
            for (const PostPointer& behind : queue)
                answers.add(*behind, PushOutcome::again);
            posts -= queue.size();
            queue.clear();
        }
        if (queue.empty()) {
            queues.erase(at);
        } else {
            ready.push_back(queue.front());
            changed.notify_one();
        }
    }
    answers.give();
}

void PubsubPush::Desk::give_up_on_what_is_late() {
    Answers answers;
    {
        const std::lock_guard lock(mutex);
        const TimePoint now = clock.steady_now();
        for (auto& [key, queue] : queues) {
            const auto late = std::ranges::find_if(
                queue, [&](const PostPointer& post) { return post->done && post->due <= now; });
            if (late == queue.end()) continue;
            // The first stays where it is until its work is done; what waits comes again, in order.
            for (auto post = late; post != queue.end(); ++post)
                answers.add(**post, PushOutcome::again);
            const auto waiting = late == queue.begin() ? std::next(late) : late;
            posts -= static_cast<std::size_t>(queue.end() - waiting);
            queue.erase(waiting, queue.end());
        }
    }
    answers.give();
}

void PubsubPush::Desk::close() {
    Answers answers;
    {
        const std::lock_guard lock(mutex);
        closed = true;
        for (auto& [key, queue] : queues) {
            for (const PostPointer& post : queue)
                answers.add(*post, PushOutcome::again);
        }
        queues.clear();
        ready.clear();
        posts = 0;
    }
    answers.give();
}

/// The threads of one subscription.
class PubsubPush::Reader final : public Subscription {
public:
    Reader(std::shared_ptr<Desk> desk, Random& random, Receiver receiver)
        : desk_(std::move(desk)), random_(random), receiver_(std::move(receiver)) {
        if (!desk_->describe()) ++failures_;
        delivery_ = std::jthread([this](const std::stop_token& stop) {
            name_this_thread("q-ps-deliver");
            deliver(stop);
        });
        keeper_ = std::jthread([this](const std::stop_token& stop) {
            name_this_thread("q-ps-push");
            keep(stop);
        });
    }
    ~Reader() override {
        delivery_.request_stop();
        delivery_.join();
        keeper_.request_stop();
        keeper_.join();
        desk_->close();
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

private:
    void deliver(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            auto deliveries = desk_->take(stop);
            if (!deliveries.empty()) receiver_(std::move(deliveries));
        }
    }

    void keep(const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        while (!stop.stop_requested()) {
            if (failures_ > 0) try_to_describe();
            desk_->give_up_on_what_is_late();
            never.wait_for(lock, stop, tick, [] { return false; });
        }
    }

    void try_to_describe() {
        if (desk_->clock.steady_now() < describe_at_) return;
        try {
            if (desk_->describe()) {
                failures_ = 0;
                return;
            }
        } catch (const ConfigurationError& error) {
            log::warning("the Pub/Sub subscription cannot be used; trying again", {{"reason", error.what()}});
        }
        ++failures_;
        describe_at_ = desk_->clock.steady_now() + backoff(desk_->options.describe, failures_, random_);
    }

    const std::shared_ptr<Desk> desk_;
    Random& random_;
    Receiver receiver_;
    // The keeper's own, once it runs.
    int failures_ = 0;
    TimePoint describe_at_{};
    std::jthread delivery_;
    std::jthread keeper_;
};

PubsubPush::PubsubPush(std::shared_ptr<PubsubConnection> connection, PubsubPublisher& publisher,
                       const Clock& clock, Random& random, PubsubPushOptions options)
    : connection_(std::move(connection)),
      publisher_(publisher),
      clock_(clock),
      random_(random),
      options_(options) {}

PubsubPush::~PubsubPush() = default;

std::unique_ptr<Subscription> PubsubPush::subscribe(const std::string& subscription, Receiver receiver) {
    const std::string path = connection_->subscription_path(subscription);
    const auto desk = std::make_shared<Desk>(connection_, publisher_, clock_, options_, path);
    auto reader = std::make_unique<Reader>(desk, random_, std::move(receiver));
    const std::lock_guard lock(mutex_);
    desks_[path] = desk;
    return reader;
}

void PubsubPush::deliver(PushedMessage pushed, PushDone done) {
    std::shared_ptr<Desk> desk;
    bool known = false;
    {
        const std::lock_guard lock(mutex_);
        const auto found = desks_.find(pushed.subscription);
        known = found != desks_.end();
        if (known) desk = found->second.lock();
    }
    if (desk) return desk->add(std::move(pushed), std::move(done));
    // One that was ours, and ended, is about to stop with the program.
    done(known ? PushOutcome::again : PushOutcome::unknown_subscription);
}

}  // namespace quittance::messaging
