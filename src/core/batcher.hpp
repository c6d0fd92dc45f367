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
    /// For callers who wait. When more than a whole batch is queued and the first request of the queue has
    /// waited this long, the lane cannot keep up and `submit` answers `overloaded`: better a quick refusal
    /// than an answer that nobody waits for any more. A store that merely hesitates refuses nobody, because
    /// few can gather meanwhile. Zero: no such limit.
    std::chrono::milliseconds max_wait{0};
    int max_conflict_retries = 5;  ///< Executions repeated after StorageConflict before giving up.
    /// Zero: StorageUnavailable is answered to the caller. Otherwise the requests stay queued and are tried
    /// again after this pause, for as long as it takes (consumers that must not lose their message).
    std::chrono::milliseconds retry_unavailable_after{0};
};

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
    [[nodiscard]] virtual bool ready(std::chrono::steady_clock::time_point now) const = 0;
    [[nodiscard]] virtual bool empty() const = 0;
    [[nodiscard]] virtual std::chrono::steady_clock::time_point not_before() const = 0;
    /// Called with the lock held; releases it while executing and completing.
    virtual void run_batch(Context& context, std::unique_lock<std::mutex>& lock) = 0;
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
            const auto next = next_retry();
            if (next == std::chrono::steady_clock::time_point::max()) {
                work_arrived_.wait(lock);
            } else {
                work_arrived_.wait_for(lock, next - clock_.steady_now());
            }
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

    bool step_locked(Context& context, std::unique_lock<std::mutex>& lock) {
        const auto now = clock_.steady_now();
        for (std::size_t tried = 0; tried < lanes_.size(); ++tried) {
            next_lane_ = (next_lane_ + 1) % lanes_.size();
            BatchLane<Context>* lane = lanes_[next_lane_];
            if (!lane->ready(now)) continue;
            ++executing_;
            lane->run_batch(context, lock);
            --executing_;
            return true;
        }
        return false;
    }

    [[nodiscard]] std::chrono::steady_clock::time_point next_retry() const {
        auto next = std::chrono::steady_clock::time_point::max();
        for (const auto* lane : lanes_) {
            if (!lane->empty()) next = std::min(next, lane->not_before());
        }
        return next;
    }

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::condition_variable work_arrived_;
    std::vector<BatchLane<Context>*> lanes_;
    std::size_t next_lane_ = 0;
    std::size_t executing_ = 0;
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
        {
            const std::lock_guard lock(scheduler_.mutex_);
            const auto now = scheduler_.clock_.steady_now();
            if (has_room(now)) {
                requests_.push_back(std::move(request));
                since_.push_back(now);
                completions_.push_back(std::move(done));
                scheduler_.work_arrived_.notify_one();
                return;
            }
        }
        done(Error{ErrorCode::overloaded, "Too many requests are waiting.", {}, 1});
    }

    [[nodiscard]] std::size_t queued() const {
        const std::lock_guard lock(scheduler_.mutex_);
        return requests_.size();
    }

private:
    using Responses = std::vector<Result<Response>>;

    [[nodiscard]] bool ready(std::chrono::steady_clock::time_point now) const override {
        return !requests_.empty() && now >= not_before_;
    }
    [[nodiscard]] bool empty() const override { return requests_.empty(); }
    [[nodiscard]] std::chrono::steady_clock::time_point not_before() const override { return not_before_; }

    [[nodiscard]] bool has_room(std::chrono::steady_clock::time_point now) const {
        if (requests_.size() >= limits_.max_queued) return false;
        const bool keeps_up = limits_.max_wait.count() == 0 || requests_.size() <= limits_.max_batch ||
                              now - since_.front() < limits_.max_wait;
        return keeps_up;
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
        // Parts of a split batch that were stored before the store went away are answered, not repeated.
        const std::size_t answered = responses.size();
        for (std::size_t i = 0; i < answered; ++i)
            completions[i](std::move(responses[i]));
        requests.erase(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(answered));
        completions.erase(completions.begin(), completions.begin() + static_cast<std::ptrdiff_t>(answered));
        lock.lock();
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
    std::chrono::steady_clock::time_point not_before_{};
};

}  // namespace quittance
