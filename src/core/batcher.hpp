// The bridge between asynchronous callers and a few synchronous workers, and the reason for our speed:
// what waits while one batch commits becomes the next batch.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace quittance {

struct BatchLimits {
    std::size_t max_batch = 256;    ///< Requests handed to one execution; from 256 on, more gain nothing.
    std::size_t max_queued = 4096;  ///< Requests waiting; beyond that `submit` answers `overloaded`.
    /// While a batch executes, a second worker takes up the next one when this many wait, and so on for a
    /// third. Fewer are served sooner, and for far less, by the worker that is at it already: each worker
    /// that is woken for a handful costs two changes of threads and a statement. It takes them up all the
    /// same when they have waited for `max_batch_company`: the batch may be stuck.
    std::size_t min_parallel_batch = 16;
    /// For callers who wait. When those ahead of a request, at the pace of the last large batches, take
    /// longer than this, `submit` answers `overloaded`: better a quick refusal than an answer that nobody
    /// waits for any more. Half a batch always fits, so that a store that hesitates refuses nobody while few
    /// wait. Zero: no such limit.
    std::chrono::milliseconds max_wait{0};
    int max_conflict_retries = 5;  ///< Executions repeated after StorageConflict before giving up.
    /// Zero: StorageUnavailable is answered to the caller. Otherwise the requests stay queued and are tried
    /// again after this pause, for as long as it takes (consumers that must not lose their message).
    std::chrono::milliseconds retry_unavailable_after{0};
};

/// How long requests wait for the batch before them when they are too few for a worker of their own.
inline constexpr std::chrono::milliseconds max_batch_company{20};

/// So many workers execute at a time as long as they get on: more of them only make the batches smaller, and
/// each batch costs the same round trips. When no batch has begun or ended for `max_batch_company`, because
/// the store is far away or somebody holds a lock, others join in.
inline constexpr std::size_t eager_workers = 2;

template <class Context>
class BatchScheduler;

/// One kind of work that a scheduler hands to its workers. See `Batcher`.
template <class Context>
class BatchLane {
public:
    virtual ~BatchLane() = default;

protected:
    friend class BatchScheduler<Context>;
    /// Under the scheduler's mutex.
    /// A worker that has nothing to do should take up the next batch.
    [[nodiscard]] virtual bool ready(std::chrono::steady_clock::time_point now) const = 0;
    [[nodiscard]] virtual bool empty() const = 0;
    [[nodiscard]] virtual std::chrono::steady_clock::time_point not_before() const = 0;
    /// Called with the lock held; releases it while executing and completing.
    virtual void run_batch(Context& context, std::unique_lock<std::mutex>& lock) = 0;

    bool worker_called = false;  ///< And not yet at work: one is enough for what comes meanwhile.
};

/// Shares workers fairly between lanes. A `Context` is what one worker owns and no other touches: a
/// database session. Lanes are added before the first worker starts. Thread safe otherwise.
template <class Context>
class BatchScheduler {
public:
    explicit BatchScheduler(const Clock& clock) : clock_(clock) {}
    BatchScheduler(const BatchScheduler&) = delete;
    BatchScheduler& operator=(const BatchScheduler&) = delete;

    /// Runs one waiting batch on the calling thread; false when nothing is ready.
    bool step(Context& context) {
        std::unique_lock lock(mutex_);
        return step_locked(context, lock);
    }

    /// Works until `stop` is requested and every lane that still makes progress is empty.
    void run(Context& context, const std::stop_token& stop) {
        const std::stop_callback wake(stop, [this] {
            const std::lock_guard lock(mutex_);
            work_arrived_.notify_all();
        });
        std::unique_lock lock(mutex_);
        while (true) {
            if (step_locked(context, lock)) continue;
            if (stop.stop_requested()) return;
            sleep(lock);
        }
    }

    /// True when no lane has anything queued or in execution.
    [[nodiscard]] bool idle() const {
        const std::lock_guard lock(mutex_);
        return executing_ == 0 && std::ranges::all_of(lanes_, [](const auto* lane) { return lane->empty(); });
    }

private:
    template <class C, class Request, class Response>
    friend class Batcher;

    /// Until there is work, the time for a retry has come, or, for one worker while others are at work, it
    /// may be time to join in.
    void sleep(std::unique_lock<std::mutex>& lock) {
        constexpr auto never = std::chrono::steady_clock::time_point::max();
        const bool watches = executing_ > 0 && !watched_;
        const auto now = clock_.steady_now();
        const auto next = std::min(enough_at_work(now) ? never : next_retry(now),
                                   watches ? now + max_batch_company : never);
        ++sleeping_;
        if (watches) watched_ = true;
        if (next == never) {
            work_arrived_.wait(lock);
        } else {
            work_arrived_.wait_for(lock, next - now);
        }
        if (watches) watched_ = false;
        --sleeping_;
        if (called_ > 0) --called_;
    }

    bool step_locked(Context& context, std::unique_lock<std::mutex>& lock) {
        const auto now = clock_.steady_now();
        if (enough_at_work(now)) return false;
        for (std::size_t tried = 0; tried < lanes_.size(); ++tried) {
            next_lane_ = (next_lane_ + 1) % lanes_.size();
            BatchLane<Context>* lane = lanes_[next_lane_];
            if (!lane->ready(now)) continue;
            lane->worker_called = false;
            ++executing_;
            last_progress_ = now;
            lane->run_batch(context, lock);
            --executing_;
            last_progress_ = clock_.steady_now();
            return true;
        }
        return false;
    }

    [[nodiscard]] bool enough_at_work(std::chrono::steady_clock::time_point now) const {
        return executing_ >= eager_workers && now - last_progress_ < max_batch_company;
    }

    /// True when a sleeping worker has to be notified: it has work, and nobody was called for it yet.
    bool call_worker_for(BatchLane<Context>& lane, std::chrono::steady_clock::time_point now) {
        if (lane.worker_called || sleeping_ <= called_ || enough_at_work(now) || !lane.ready(now))
            return false;
        lane.worker_called = true;
        ++called_;
        return true;
    }

    /// For what a worker that begins a batch leaves behind, and to watch over the batch.
    void call_workers(std::chrono::steady_clock::time_point now) {
        for (auto* lane : lanes_) {
            if (call_worker_for(*lane, now)) work_arrived_.notify_one();
        }
        if (!watched_ && called_ == 0 && sleeping_ > 0) {
            ++called_;
            work_arrived_.notify_one();
        }
    }

    /// When a lane becomes ready without anybody's doing.
    [[nodiscard]] std::chrono::steady_clock::time_point next_retry(
        std::chrono::steady_clock::time_point now) const {
        auto next = std::chrono::steady_clock::time_point::max();
        for (const auto* lane : lanes_) {
            if (lane->ready(now)) return now;
            if (!lane->empty() && lane->not_before() > now) next = std::min(next, lane->not_before());
        }
        return next;
    }

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::condition_variable work_arrived_;
    std::vector<BatchLane<Context>*> lanes_;
    std::size_t next_lane_ = 0;
    std::size_t executing_ = 0;                              ///< Batches.
    std::chrono::steady_clock::time_point last_progress_{};  ///< When one began or ended.
    std::size_t sleeping_ = 0;                               ///< Workers that wait for work.
    std::size_t called_ = 0;  ///< Of these, those that were notified and have not woken yet.
    bool watched_ = false;    ///< One of the sleeping wakes by itself to see whether a batch is stuck.
};

/// Collects requests of one kind and executes them together. Bounded in batch size and in queue length.
/// `submit` is thread safe and never blocks; `done` runs exactly once, on a worker's thread (or at once on
/// the caller's when the queue is full) and must not block or throw.
///
/// `execute` gets 1..max_batch requests and returns one result for each, in order. It may be called again
/// with the same requests (after a conflict, or with a part of them after StorageRejected), so it leaves no
/// trace when it throws: one transaction around everything. A request that is refused alone fails alone.
/// `execute` and `report` run on every worker, several at once. Requests that are still queued when the
/// workers have stopped (they wait for a store that cannot be reached) are dropped without an answer.
template <class Context, class Request, class Response>
class Batcher final : public BatchLane<Context> {
public:
    using Completion = absl::AnyInvocable<void(Result<Response>)>;
    using Execute = absl::AnyInvocable<std::vector<Result<Response>>(Context&, std::span<Request>)>;
    /// Told of every failed execution: the exception's text and whether it is final for these requests.
    using Report = absl::AnyInvocable<void(std::string_view what, bool final)>;

    Batcher(BatchScheduler<Context>& scheduler, BatchLimits limits, Execute execute, Report report)
        : scheduler_(scheduler), limits_(limits), execute_(std::move(execute)), report_(std::move(report)) {
        const std::lock_guard lock(scheduler_.mutex_);
        scheduler_.lanes_.push_back(this);
    }

    void submit(Request request, Completion done) {
        std::unique_lock lock(scheduler_.mutex_);
        const auto now = scheduler_.clock_.steady_now();
        if (!has_room()) {
            lock.unlock();
            return done(too_many_waiting());
        }
        requests_.push_back(std::move(request));
        since_.push_back(now);
        completions_.push_back(std::move(done));
        const bool call_worker = scheduler_.call_worker_for(*this, now);
        lock.unlock();
        // Not under the mutex, for which the worker would wait at once.
        if (call_worker) scheduler_.work_arrived_.notify_one();
    }

    /// What `submit` would answer at once if it were called now: to refuse before work is spent on a request.
    [[nodiscard]] std::optional<Error> refusal() const {
        const std::lock_guard lock(scheduler_.mutex_);
        return has_room() ? std::nullopt : std::optional(too_many_waiting());
    }

    [[nodiscard]] std::size_t queued() const {
        const std::lock_guard lock(scheduler_.mutex_);
        return requests_.size();
    }

private:
    using Responses = std::vector<Result<Response>>;

    [[nodiscard]] bool ready(std::chrono::steady_clock::time_point now) const override {
        if (requests_.empty() || now < not_before_) return false;
        return executing_ == 0 || requests_.size() >= limits_.min_parallel_batch ||
               now - since_.front() >= max_batch_company;
    }
    [[nodiscard]] bool empty() const override { return requests_.empty(); }
    [[nodiscard]] std::chrono::steady_clock::time_point not_before() const override { return not_before_; }

    [[nodiscard]] static Error too_many_waiting() {
        return {ErrorCode::overloaded, "Too many requests are waiting.", {}, 1};
    }

    [[nodiscard]] bool has_room() const {
        if (requests_.size() >= limits_.max_queued) return false;
        const std::size_t ahead = requests_.size() + in_hand_;
        return limits_.max_wait.count() == 0 || ahead < std::max(limits_.max_batch / 2, std::size_t{1}) ||
               pace_ * ahead <= limits_.max_wait;
    }

    /// Learns how long one request of many takes. Small batches say nothing about it: they pay the same round
    /// trips for a few.
    void note_pace(std::size_t count, std::chrono::steady_clock::time_point begin) {
        const auto now = scheduler_.clock_.steady_now();
        const std::chrono::nanoseconds took = now - std::max(begin, last_end_);
        last_end_ = now;
        if (count < std::max(limits_.max_batch / 8, std::size_t{1})) return;
        const std::chrono::nanoseconds each = took / static_cast<std::int64_t>(count);
        pace_ = pace_.count() == 0 ? each : pace_ + (each - pace_) / 4;
    }

    void run_batch(Context& context, std::unique_lock<std::mutex>& lock) override {
        const auto count = static_cast<std::ptrdiff_t>(std::min(requests_.size(), limits_.max_batch));
        std::vector<Request> requests(std::make_move_iterator(requests_.begin()),
                                      std::make_move_iterator(requests_.begin() + count));
        std::vector<Completion> completions(std::make_move_iterator(completions_.begin()),
                                            std::make_move_iterator(completions_.begin() + count));
        requests_.erase(requests_.begin(), requests_.begin() + count);
        completions_.erase(completions_.begin(), completions_.begin() + count);
        since_.erase(since_.begin(), since_.begin() + count);
        const std::size_t taken = requests.size();
        ++executing_;
        in_hand_ += taken;
        const auto begin = scheduler_.clock_.steady_now();
        scheduler_.call_workers(begin);
        lock.unlock();
        Responses responses;
        responses.reserve(requests.size());
        try {
            execute_or_split(context, requests, responses);
        } catch (const StorageUnavailable& unavailable) {
            const bool final = limits_.retry_unavailable_after.count() == 0;
            report_(unavailable.what(), final);
            if (final) {
                responses.resize(requests.size(),
                                 Error{ErrorCode::unavailable, "The database cannot be reached.", {}, 1});
            }
        }
        lock.lock();
        // Not any more: who is answered may ask again at once, and should not stand in its own way.
        in_hand_ -= taken;
        lock.unlock();
        // Parts of a split batch that were stored before the store went away are answered, not repeated.
        const std::size_t answered = responses.size();
        for (std::size_t i = 0; i < answered; ++i)
            completions[i](std::move(responses[i]));
        requests.erase(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(answered));
        completions.erase(completions.begin(), completions.begin() + static_cast<std::ptrdiff_t>(answered));
        lock.lock();
        --executing_;
        note_pace(taken, begin);
        if (!requests.empty()) put_back(std::move(requests), std::move(completions));
    }

    /// Executes and appends one response for each request, in order; a batch that the store refuses is halved
    /// until the request at fault stands alone. What was answered before StorageUnavailable stays appended.
    void execute_or_split(Context& context, std::span<Request> requests, Responses& responses) {
        for (int attempt = 0;; ++attempt) {
            std::optional<Responses> executed;
            try {
                executed = execute_(context, requests);
            } catch (const StorageConflict& conflict) {
                const bool final = attempt >= limits_.max_conflict_retries;
                report_(conflict.what(), final);
                if (!final) continue;
                responses.insert(responses.end(), requests.size(),
                                 Error{ErrorCode::unavailable, "The database is too contended.", {}, 1});
                return;
            } catch (const StorageUnavailable&) {
                throw;
            } catch (const std::exception& refused) {
                report_(refused.what(), requests.size() == 1);
                if (requests.size() == 1) {
                    responses.push_back(
                        Error{ErrorCode::internal, "The request could not be stored.", {}, 0});
                    return;
                }
            }
            if (executed) {
                ensure(executed->size() == requests.size(), "a batch answers every request");
                std::ranges::move(*executed, std::back_inserter(responses));
                return;
            }
            const std::size_t half = requests.size() / 2;
            execute_or_split(context, requests.first(half), responses);
            execute_or_split(context, requests.subspan(half), responses);
            return;
        }
    }

    void put_back(std::vector<Request> requests, std::vector<Completion> completions) {
        requests_.insert(requests_.begin(), std::make_move_iterator(requests.begin()),
                         std::make_move_iterator(requests.end()));
        completions_.insert(completions_.begin(), std::make_move_iterator(completions.begin()),
                            std::make_move_iterator(completions.end()));
        const auto now = scheduler_.clock_.steady_now();
        since_.insert(since_.begin(), requests.size(), now);
        not_before_ = now + limits_.retry_unavailable_after;
    }

    BatchScheduler<Context>& scheduler_;
    const BatchLimits limits_;
    Execute execute_;
    Report report_;
    // Guarded by the scheduler's mutex.
    std::deque<Request> requests_;
    std::deque<Completion> completions_;
    std::deque<std::chrono::steady_clock::time_point> since_;  ///< When each of them came.
    std::size_t executing_ = 0;                                ///< Batches.
    std::size_t in_hand_ = 0;                                  ///< Requests of these, not answered.
    std::chrono::nanoseconds pace_{0};                  ///< For one of many requests; 0: not known yet.
    std::chrono::steady_clock::time_point last_end_{};  ///< Of a batch.
    std::chrono::steady_clock::time_point not_before_{};
};

}  // namespace quittance
