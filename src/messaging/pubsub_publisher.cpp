#include "messaging/pubsub_publisher.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/thread_name.hpp"
#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

namespace {

using TimePoint = std::chrono::steady_clock::time_point;
using Item = PubsubPublisher::Item;

/// Pub/Sub's limits are 1 000 messages and 10 MB a request; the rest is for what surrounds the messages.
constexpr int max_request_messages = 1'000;
constexpr std::size_t max_request_bytes = std::size_t{9} << 20;
/// For calls that are under way at the end: what they publish need not be published again.
constexpr std::chrono::milliseconds last_calls_timeout{1'000};

struct KeyQueue {
    std::string id;  ///< Where it stands in `State::queues`.
    std::string topic_path;
    bool ordered = false;
    bool ready = false;
    int requests = 0;  ///< Under way or waiting to be repeated; of an ordered queue one at most.
    std::deque<Item> waiting;
};

struct Request {
    KeyQueue* queue = nullptr;
    google::pubsub::v1::PublishRequest body;
    google::pubsub::v1::PublishResponse response;
    std::vector<absl::AnyInvocable<void(PublishResult)>> done;
    std::unique_ptr<grpc::ClientContext> context;
    int failures = 0;
    TimePoint give_up_at;
};
using RequestPointer = std::shared_ptr<Request>;

struct Finished {
    absl::AnyInvocable<void(PublishResult)> done;
    PublishResult result;
};

void report(std::vector<Finished>& finished) {
    for (Finished& one : finished)
        one.done(std::move(one.result));
}

std::string reason_of(const grpc::Status& status, const std::string& topic_path) {
    if (status.error_code() == grpc::StatusCode::NOT_FOUND)
        return "there is no " + topic_path + "; run 'quittance pubsub provision'";
    return to_text(status);
}

}  // namespace

struct PubsubPublisher::State : std::enable_shared_from_this<PubsubPublisher::State> {
    State(std::shared_ptr<PubsubConnection> pubsub, const Clock& publisher_clock, Random& publisher_random,
          PubsubPublisherOptions publisher_options)
        : connection(std::move(pubsub)),
          clock(publisher_clock),
          random(publisher_random),
          options(publisher_options) {}

    void publish(const std::string& topic_path, std::vector<Item> items);
    void close();
    void repeat_what_is_due(const std::stop_token& stop);

    // Without the mutex.
    void start(std::vector<RequestPointer> requests);
    void finish(const RequestPointer& request, const grpc::Status& status);

    // Under the mutex.
    void enqueue(const std::string& topic_path, Item item);
    [[nodiscard]] std::vector<RequestPointer> take_requests();
    [[nodiscard]] RequestPointer take_request(KeyQueue& queue);
    void make_ready(KeyQueue& queue);
    void settle(Request& request, PublishResult result, std::vector<Finished>& finished);
    void fail_waiting(KeyQueue& queue, const std::string& reason, std::vector<Finished>& finished);

    const std::shared_ptr<PubsubConnection> connection;
    const Clock& clock;
    Random& random;
    const PubsubPublisherOptions options;

    std::mutex mutex;
    std::condition_variable_any retry_added;
    std::condition_variable idle;
    bool closed = false;
    std::size_t queued = 0;
    std::size_t requests = 0;
    std::unordered_map<std::string, std::unique_ptr<KeyQueue>> queues;
    std::deque<KeyQueue*> ready;
    std::unordered_set<RequestPointer> calls;
    std::size_t reports = 0;  ///< Calls that ended and whose senders are being told.
    std::multimap<TimePoint, RequestPointer> retries;
};

void PubsubPublisher::State::publish(const std::string& topic_path, std::vector<Item> items) {
    std::vector<Finished> refused;
    std::vector<RequestPointer> next;
    {
        const std::lock_guard lock(mutex);
        for (Item& item : items) {
            if (closed) {
                refused.push_back(
                    {std::move(item.done), {PublishOutcome::failed, "the bus is shutting down", 0}});
            } else if (item.message.ByteSizeLong() > max_request_bytes) {
                refused.push_back({std::move(item.done),
                                   {PublishOutcome::dead_lettered, "larger than Pub/Sub's 10 MB", 0}});
            } else if (queued >= options.max_queued) {
                refused.push_back(
                    {std::move(item.done), {PublishOutcome::failed, "the publisher's queue is full", 0}});
            } else {
                enqueue(topic_path, std::move(item));
            }
        }
        next = take_requests();
    }
    start(std::move(next));
    report(refused);
}

void PubsubPublisher::State::enqueue(const std::string& topic_path, Item item) {
    const std::string& key = item.message.ordering_key();
    auto& queue = queues[topic_path + "\n" + key];
    if (!queue) {
        queue = std::make_unique<KeyQueue>();
        queue->id = topic_path + "\n" + key;
        queue->topic_path = topic_path;
        queue->ordered = !key.empty();
    }
    queue->waiting.push_back(std::move(item));
    ++queued;
    make_ready(*queue);
}

void PubsubPublisher::State::make_ready(KeyQueue& queue) {
    if (queue.ready || queue.waiting.empty() || (queue.ordered && queue.requests > 0)) return;
    queue.ready = true;
    ready.push_back(&queue);
}

std::vector<RequestPointer> PubsubPublisher::State::take_requests() {
    std::vector<RequestPointer> taken;
    while (!closed && !ready.empty() && requests < options.max_requests) {
        KeyQueue& queue = *ready.front();
        ready.pop_front();
        queue.ready = false;
        if (queue.waiting.empty()) continue;
        taken.push_back(take_request(queue));
        make_ready(queue);
    }
    return taken;
}

RequestPointer PubsubPublisher::State::take_request(KeyQueue& queue) {
    auto request = std::make_shared<Request>();
    request->queue = &queue;
    request->give_up_at = clock.steady_now() + options.retry_for;
    request->body.set_topic(queue.topic_path);
    std::size_t bytes = 0;
    while (!queue.waiting.empty() && request->body.messages_size() < max_request_messages) {
        Item& item = queue.waiting.front();
        bytes += item.message.ByteSizeLong();
        if (bytes > max_request_bytes && request->body.messages_size() > 0) break;
        *request->body.add_messages() = std::move(item.message);
        request->done.push_back(std::move(item.done));
        queue.waiting.pop_front();
    }
    ++queue.requests;
    ++requests;
    calls.insert(request);
    return request;
}

void PubsubPublisher::State::start(std::vector<RequestPointer> to_start) {
    for (RequestPointer& request : to_start) {
        auto context = std::make_unique<grpc::ClientContext>();
        prepare(*context, options.request_timeout, "topic", request->body.topic());
        bool given_up = false;
        {
            const std::lock_guard lock(mutex);
            request->context = std::move(context);
            given_up = closed;
        }
        if (given_up) {
            finish(request, grpc::Status(grpc::StatusCode::CANCELLED, "the bus is shutting down"));
            continue;
        }
        connection->publisher().async()->Publish(
            request->context.get(), &request->body, &request->response,
            [state = shared_from_this(), request](const grpc::Status& status) {
                state->finish(request, status);
            });
    }
}

void PubsubPublisher::State::finish(const RequestPointer& request, const grpc::Status& status) {
    std::vector<Finished> finished;
    std::vector<RequestPointer> next;
    {
        const std::lock_guard lock(mutex);
        calls.erase(request);
        const TimePoint now = clock.steady_now();
        if (!status.ok() && is_retryable(status.error_code()) && !closed && now < request->give_up_at) {
            ++request->failures;
            retries.emplace(now + backoff(options.retry, request->failures, random), request);
            retry_added.notify_all();
            return;
        }
        ++reports;
        KeyQueue& queue = *request->queue;
        PublishResult result;
        if (!status.ok()) {
            result.outcome = PublishOutcome::failed;
            result.reason = reason_of(status, queue.topic_path);
        }
        settle(*request, result, finished);
        if (!status.ok() && queue.ordered) fail_waiting(queue, result.reason, finished);
        if (queue.waiting.empty() && queue.requests == 0 && !queue.ready) {
            queues.erase(queues.find(queue.id));
        } else {
            make_ready(queue);
        }
        next = take_requests();
    }
    start(std::move(next));
    report(finished);
    const std::lock_guard lock(mutex);
    --reports;
    idle.notify_all();
}

void PubsubPublisher::State::settle(Request& request, PublishResult result, std::vector<Finished>& finished) {
    queued -= request.done.size();
    --requests;
    --request.queue->requests;
    for (auto& done : request.done)
        finished.push_back({std::move(done), result});
}

void PubsubPublisher::State::fail_waiting(KeyQueue& queue, const std::string& reason,
                                          std::vector<Finished>& finished) {
    queued -= queue.waiting.size();
    for (Item& item : queue.waiting)
        finished.push_back({std::move(item.done), {PublishOutcome::failed, reason, 0}});
    queue.waiting.clear();
}

void PubsubPublisher::State::repeat_what_is_due(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
        if (retries.empty()) {
            retry_added.wait(lock, stop, [this] { return !retries.empty(); });
        } else {
            const TimePoint due = retries.begin()->first;
            retry_added.wait_until(lock, stop, due,
                                   [&] { return !retries.empty() && retries.begin()->first < due; });
        }
        std::vector<RequestPointer> repeated;
        while (!closed && !retries.empty() && retries.begin()->first <= clock.steady_now()) {
            repeated.push_back(std::move(retries.begin()->second));
            retries.erase(retries.begin());
            calls.insert(repeated.back());
        }
        lock.unlock();
        start(std::move(repeated));
        lock.lock();
    }
}

void PubsubPublisher::State::close() {
    const std::string reason = "the bus is shutting down";
    std::vector<Finished> finished;
    {
        std::unique_lock lock(mutex);
        closed = true;
        for (auto& [due, request] : std::exchange(retries, {}))
            settle(*request, {PublishOutcome::failed, reason, 0}, finished);
        for (auto& [id, queue] : queues)
            fail_waiting(*queue, reason, finished);
        const auto is_idle = [this] { return calls.empty() && reports == 0; };
        if (!idle.wait_for(lock, last_calls_timeout, is_idle)) {
            for (const RequestPointer& request : calls) {
                if (request->context) request->context->TryCancel();
            }
            idle.wait(lock, is_idle);
        }
    }
    report(finished);
}

PubsubPublisher::PubsubPublisher(std::shared_ptr<PubsubConnection> connection, const Clock& clock,
                                 Random& random, PubsubPublisherOptions options)
    : state_(std::make_shared<State>(std::move(connection), clock, random, options)),
      retries_([state = state_](const std::stop_token& stop) {
          name_this_thread("q-ps-retries");
          state->repeat_what_is_due(stop);
      }) {}

PubsubPublisher::~PubsubPublisher() {
    close();
}

void PubsubPublisher::close() {
    state_->close();
}

void PubsubPublisher::publish(const std::string& topic_path, std::vector<Item> items) {
    state_->publish(topic_path, std::move(items));
}

}  // namespace quittance::messaging
