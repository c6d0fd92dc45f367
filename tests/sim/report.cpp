#include "tests/sim/report.hpp"

#include <iomanip>
#include <ostream>

#include "tests/sim/shrink.hpp"

namespace quittance::sim {

namespace {

void print(std::ostream& out, const Plan& plan, const Outcome& outcome) {
    for (const std::string& line : describe(plan))
        out << "  " << line << "\n";
    out << "\n";
    for (const std::string& line : outcome.history)
        out << line << "\n";
}

}  // namespace

void print_summary(std::ostream& out, const Summary& summary) {
    out << "\nfaults injected\n";
    std::uint64_t faults = 0;
    for (std::size_t kind = 0; kind < fault_kinds; ++kind) {
        faults += summary.injected[kind];
        out << "  " << std::left << std::setw(48) << to_string(static_cast<FaultKind>(kind)) << std::right
            << std::setw(10) << summary.injected[kind] << "\n";
    }
    const double rate = summary.seconds > 0 ? static_cast<double>(summary.seeds) / summary.seconds : 0;
    out << "\n"
        << summary.seeds << " seeds in " << std::fixed << std::setprecision(1) << summary.seconds << " s ("
        << rate << " seeds/s): " << summary.orders << " orders, " << faults << " faults, " << summary.crashes
        << " crashes\nhistories " << std::hex << std::setw(16) << std::setfill('0') << summary.digest
        << std::dec << std::setfill(' ') << "\n";
}

void print_story(std::ostream& out, std::uint64_t seed) {
    Templates templates;
    const Plan plan = make_plan(seed);
    const Outcome outcome = play(plan, templates);
    out << "seed " << seed << "\n";
    print(out, plan, outcome);
}

void print_violation(std::ostream& out, std::uint64_t seed, const std::string& commit) {
    out << "\nVIOLATION with seed " << seed << " at commit " << commit << "\n" << std::flush;
    Templates templates;
    const Plan plan = make_plan(seed);
    if (!play(plan, templates).violation) {
        out << "which did not happen again: the worker was killed, or the simulator is not deterministic\n";
        return;
    }
    const Shrunk shrunk = shrink(plan, templates);
    out << shrunk.outcome.violation->rule << ": " << shrunk.outcome.violation->what
        << "\n\nthe shortest story of " << shrunk.plays << " that break this promise or less:\n";
    print(out, shrunk.plan, shrunk.outcome);
    out << "\nreplay it in full with: make sim FIRST_SEED=" << seed << " SEEDS=1 STORY=1\n";
}

}  // namespace quittance::sim
