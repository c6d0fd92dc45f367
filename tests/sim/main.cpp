// `sim`: plays seeds, and tells the story of the first one that breaks a promise.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "telemetry/log.hpp"
#include "tests/sim/world.hpp"

int main(int argc, char** argv) {
    using namespace quittance::sim;
    const std::uint64_t first = argc > 1 ? std::stoull(argv[1]) : 1;
    const std::uint64_t count = argc > 2 ? std::stoull(argv[2]) : 1;
    quittance::log::initialize(quittance::log::Level::error, quittance::log::Format::human);
    Templates templates;
    std::size_t bad = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const Plan plan = make_plan(seed);
        const Outcome outcome = play(plan, templates);
        if (count == 1) {
            for (const auto& line : describe(plan))
                std::cout << line << "\n";
            for (const auto& line : outcome.history)
                std::cout << line << "\n";
        }
        if (outcome.violation) {
            ++bad;
            std::cout << "seed " << seed << ": " << outcome.violation->rule << ": " << outcome.violation->what << "\n";
        }
    }
    std::cout << bad << " of " << count << "\n";
}
