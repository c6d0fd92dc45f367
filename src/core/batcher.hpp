// The bridge between asynchronous callers and a few synchronous workers, and the reason for our speed:
// what waits while one batch commits becomes the next batch.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/backoff.hpp"
#include "core/batch_scheduler.hpp"
#include "core/error.hpp"

namespace quittance {

/// Collects requests of one kind and executes them together. Bounded in batch size and in queue length.
/// `submit` is thread safe and never blocks; `done` runs exactly once, on a worker's thread (or at once on
/// the caller's when the queue is full) and must not block or throw.
///
/// `execute` gets 1..max_batch requests and returns one result for each, in order. It may be called again
/// with the same requests (after a conflict, or with a part of them after StorageRejected), so it leaves no
/// trace when it throws: one transaction around everything, and nothing that throws after its commit. Should
/// it throw after a commit all the same, it is not called again: a context that has `commits()` tells. A
/// request that is refused alone fails alone.
///
/// After StorageUnavailable the next batches are a quarter as large, down to one request, and double again
/// with each success, because a store may be unable to take many at once, or one of them. With
/// `retry_unavailable_after`, a request that fails alone is set aside: it is executed alone from then on,
/// after pauses of its own, and does not hold up the others.
///
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
        : scheduler_(scheduler),
          limits_(limits),
          execute_(std::move(execute)),
          report_(std::move(report)),
          batch_now_(limits.max_batch),
          attempts_({limits.retry_unavailable_after, limits.longest_retry_pause}) {
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
        return requests_.size() + isolated_.size();
    }

private:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Responses = std::vector<Result<Response>>;

    /// A request that failed alone.
    struct Isolated {
        Request request;
        Completion done;
        Backoff attempts;
        std::string what;             ///< Of its last failure.
        TimePoint failed_at{};        ///< Its last failure.
        std::uint64_t successes = 0;  ///< Of the others, before that.
        /// Time in which it failed with this error and others succeeded.
        std::chrono::milliseconds blamed{};
    };

    /// How the execution of a batch ended.
    struct Execution {
        Responses responses;
        std::size_t failed = 0;  ///< Requests of the execution that threw StorageUnavailable; 0: none did.
        std::string what;        ///< Of that exception.
        bool succeeded = false;  ///< At least one execution committed.
        bool limited = false;    ///< One was halved because of a limit of the store.
    };

    [[nodiscard]] bool retries() const { return limits_.retry_unavailable_after.count() > 0; }

    [[nodiscard]] bool ready(TimePoint now) const override {
        if (!attempts_.due(now)) return false;
        if (!isolated_.empty() && next_isolated(now) != isolated_.end()) return true;
        if (requests_.empty()) return false;
        return executing_ == 0 || requests_.size() >= limits_.min_parallel_batch ||
               now - since_.front() >= max_batch_company;
    }
    [[nodiscard]] bool empty() const override { return requests_.empty() && isolated_.empty(); }
    [[nodiscard]] TimePoint not_before() const override {
        if (!requests_.empty() || isolated_.empty()) return attempts_.not_before();
        auto next = TimePoint::max();
        for (const Isolated& one : isolated_)
            next = std::min(next, std::max(one.attempts.not_before(), attempts_.not_before()));
        return next;
    }

    /// While the store seems to be away, the queue tells as well whether it is back, and loses less time.
    [[nodiscard]] auto next_isolated(TimePoint now) const {
        if (attempts_.failures() > 0 && !requests_.empty()) return isolated_.end();
        return std::ranges::find_if(isolated_, [now](const Isolated& one) { return one.attempts.due(now); });
    }

    [[nodiscard]] static Error too_many_waiting() {
        return {ErrorCode::overloaded, "Too many requests are waiting.", {}, 1};
    }
    [[nodiscard]] static Error unavailable() {
        return {ErrorCode::unavailable, "The database does not take this at present; try again.", {}, 1};
    }

    [[nodiscard]] bool has_room() const {
        if (requests_.size() + isolated_.size() >= limits_.max_queued) return false;
        const std::size_t ahead = requests_.size() + in_hand_;
        return limits_.max_wait.count() == 0 || ahead < std::max(limits_.max_batch / 2, std::size_t{1}) ||
               pace_ * ahead <= limits_.max_wait;
    }

    /// Learns how long one request of many takes. Small batches say nothing about it: they pay the same round
    /// trips for a few.
    void note_pace(std::size_t count, TimePoint begin) {
        const auto now = scheduler_.clock_.steady_now();
        const std::chrono::nanoseconds took = now - std::max(begin, last_end_);
        last_end_ = now;
        if (count < std::max(limits_.max_batch / 8, std::size_t{1})) return;
        const std::chrono::nanoseconds each = took / static_cast<std::int64_t>(count);
        pace_ = pace_.count() == 0 ? each : pace_ + (each - pace_) / 4;
    }

    void run_batch(Context& context, std::unique_lock<std::mutex>& lock) override {
        const auto begin = scheduler_.clock_.steady_now();
        if (!isolated_.empty()) {
            const auto due = next_isolated(begin);
            if (due != isolated_.end()) return run_isolated(context, lock, due);
        }
        const auto count = static_cast<std::ptrdiff_t>(std::min(requests_.size(), limits_.max_batch));
        std::vector<Request> requests(std::make_move_iterator(requests_.begin()),
                                      std::make_move_iterator(requests_.begin() + count));
        std::vector<Completion> completions(std::make_move_iterator(completions_.begin()),
                                            std::make_move_iterator(completions_.begin() + count));
        requests_.erase(requests_.begin(), requests_.begin() + count);
        completions_.erase(completions_.begin(), completions_.begin() + count);
        since_.erase(since_.begin(), since_.begin() + count);
        const std::size_t taken = requests.size();
        std::size_t batch_now = batch_now_;
        ++executing_;
        in_hand_ += taken;
        scheduler_.call_workers(begin);
        lock.unlock();
        Execution execution = execute_in_parts(context, requests, batch_now);
        Responses& responses = execution.responses;
        if (execution.failed > 0 && !retries()) responses.resize(requests.size(), unavailable());
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
        batch_now_ = batch_now;
        if (execution.succeeded) note_success();
        if (!requests.empty()) keep(std::move(requests), std::move(completions), execution);
    }

    /// Executes all, at first `part` at a time, until the store is unavailable. Leaves in `part` what to
    /// begin with the next time.
    Execution execute_in_parts(Context& context, std::span<Request> requests, std::size_t& part) {
        Execution execution;
        execution.responses.reserve(requests.size());
        while (execution.responses.size() < requests.size()) {
            const auto rest = requests.subspan(execution.responses.size());
            try {
                execute_or_split(context, rest.first(std::min(part, rest.size())), execution);
            } catch (const StorageUnavailable& unavailable) {
                report_(unavailable.what(), !retries());
                execution.what = unavailable.what();
                part = std::max(execution.failed / 4, std::size_t{1});
                return execution;
            }
            execution.failed = 0;
            part = execution.limited ? std::max(part / 2, std::size_t{1})
                                     : std::min(part * 2, limits_.max_batch);
            execution.limited = false;
        }
        return execution;
    }

    /// Executes and appends one response for each request, in order; a batch that the store refuses is halved
    /// until the request at fault stands alone. What was answered before StorageUnavailable stays appended.
    void execute_or_split(Context& context, std::span<Request> requests, Execution& execution) {
        const auto commits = commits_of(context);
        std::optional<Responses> executed;
        execution.failed = requests.size();
        try {
            executed = execute_through_conflicts(context, requests);
        } catch (const StorageLimitExceeded& exceeded) {
            if (requests.size() > 1) {
                execution.limited = true;
                return split(context, requests, execution, exceeded.what());
            }
            // The others need not wait for it.
            if (retries()) throw;
            report_(exceeded.what(), true);
            execution.responses.push_back(unavailable());
            return;
        } catch (const StorageUnavailable&) {
            throw;
        } catch (const std::bad_alloc&) {
            if (requests.size() > 1) return split(context, requests, execution, "out of memory");
            throw StorageUnavailable("out of memory");
        } catch (const std::exception& refused) {
            // Executed again, what was committed would be done twice.
            const bool committed = commits_of(context) != commits;
            if (requests.size() > 1 && !committed) return split(context, requests, execution, refused.what());
            report_(refused.what(), true);
            execution.responses.insert(execution.responses.end(), requests.size(),
                                       Error{ErrorCode::internal, "The request could not be stored.", {}, 0});
            return;
        }
        ensure(executed->size() == requests.size(), "a batch has one result for each request");
        std::ranges::move(*executed, std::back_inserter(execution.responses));
        execution.succeeded = true;
    }

    void split(Context& context, std::span<Request> requests, Execution& execution, std::string_view why) {
        report_(why, false);
        const std::size_t half = requests.size() / 2;
        execute_or_split(context, requests.first(half), execution);
        execute_or_split(context, requests.subspan(half), execution);
    }

    Responses execute_through_conflicts(Context& context, std::span<Request> requests) {
        for (int conflicts = 1;; ++conflicts) {
            try {
                return execute_(context, requests);
            } catch (const StorageConflict& conflict) {
                if (conflicts > limits_.max_conflict_retries) throw StorageUnavailable(conflict.what());
                report_(conflict.what(), false);
            }
            scheduler_.pause_after_conflict(conflicts);
        }
    }

    [[nodiscard]] static std::uint64_t commits_of(const Context& context) {
        if constexpr (requires { context.commits(); }) {
            return context.commits();
        } else {
            return 0;
        }
    }

    void note_success() {
        ++successes_;
        if (attempts_.failures() == 0) return;
        attempts_.succeeded();
        // These failed while the store was away: perhaps not by their own fault.
        for (Isolated& one : isolated_) {
            if (one.blamed.count() == 0) one.attempts.succeeded();
        }
    }

    /// After StorageUnavailable: what was not executed stays queued, and the first, if it failed alone, is
    /// set aside.
    void keep(std::vector<Request> requests, std::vector<Completion> completions,
              const Execution& execution) {
        scheduler_.note_failure(attempts_);
        std::ptrdiff_t first = 0;
        if (execution.failed == 1) {
            Isolated one{std::move(requests.front()),
                         std::move(completions.front()),
                         Backoff({limits_.retry_unavailable_after, limits_.longest_retry_pause}),
                         {},
                         {},
                         0,
                         {}};
            // It has cost the queue enough: the others need not wait for a store that took others just now.
            if (execution.succeeded) attempts_.succeeded();
            blame(one, execution.what);
            isolated_.push_back(std::move(one));
            first = 1;
        }
        requests_.insert(requests_.begin(), std::make_move_iterator(requests.begin() + first),
                         std::make_move_iterator(requests.end()));
        completions_.insert(completions_.begin(), std::make_move_iterator(completions.begin() + first),
                            std::make_move_iterator(completions.end()));
        const auto now = scheduler_.clock_.steady_now();
        since_.insert(since_.begin(), requests.size() - static_cast<std::size_t>(first), now);
    }

    void blame(Isolated& one, const std::string& what) {
        const auto now = scheduler_.clock_.steady_now();
        if (one.what != what) {
            one.blamed = {};
        } else if (successes_ > one.successes) {
            one.blamed += std::chrono::duration_cast<std::chrono::milliseconds>(now - one.failed_at);
        }
        one.what = what;
        one.failed_at = now;
        one.successes = successes_;
        // Without blame it is the store that is waited for, as the queue does.
        one.attempts.set_longest(one.blamed.count() > 0 ? longest_isolation_pause
                                                        : limits_.longest_retry_pause);
        scheduler_.note_failure(one.attempts);
    }

    void run_isolated(Context& context, std::unique_lock<std::mutex>& lock,
                      typename std::vector<Isolated>::const_iterator at) {
        Isolated one = std::move(isolated_[static_cast<std::size_t>(at - isolated_.cbegin())]);
        isolated_.erase(at);
        ++executing_;
        ++in_hand_;
        lock.unlock();
        std::size_t alone = 1;
        Execution execution = execute_in_parts(context, std::span(&one.request, 1), alone);
        lock.lock();
        --in_hand_;
        --executing_;
        if (execution.failed > 0) {
            // Others succeed: only this one waits.
            if (attempts_.failures() > 0) scheduler_.note_failure(attempts_);
            blame(one, execution.what);
            if (one.blamed < limits_.give_up_after) {
                isolated_.push_back(std::move(one));
                return;
            }
        } else if (execution.succeeded) {
            note_success();
        }
        lock.unlock();
        if (execution.failed > 0) {
            report_(one.what, true);
            execution.responses.push_back(
                Error{ErrorCode::given_up,
                      "Failed alone while others succeeded, for too long: " + one.what,
                      {},
                      0});
        }
        one.done(std::move(execution.responses.front()));
        lock.lock();
    }

    BatchScheduler<Context>& scheduler_;
    const BatchLimits limits_;
    Execute execute_;
    Report report_;
    // Guarded by the scheduler's mutex.
    std::deque<Request> requests_;
    std::deque<Completion> completions_;
    std::deque<TimePoint> since_;       ///< When each of them came.
    std::size_t executing_ = 0;         ///< Batches.
    std::size_t in_hand_ = 0;           ///< Requests of these, not answered.
    std::chrono::nanoseconds pace_{0};  ///< For one of many requests; 0: not known yet.
    TimePoint last_end_{};              ///< Of a batch.
    std::size_t batch_now_;             ///< What one execution begins with; see above.
    Backoff attempts_;                  ///< Executions that found the store unavailable, in a row.
    std::uint64_t successes_ = 0;       ///< Executions.
    std::vector<Isolated> isolated_;    ///< Few: one for each batch that failed while it had one request.
};

}  // namespace quittance
