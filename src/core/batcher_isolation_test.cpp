// What a batch queue does when its store fails: smaller batches, isolation of single requests, pauses.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "core/batcher.hpp"
#include "core/manual_clock.hpp"

namespace quittance {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

/// A worker that counts what it committed, as a database session does.
struct Worker {
    std::uint64_t committed = 0;
    [[nodiscard]] std::uint64_t commits() const { return committed; }
};

using Responses = std::vector<Result<int>>;

constexpr BatchLimits until_done{.retry_unavailable_after = milliseconds(100)};

class BatcherIsolationTest : public testing::Test {
protected:
    void queue(BatchLimits limits, std::function<void(Worker&, std::span<int>)> store) {
        lane_ = std::make_unique<Batcher<Worker, int, int>>(
            scheduler_, limits,
            [this, store = std::move(store)](Worker& worker, std::span<int> requests) {
                sizes_.push_back(requests.size());
                store(worker, requests);
                return Responses(requests.begin(), requests.end());
            },
            [this](std::string_view what, bool final) { reports_.emplace_back(what, final); });
    }

    void submit_range(int first, int last) {
        for (int request = first; request <= last; ++request) {
            lane_->submit(request, [this, request](Result<int> result) {
                EXPECT_TRUE(answers_.emplace(request, std::move(result)).second) << "answered twice";
            });
        }
    }

    void run_all() {
        while (scheduler_.step(worker_)) {
        }
    }

    /// In steps of `step`, as workers that wake when something is due.
    void run_for(milliseconds time, milliseconds step = milliseconds(1000)) {
        for (milliseconds passed{0}; passed < time; passed += step) {
            run_all();
            clock_.advance(step);
        }
        run_all();
    }

    [[nodiscard]] std::size_t stored() const {
        return static_cast<std::size_t>(
            std::ranges::count_if(answers_, [](const auto& answer) { return answer.second.ok(); }));
    }

    ManualClock clock_;
    std::vector<milliseconds> slept_;
    BatchScheduler<Worker> scheduler_{clock_, nullptr,
                                      [this](milliseconds pause) { slept_.push_back(pause); }};
    Worker worker_;
    std::vector<std::size_t> sizes_;
    std::vector<std::pair<std::string, bool>> reports_;
    std::map<int, Result<int>> answers_;
    std::unique_ptr<Batcher<Worker, int, int>> lane_;
};

bool holds(std::span<const int> requests, int request) {
    return std::ranges::find(requests, request) != requests.end();
}

TEST_F(BatcherIsolationTest, request_that_fails_alone_for_an_hour_while_others_succeed_is_given_up) {
    queue(until_done, [](Worker&, std::span<int> requests) {
        if (holds(requests, 7)) throw StorageUnavailable("XX000: unexpected");
    });
    submit_range(1, 64);
    run_for(minutes(1));
    EXPECT_EQ(stored(), 63U) << "the others do not wait for it";
    for (int minute = 1; minute <= 58; ++minute) {
        submit_range(1000 + minute, 1000 + minute);
        run_for(minutes(1));
    }
    EXPECT_EQ(stored(), 63U + 58U);
    EXPECT_FALSE(answers_.contains(7));
    for (int minute = 59; minute <= 65; ++minute) {
        submit_range(1000 + minute, 1000 + minute);
        run_for(minutes(1));
    }
    ASSERT_TRUE(answers_.contains(7));
    EXPECT_EQ(answers_.at(7).error().code, ErrorCode::given_up);
    EXPECT_NE(answers_.at(7).error().detail.find("XX000: unexpected"), std::string::npos);
    EXPECT_TRUE(scheduler_.idle());
}

TEST_F(BatcherIsolationTest, neighbours_of_a_request_that_fails_alone_wait_for_seconds_only_and_once) {
    queue(until_done, [](Worker&, std::span<int> requests) {
        if (holds(requests, 1)) throw StorageUnavailable("XX000: unexpected");
    });
    submit_range(1, 256);
    run_for(milliseconds(4'000), milliseconds(50));
    EXPECT_EQ(stored(), 255U);
    submit_range(300, 400);
    run_all();
    EXPECT_EQ(stored(), 255U + 101U) << "at once from then on";
}

TEST_F(BatcherIsolationTest, several_requests_that_fail_alone_do_not_hold_up_the_others) {
    queue(until_done, [](Worker&, std::span<int> requests) {
        if (std::ranges::any_of(requests, [](int request) { return request % 10 == 3; }))
            throw StorageUnavailable("XX000: unexpected");
    });
    submit_range(1, 100);
    run_for(minutes(2));
    EXPECT_EQ(stored(), 90U);
    EXPECT_EQ(lane_->queued(), 10U);
}

TEST_F(BatcherIsolationTest, request_is_not_given_up_while_the_store_is_away) {
    bool away = true;
    queue(until_done, [&](Worker&, std::span<int>) {
        if (away) throw StorageUnavailable("gone");
    });
    submit_range(1, 300);
    run_for(hours(5), milliseconds(5'000));
    EXPECT_TRUE(answers_.empty());
    away = false;
    run_for(milliseconds(6'000));
    EXPECT_EQ(stored(), 300U) << "all of them, soon after the store is back";
    EXPECT_TRUE(scheduler_.idle());
}

TEST_F(BatcherIsolationTest, request_that_fails_alone_in_turn_with_other_errors_is_not_given_up) {
    int count = 0;
    queue(until_done, [&](Worker&, std::span<int> requests) {
        if (holds(requests, 7)) throw StorageUnavailable("error " + std::to_string(++count));
    });
    submit_range(7, 7);
    for (int minute = 1; minute <= 180; ++minute) {
        submit_range(1000 + minute, 1000 + minute);
        run_for(minutes(1));
    }
    EXPECT_EQ(stored(), 180U);
    EXPECT_FALSE(answers_.contains(7));
}

TEST_F(BatcherIsolationTest, request_without_neighbours_is_tried_for_ever) {
    queue(until_done, [](Worker&, std::span<int>) { throw StorageUnavailable("XX000: unexpected"); });
    submit_range(1, 1);
    run_for(hours(10), milliseconds(5'000));
    EXPECT_TRUE(answers_.empty());
    EXPECT_GT(sizes_.size(), 500U);
}

TEST_F(BatcherIsolationTest, single_request_is_stored_soon_after_a_long_outage) {
    bool away = true;
    queue(until_done, [&](Worker&, std::span<int>) {
        if (away) throw StorageUnavailable("gone");
    });
    submit_range(1, 1);
    run_for(hours(1));
    away = false;
    run_for(milliseconds(5'000));
    EXPECT_EQ(stored(), 1U);
}

TEST_F(BatcherIsolationTest, pauses_grow_to_the_longest) {
    queue(until_done, [](Worker&, std::span<int>) { throw StorageUnavailable("gone"); });
    submit_range(1, 1000);
    run_for(minutes(10), milliseconds(50));
    // 100, 200, ... 3200 ms and then each 5 s, but for the time that ends between two steps.
    EXPECT_GE(sizes_.size(), 120U);
    EXPECT_LE(sizes_.size(), 127U);
}

TEST_F(BatcherIsolationTest, store_that_takes_few_at_once_gets_few) {
    queue(until_done, [](Worker&, std::span<int> requests) {
        if (requests.size() > 10) throw StorageUnavailable("lost connection during query");
    });
    submit_range(1, 1000);
    run_for(minutes(2));
    EXPECT_EQ(stored(), 1000U);
}

TEST_F(BatcherIsolationTest, limit_of_the_store_halves_the_batch_at_once) {
    queue({}, [](Worker&, std::span<int> requests) {
        if (requests.size() > 10) throw StorageLimitExceeded("packet too large");
    });
    submit_range(1, 256);
    run_all();
    EXPECT_EQ(stored(), 256U);
    EXPECT_TRUE(slept_.empty());
}

TEST_F(BatcherIsolationTest,
       caller_whose_request_alone_exceeds_a_limit_is_told_and_its_neighbours_are_stored) {
    queue({}, [](Worker&, std::span<int> requests) {
        if (holds(requests, 5)) throw StorageLimitExceeded("packet too large");
    });
    submit_range(1, 8);
    run_all();
    EXPECT_EQ(stored(), 7U);
    EXPECT_EQ(answers_.at(5).error().code, ErrorCode::unavailable);
    EXPECT_GT(answers_.at(5).error().retry_after_s, 0);
}

TEST_F(BatcherIsolationTest, callers_of_a_store_that_is_away_are_answered_as_many_at_once_as_before) {
    queue({}, [](Worker&, std::span<int>) { throw StorageUnavailable("gone"); });
    for (int round = 0; round < 5; ++round) {
        submit_range(round * 256, round * 256 + 255);
        run_all();
        EXPECT_EQ(answers_.size(), static_cast<std::size_t>(round + 1) * 256);
    }
    EXPECT_EQ(sizes_, (std::vector<std::size_t>{256, 64, 16, 4, 1}));
}

TEST_F(BatcherIsolationTest, conflicts_without_end_use_up_no_request_of_a_queue_that_tries_for_ever) {
    int conflicts = 60;
    queue(until_done, [&](Worker&, std::span<int>) {
        if (conflicts-- > 0) throw StorageConflict("lock timeout");
    });
    submit_range(1, 3);
    run_for(minutes(2));
    EXPECT_EQ(stored(), 3U);
    EXPECT_TRUE(std::ranges::none_of(reports_, [](const auto& report) { return report.second; }));
}

TEST_F(BatcherIsolationTest, first_conflict_is_repeated_at_once_and_the_next_after_growing_pauses) {
    queue({}, [](Worker&, std::span<int>) { throw StorageConflict("deadlock"); });
    submit_range(1, 1);
    run_all();
    EXPECT_EQ(sizes_.size(), 6U);
    EXPECT_EQ(slept_, (std::vector<milliseconds>{milliseconds(5), milliseconds(10), milliseconds(20),
                                                 milliseconds(40)}));
    EXPECT_EQ(answers_.at(1).error().code, ErrorCode::unavailable);
}

TEST_F(BatcherIsolationTest, exception_after_a_commit_is_not_taken_for_a_refused_batch) {
    queue({}, [](Worker& worker, std::span<int>) {
        ++worker.committed;
        throw std::runtime_error("the bus throws");
    });
    submit_range(1, 8);
    run_all();
    EXPECT_EQ(sizes_, (std::vector<std::size_t>{8})) << "executed again, it would be stored twice";
    EXPECT_EQ(answers_.at(1).error().code, ErrorCode::internal);
}

TEST_F(BatcherIsolationTest, batch_without_memory_is_halved_and_not_refused) {
    queue({}, [](Worker&, std::span<int> requests) {
        if (requests.size() > 2) throw std::bad_alloc();
    });
    submit_range(1, 8);
    run_all();
    EXPECT_EQ(stored(), 8U);
}

}  // namespace
}  // namespace quittance
