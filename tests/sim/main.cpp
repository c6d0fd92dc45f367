// `sim`: plays seeds, and tells the story of the first one that breaks a promise.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "telemetry/log.hpp"
#include "tests/sim/report.hpp"

namespace {

using namespace quittance::sim;

/// Of a file in which each line begins with a seed; what follows it is for people.
std::vector<std::uint64_t> pinned_seeds(const std::string& file) {
    std::ifstream lines(file);
    std::vector<std::uint64_t> seeds;
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.front() != '#') seeds.push_back(std::stoull(line));
    }
    return seeds;
}

/// True when nothing was broken.
bool play(const Range& range, const std::string& commit) {
    const Summary summary = play_all(range);
    print_summary(std::cout, summary);
    if (summary.failed_seed) print_violation(std::cout, *summary.failed_seed, commit);
    return !summary.failed_seed;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Plays both services under seeded time, order and faults, and checks what they promise");
    Range range{.first = 1, .count = 2000, .jobs = 1};
    std::string commit = "unknown";
    std::string pinned;
    bool story = false;
    bool logs = false;
    app.add_option("--seeds", range.count, "How many")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--first", range.first, "The first seed")->capture_default_str();
    app.add_option("--jobs", range.jobs, "Processes that share them")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    app.add_option("--commit", commit, "What was built; printed with a violation");
    app.add_option("--pinned", pinned, "A file of seeds to play instead")->check(CLI::ExistingFile);
    app.add_flag("--story", story, "Print plan and history of the first seed, and nothing else");
    app.add_flag("--logs", logs, "Let the services log to standard error");
    CLI11_PARSE(app, argc, argv);

    quittance::log::initialize(quittance::log::Level::error, quittance::log::Format::human);
    // The services complain about every fault, and rightly so.
    if (!logs && std::freopen("/dev/null", "w", stderr) == nullptr) return 2;
    if (story) {
        print_story(std::cout, range.first);
        return 0;
    }
    if (pinned.empty()) return play(range, commit) ? 0 : 1;
    bool good = true;
    for (const std::uint64_t seed : pinned_seeds(pinned))
        good = play({.first = seed, .count = 1, .jobs = 1}, commit) && good;
    return good ? 0 : 1;
}
