#include "core/batcher.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "core/manual_clock.hpp"

namespace quittance {
namespace {

using std::chrono::milliseconds;

/// What a worker owns: here, which worker it is.
struct Worker {
    int number = 0;
};

using Scheduler = BatchScheduler<Worker>;
using Lane = Batcher<Worker, int, int>;
using Responses = std::vector<Result<int>>;

Responses doubled(std::span<const int> requests) {
    Responses responses;
    for (const int request : requests)
        responses.emplace_back(2 * request);
    return responses;
}

/// A lane on one thread that notes its batches, its reports and its answers.
class BatcherTest : public testing::Test {
protected:
    Lane& lane(BatchLimits limits, std::function<Responses(std::span<int>)> execute) {
        lane_ = std::make_unique<Lane>(
            scheduler_, limits,
            [this, execute = std::move(execute)](Worker&, std::span<int> requests) {
                batches_.emplace_back(requests.begin(), requests.end());
                return execute(requests);
            },
            [this](std::string_view what, bool final) { reports_.emplace_back(what, final); });
        return *lane_;
    }

    void submit(int request) {
        lane_->submit(request, [this, request](Result<int> result) {
            EXPECT_TRUE(answers_.emplace(request, std::move(result)).second) << "answered twice: " << request;
        });
    }

    void submit_range(int first, int last) {
        for (int request = first; request <= last; ++request)
            submit(request);
    }

    void run_all() {
        while (scheduler_.step(worker_)) {
        }
    }

    [[nodiscard]] std::vector<int> succeeded() const {
        std::vector<int> requests;
        for (const auto& [request, result] : answers_) {
            if (result.ok() && *result == 2 * request) requests.push_back(request);
        }
        return requests;
    }

    ManualClock clock_;
    Scheduler scheduler_{clock_};
    Worker worker_;
    std::vector<std::vector<int>> batches_;
    std::vector<std::pair<std::string, bool>> reports_;
    std::map<int, Result<int>> answers_;
    std::unique_ptr<Lane> lane_;
};

using Batches = std::vector<std::vector<int>>;
using Reports = std::vector<std::pair<std::string, bool>>;

TEST_F(BatcherTest, what_waits_becomes_one_batch_of_bounded_size) {
    lane({.max_batch = 3}, doubled);
    submit_range(1, 5);
    EXPECT_EQ(lane_->queued(), 5U);
    EXPECT_FALSE(scheduler_.idle());
    run_all();
    EXPECT_EQ(batches_, (Batches{{1, 2, 3}, {4, 5}}));
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4, 5}));
    EXPECT_TRUE(scheduler_.idle());
    EXPECT_FALSE(scheduler_.step(worker_));
}

TEST_F(BatcherTest, what_arrives_while_a_batch_executes_becomes_the_next_batch) {
    lane({}, [this](std::span<int> requests) {
        if (requests.front() == 1) submit_range(2, 4);
        return doubled(requests);
    });
    submit(1);
    run_all();
    EXPECT_EQ(batches_, (Batches{{1}, {2, 3, 4}}));
}

TEST_F(BatcherTest, a_full_queue_answers_at_once_that_it_is_overloaded) {
    lane({.max_queued = 2}, doubled);
    submit(1);
    EXPECT_FALSE(lane_->refusal());
    submit_range(2, 3);
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_.at(3).error().code, ErrorCode::overloaded);
    ASSERT_TRUE(lane_->refusal());
    EXPECT_EQ(lane_->refusal()->code, ErrorCode::overloaded);
    EXPECT_GT(answers_.at(3).error().retry_after_s, 0);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2}));
}

TEST_F(BatcherTest, a_lane_that_cannot_keep_up_refuses_quickly_until_it_has_caught_up) {
    lane({.max_batch = 4, .max_wait = milliseconds(100)}, [this](std::span<int> requests) {
        clock_.advance(milliseconds(20) * requests.size());
        return doubled(requests);
    });
    submit_range(1, 4);
    scheduler_.step(worker_);
    // At 20 ms for each, five ahead are the most that a caller waits for.
    submit_range(5, 11);
    ASSERT_EQ(answers_.size(), 5U);
    EXPECT_EQ(answers_.at(11).error().code, ErrorCode::overloaded);
    scheduler_.step(worker_);
    submit(12);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12}));
}

TEST_F(BatcherTest, what_executes_counts_as_ahead) {
    lane({.max_batch = 4, .max_wait = milliseconds(100)}, [this](std::span<int> requests) {
        // The second batch has four in hand: with two queued, a third would wait for too long.
        if (requests.front() == 5) submit_range(9, 11);
        clock_.advance(milliseconds(20) * requests.size());
        return doubled(requests);
    });
    submit_range(1, 4);
    scheduler_.step(worker_);
    submit_range(5, 8);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
    EXPECT_EQ(answers_.at(11).error().code, ErrorCode::overloaded);
}

TEST_F(BatcherTest, who_is_answered_may_ask_again_at_once) {
    lane({.max_batch = 4, .max_wait = milliseconds(100)}, [this](std::span<int> requests) {
        clock_.advance(milliseconds(20) * requests.size());
        return doubled(requests);
    });
    submit_range(1, 4);
    run_all();
    for (int request = 5; request <= 8; ++request) {
        lane_->submit(request, [this, request](Result<int> result) {
            answers_.emplace(request, std::move(result));
            submit(request + 4);
        });
    }
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

TEST_F(BatcherTest, after_a_store_has_hesitated_half_a_batch_fits_and_soon_all_again) {
    milliseconds each(1250);
    lane({.max_batch = 4, .max_wait = milliseconds(100)}, [&](std::span<int> requests) {
        clock_.advance(each * requests.size());
        return doubled(requests);
    });
    submit_range(1, 4);
    run_all();
    submit_range(5, 7);
    EXPECT_EQ(answers_.at(7).error().code, ErrorCode::overloaded);
    each = milliseconds(0);
    int next = 8;
    for (; next < 40; next += 2) {
        run_all();
        submit_range(next, next + 1);
    }
    run_all();
    answers_.clear();
    submit_range(next, next + 3);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{next, next + 1, next + 2, next + 3}));
}

TEST_F(BatcherTest, the_pace_of_single_requests_refuses_nobody) {
    lane({.max_batch = 16, .max_wait = milliseconds(100)}, [this](std::span<int> requests) {
        clock_.advance(milliseconds(1000));
        return doubled(requests);
    });
    submit(1);
    run_all();
    submit_range(2, 12);
    run_all();
    EXPECT_EQ(succeeded().size(), 12U);
}

TEST_F(BatcherTest, a_refused_batch_is_halved_until_the_one_at_fault_fails_alone) {
    lane({}, [](std::span<int> requests) {
        if (std::ranges::find(requests, 6) != requests.end()) throw StorageRejected("no six");
        return doubled(requests);
    });
    submit_range(1, 8);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4, 5, 7, 8}));
    EXPECT_EQ(answers_.at(6).error().code, ErrorCode::internal);
    EXPECT_EQ(batches_,
              (Batches{{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4}, {5, 6, 7, 8}, {5, 6}, {5}, {6}, {7, 8}}));
    EXPECT_EQ(reports_.back(), (std::pair<std::string, bool>("no six", true)));
}

TEST_F(BatcherTest, every_fault_of_a_batch_fails_alone) {
    lane({}, [](std::span<int> requests) {
        for (const int request : requests) {
            if (request % 3 == 0) throw std::runtime_error("no multiple of three");
        }
        return doubled(requests);
    });
    submit_range(1, 9);
    run_all();
    EXPECT_EQ(answers_.size(), 9U);
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 4, 5, 7, 8}));
}

TEST_F(BatcherTest, a_conflict_is_tried_again_with_the_same_batch) {
    int conflicts = 2;
    lane({}, [&](std::span<int> requests) {
        if (conflicts-- > 0) throw StorageConflict("deadlock");
        return doubled(requests);
    });
    submit_range(1, 2);
    run_all();
    EXPECT_EQ(batches_, (Batches{{1, 2}, {1, 2}, {1, 2}}));
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2}));
    EXPECT_EQ(reports_, (Reports{{"deadlock", false}, {"deadlock", false}}));
}

TEST_F(BatcherTest, conflicts_without_end_are_answered_unavailable) {
    lane({.max_conflict_retries = 3}, [](std::span<int>) -> Responses { throw StorageConflict("deadlock"); });
    submit_range(1, 2);
    run_all();
    EXPECT_EQ(batches_.size(), 4U);
    EXPECT_EQ(answers_.at(1).error().code, ErrorCode::unavailable);
    EXPECT_EQ(answers_.at(2).error().code, ErrorCode::unavailable);
    EXPECT_TRUE(reports_.back().second);
}

TEST_F(BatcherTest, a_store_out_of_reach_is_answered_unavailable) {
    lane({}, [](std::span<int>) -> Responses { throw StorageUnavailable("gone"); });
    submit_range(1, 2);
    run_all();
    EXPECT_EQ(batches_.size(), 1U);
    EXPECT_EQ(answers_.at(1).error().code, ErrorCode::unavailable);
    EXPECT_GT(answers_.at(2).error().retry_after_s, 0);
    EXPECT_EQ(reports_, (Reports{{"gone", true}}));
}

TEST_F(BatcherTest, a_lane_that_must_not_lose_anything_waits_for_its_store) {
    int outages = 2;
    lane({.retry_unavailable_after = milliseconds(100)}, [&](std::span<int> requests) {
        if (outages-- > 0) throw StorageUnavailable("gone");
        return doubled(requests);
    });
    submit_range(1, 2);
    run_all();
    EXPECT_EQ(batches_.size(), 1U);
    EXPECT_TRUE(answers_.empty());
    EXPECT_EQ(lane_->queued(), 2U);
    submit(3);
    clock_.advance(milliseconds(99));
    EXPECT_FALSE(scheduler_.step(worker_));
    clock_.advance(milliseconds(1));
    run_all();
    EXPECT_EQ(batches_.size(), 2U);
    // The pause has grown.
    clock_.advance(milliseconds(199));
    EXPECT_FALSE(scheduler_.step(worker_));
    clock_.advance(milliseconds(1));
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3}));
    EXPECT_TRUE(scheduler_.idle());
    EXPECT_EQ(reports_, (Reports{{"gone", false}, {"gone", false}}));
}

TEST_F(BatcherTest, the_stored_part_of_a_split_batch_is_not_executed_again_after_an_outage) {
    bool outage = true;
    std::vector<int> stored;
    lane({.retry_unavailable_after = milliseconds(100)}, [&](std::span<int> requests) {
        if (requests.size() > 2) throw StorageRejected("halve");
        if (requests.front() == 3 && std::exchange(outage, false)) throw StorageUnavailable("gone");
        stored.insert(stored.end(), requests.begin(), requests.end());
        return doubled(requests);
    });
    submit_range(1, 4);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2}));
    clock_.advance(milliseconds(100));
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2, 3, 4}));
    EXPECT_EQ(stored, (std::vector<int>{1, 2, 3, 4}));
}

TEST_F(BatcherTest, the_stored_part_of_a_split_batch_is_answered_as_stored_when_the_rest_is_not) {
    lane({}, [&](std::span<int> requests) {
        if (requests.size() > 2) throw StorageRejected("halve");
        if (requests.front() == 3) throw StorageUnavailable("gone");
        return doubled(requests);
    });
    submit_range(1, 4);
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{1, 2}));
    EXPECT_EQ(answers_.at(3).error().code, ErrorCode::unavailable);
    EXPECT_EQ(answers_.at(4).error().code, ErrorCode::unavailable);
}

TEST_F(BatcherTest, a_completion_may_submit_again) {
    lane({}, doubled);
    lane_->submit(1, [this](const Result<int>&) { submit(2); });
    run_all();
    EXPECT_EQ(succeeded(), (std::vector<int>{2}));
}

/// A lane whose first batch plays `meanwhile` while it executes; steps in there are those of a second worker.
class SecondWorkerTest : public BatcherTest {
protected:
    void while_a_batch_executes(std::function<void()> meanwhile) {
        lane({.min_parallel_batch = 3}, [meanwhile = std::move(meanwhile)](std::span<int> requests) {
            if (requests.front() == 1) meanwhile();
            return doubled(requests);
        });
        submit(1);
        run_all();
    }
};

TEST_F(SecondWorkerTest, joins_in_when_enough_wait) {
    while_a_batch_executes([this] {
        submit_range(2, 3);
        EXPECT_FALSE(scheduler_.step(worker_));
        submit(4);
        EXPECT_TRUE(scheduler_.step(worker_));
    });
    EXPECT_EQ(batches_, (Batches{{1}, {2, 3, 4}}));
}

TEST_F(SecondWorkerTest, joins_in_when_the_batch_before_seems_to_be_stuck) {
    while_a_batch_executes([this] {
        submit(2);
        clock_.advance(max_batch_company - milliseconds(1));
        EXPECT_FALSE(scheduler_.step(worker_));
        clock_.advance(milliseconds(1));
        EXPECT_TRUE(scheduler_.step(worker_));
    });
    EXPECT_EQ(batches_, (Batches{{1}, {2}}));
}

TEST(BatchSchedulerTest, a_third_worker_joins_in_only_when_the_two_at_work_seem_to_be_stuck) {
    ManualClock clock;
    Scheduler scheduler(clock);
    Worker worker;
    std::vector<int> begun;
    std::vector<std::unique_ptr<Lane>> lanes;
    // Each batch lets the next worker try, so that the batches stand inside each other.
    for (int number = 1; number <= 3; ++number) {
        lanes.push_back(std::make_unique<Lane>(
            scheduler, BatchLimits{},
            [&](Worker&, std::span<int> requests) {
                begun.push_back(requests.front());
                if (begun.size() == 1) {
                    EXPECT_TRUE(scheduler.step(worker));
                } else if (begun.size() == eager_workers) {
                    clock.advance(max_batch_company - milliseconds(1));
                    EXPECT_FALSE(scheduler.step(worker));
                    clock.advance(milliseconds(1));
                    EXPECT_TRUE(scheduler.step(worker));
                }
                return doubled(requests);
            },
            [](auto, auto) {}));
        lanes.back()->submit(number, [](const Result<int>&) {});
    }
    EXPECT_TRUE(scheduler.step(worker));
    EXPECT_EQ(begun.size(), 3U);
}

TEST(BatchSchedulerTest, lanes_take_turns) {
    const ManualClock clock;
    Scheduler scheduler(clock);
    std::string order;
    const auto noting = [&order](char name) {
        return [&order, name](Worker&, std::span<int> requests) {
            order += name;
            return doubled(requests);
        };
    };
    Lane first(scheduler, {.max_batch = 1}, noting('a'), [](auto, auto) {});
    Lane second(scheduler, {.max_batch = 1}, noting('b'), [](auto, auto) {});
    for (int i = 0; i < 3; ++i) {
        first.submit(i, [](const Result<int>&) {});
        second.submit(i, [](const Result<int>&) {});
    }
    Worker worker;
    while (scheduler.step(worker)) {
    }
    EXPECT_TRUE(order == "ababab" || order == "bababa") << order;
}

TEST(BatchSchedulerTest, several_workers_answer_every_request_of_many_threads_exactly_once) {
    const SystemClock clock;
    Scheduler scheduler(clock);
    constexpr int threads = 4;
    constexpr int each = 5'000;
    std::atomic<int> executed = 0;
    std::atomic<int> answered = 0;
    Lane lane(
        scheduler, {.max_batch = 64, .max_queued = threads * each},
        [&](Worker&, std::span<int> requests) {
            executed += static_cast<int>(requests.size());
            return doubled(requests);
        },
        [](auto, auto) {});
    std::vector<std::jthread> workers;
    for (int i = 0; i < 3; ++i) {
        workers.emplace_back([&, i](const std::stop_token& stop) {
            Worker worker{i};
            scheduler.run(worker, stop);
        });
    }
    {
        std::vector<std::jthread> senders;
        for (int sender = 0; sender < threads; ++sender) {
            senders.emplace_back([&] {
                for (int i = 0; i < each; ++i) {
                    lane.submit(i, [&, i](const Result<int>& result) {
                        if (result.ok() && *result == 2 * i) ++answered;
                    });
                }
            });
        }
    }
    workers.clear();  // Asks each to stop: what is queued is still done.
    EXPECT_EQ(executed, threads * each);
    EXPECT_EQ(answered, threads * each);
    EXPECT_TRUE(scheduler.idle());
}

TEST(BatchSchedulerTest, a_stuck_batch_holds_nobody_up_while_there_are_other_workers) {
    const SystemClock clock;
    Scheduler scheduler(clock);
    std::promise<void> stuck;
    std::promise<void> may_go_on;
    std::promise<void> answered;
    Lane lane(
        scheduler, {},
        [&](Worker&, std::span<int> requests) {
            if (requests.front() == 1) {
                stuck.set_value();
                may_go_on.get_future().wait();
            }
            return doubled(requests);
        },
        [](auto, auto) {});
    std::vector<std::jthread> workers;
    for (int i = 0; i < 2; ++i) {
        workers.emplace_back([&](const std::stop_token& stop) {
            Worker worker;
            scheduler.run(worker, stop);
        });
    }
    lane.submit(1, [](const Result<int>&) {});
    stuck.get_future().wait();
    lane.submit(2, [&](const Result<int>&) { answered.set_value(); });
    EXPECT_EQ(answered.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    may_go_on.set_value();
}

TEST(BatchSchedulerTest, workers_drain_what_is_queued_before_they_stop) {
    const SystemClock clock;
    Scheduler scheduler(clock);
    std::promise<void> may_go_on;
    std::atomic<int> answered = 0;
    Lane lane(
        scheduler, {.max_batch = 2},
        [&, waiting = may_go_on.get_future().share()](Worker&, std::span<int> requests) {
            waiting.wait();
            return doubled(requests);
        },
        [](auto, auto) {});
    std::jthread worker([&](const std::stop_token& stop) {
        Worker context;
        scheduler.run(context, stop);
    });
    for (int i = 0; i < 7; ++i)
        lane.submit(i, [&](const Result<int>&) { ++answered; });
    worker.request_stop();
    may_go_on.set_value();
    worker.join();
    EXPECT_EQ(answered, 7);
}

TEST(BatchSchedulerTest, workers_stop_although_a_lane_waits_for_its_store) {
    const SystemClock clock;
    Scheduler scheduler(clock);
    std::promise<void> failed_once;
    Lane lane(
        scheduler, {.retry_unavailable_after = std::chrono::hours(1)},
        [](Worker&, std::span<int>) -> Responses { throw StorageUnavailable("gone"); },
        [&](auto, auto) { failed_once.set_value(); });
    std::jthread worker([&](const std::stop_token& stop) {
        Worker context;
        scheduler.run(context, stop);
    });
    lane.submit(1, [](const Result<int>&) {});
    failed_once.get_future().wait();
    worker.request_stop();
    worker.join();
    EXPECT_EQ(lane.queued(), 1U);
}

TEST(BatchSchedulerTest, a_worker_wakes_by_itself_when_a_retry_is_due) {
    const SystemClock clock;
    Scheduler scheduler(clock);
    std::promise<void> answered;
    bool outage = true;
    Lane lane(
        scheduler, {.retry_unavailable_after = milliseconds(10)},
        [&](Worker&, std::span<int> requests) {
            if (std::exchange(outage, false)) throw StorageUnavailable("gone");
            return doubled(requests);
        },
        [](auto, auto) {});
    const std::jthread worker([&](const std::stop_token& stop) {
        Worker context;
        scheduler.run(context, stop);
    });
    lane.submit(1, [&](const Result<int>&) { answered.set_value(); });
    EXPECT_EQ(answered.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

}  // namespace
}  // namespace quittance
