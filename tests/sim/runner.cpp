#include "tests/sim/runner.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <span>
#include <stdexcept>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.hpp"

namespace quittance::sim {

namespace {

/// What a worker has done so far, in memory that it shares with us: it outlives the worker.
struct Progress {
    std::uint64_t seeds = 0;
    std::uint64_t current_seed = 0;
    std::uint64_t orders = 0;
    std::uint64_t crashes = 0;
    std::uint64_t digest = 0;
    FaultCounts injected{};
    bool finished = false;
};

/// Spreads the bits, so that the sum over many histories depends on each of them and on no order.
std::uint64_t mixed(std::uint64_t digest, std::uint64_t seed) {
    std::uint64_t x = digest + seed * 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    return x ^ (x >> 27);
}

void work(const Range& range, unsigned worker, Progress& progress) {
    Templates templates;
    for (std::uint64_t seed = range.first + worker; seed < range.first + range.count; seed += range.jobs) {
        progress.current_seed = seed;
        const Outcome outcome = play(make_plan(seed), templates);
        progress.seeds += 1;
        progress.orders += outcome.orders;
        progress.crashes += outcome.crashes;
        progress.digest += mixed(outcome.digest, seed);
        for (std::size_t kind = 0; kind < fault_kinds; ++kind)
            progress.injected[kind] += outcome.injected[kind];
        if (outcome.violation) return;
    }
    progress.finished = true;
}

class SharedProgress {
public:
    explicit SharedProgress(std::size_t workers) : bytes_(workers * sizeof(Progress)) {
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::runtime_error("no memory to share with workers");
        all_ = {new (memory_) Progress[workers], workers};
    }
    ~SharedProgress() { munmap(memory_, bytes_); }
    SharedProgress(const SharedProgress&) = delete;
    SharedProgress& operator=(const SharedProgress&) = delete;

    [[nodiscard]] std::span<Progress> all() { return all_; }

private:
    std::size_t bytes_;
    void* memory_;
    std::span<Progress> all_;
};

Summary sum(std::span<const Progress> all) {
    Summary summary;
    for (const Progress& progress : all) {
        summary.seeds += progress.seeds;
        summary.orders += progress.orders;
        summary.crashes += progress.crashes;
        summary.digest += progress.digest;
        for (std::size_t kind = 0; kind < fault_kinds; ++kind)
            summary.injected[kind] += progress.injected[kind];
        if (progress.finished) continue;
        summary.failed_seed =
            std::min(summary.failed_seed.value_or(progress.current_seed), progress.current_seed);
    }
    return summary;
}

}  // namespace

Summary play_all(const Range& range) {
    const auto started = std::chrono::steady_clock::now();
    SharedProgress progress(range.jobs);
    std::vector<pid_t> workers;
    for (unsigned worker = 0; worker < range.jobs; ++worker) {
        const pid_t pid = fork();
        if (pid < 0) throw std::runtime_error("no worker can be started");
        if (pid == 0) {
            work(range, worker, progress.all()[worker]);
            std::_Exit(0);
        }
        workers.push_back(pid);
    }
    for (const pid_t pid : workers)
        waitpid(pid, nullptr, 0);
    Summary summary = sum(progress.all());
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return summary;
}

}  // namespace quittance::sim
