// The workers of batch queues: which of them takes up which queue, and when.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "core/backoff.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"

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
    /// Executions repeated after StorageConflict, the first at once, before it counts as StorageUnavailable.
    int max_conflict_retries = 5;
    /// Zero: StorageUnavailable is answered to the caller. Otherwise the requests stay queued and are tried
    /// again after this pause, which grows up to `longest_retry_pause`, for as long as it takes (consumers
    /// that must not lose their message).
    std::chrono::milliseconds retry_unavailable_after{0};
    std::chrono::milliseconds longest_retry_pause{5'000};
    /// With `retry_unavailable_after`: a request that fails alone, always with the same error, while others
    /// of its queue succeed, is answered `given_up` when that has gone on for this long.
    std::chrono::milliseconds give_up_after{std::chrono::hours(1)};
};

/// Between executions that are repeated after StorageConflict: others hold locks for as long as a transaction
/// takes.
inline constexpr BackoffLimits conflict_pause{.first = std::chrono::milliseconds{5},
                                              .longest = std::chrono::milliseconds{80}};

/// How long a request that fails alone while others succeed waits for its next execution at the most.
inline constexpr std::chrono::milliseconds longest_isolation_pause{60'000};

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
    /// Holds a worker up for a moment.
    using Sleep = std::function<void(std::chrono::milliseconds)>;

    /// Without `random`, pauses have no jitter; without `sleep`, a worker repeats a conflict at once.
    explicit BatchScheduler(const Clock& clock, Random* random = nullptr, Sleep sleep = {})
        : clock_(clock), random_(random), sleep_(std::move(sleep)) {}
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

    /// Before the execution that follows `conflicts` conflicts in a row.
    void pause_after_conflict(int conflicts) {
        if (!sleep_ || conflicts < 2) return;
        sleep_(random_ == nullptr ? backoff_without_jitter(conflict_pause, conflicts - 1)
                                  : backoff(conflict_pause, conflicts - 1, *random_));
    }

    void note_failure(Backoff& attempts) {
        const auto now = clock_.steady_now();
        random_ == nullptr ? attempts.failed(now) : attempts.failed(now, *random_);
    }

    const Clock& clock_;
    Random* const random_;
    const Sleep sleep_;
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

}  // namespace quittance
