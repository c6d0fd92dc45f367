// `sim_canary`: plants one bug after the other, and passes when the simulator finds each.
#include <array>
#include <cstdint>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "core/canary.hpp"
#include "telemetry/log.hpp"
#include "tests/sim/report.hpp"
#include "tests/sim/shrink.hpp"

quittance::Canary quittance::planted_canary = quittance::Canary::none;

namespace {

using namespace quittance::sim;
using quittance::Canary;

struct Named {
    Canary canary;
    std::string_view name;
};
constexpr std::array all{
    Named{Canary::ack_before_commit, "ack_before_commit"},
    Named{Canary::delete_before_publish, "delete_before_publish"},
    Named{Canary::inbox_skipped, "inbox_skipped"},
    Named{Canary::new_provider_key_on_resume, "new_provider_key_on_resume"},
    Named{Canary::refund_without_reservation, "refund_without_reservation"},
    Named{Canary::refusal_is_always_final, "refusal_is_always_final"},
    Named{Canary::not_found_is_final_at_once, "not_found_is_final_at_once"},
    Named{Canary::cancel_concerns_one_attempt, "cancel_concerns_one_attempt"},
    Named{Canary::news_unheeded_after_failure, "news_unheeded_after_failure"},
    Named{Canary::declined_stays_open, "declined_stays_open"},
    Named{Canary::late_money_is_refused, "late_money_is_refused"},
    Named{Canary::connection_outlives_failure, "connection_outlives_failure"},
    Named{Canary::unknown_error_is_final, "unknown_error_is_final"},
};

/// True when the bug was found, which is said with the promise that it broke.
bool find(const Named& canary, std::uint64_t most_seeds, bool story, Templates& templates) {
    quittance::planted_canary = canary.canary;
    for (std::uint64_t seed = 1; seed <= most_seeds; ++seed) {
        const Plan plan = make_plan(seed);
        const auto violation = play(plan, templates).violation;
        if (!violation) continue;
        std::cout << std::left << std::setw(30) << canary.name << "found after " << seed
                  << " seeds: " << violation->rule << "\n"
                  << std::flush;
        if (story) print_violation(std::cout, seed, "unknown");
        return true;
    }
    std::cout << std::left << std::setw(30) << canary.name << "NOT FOUND in " << most_seeds << " seeds\n";
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Plants bugs, and passes when the simulator finds each of them");
    std::uint64_t most_seeds = 2000;
    std::string only;
    bool story = false;
    app.add_option("--seeds", most_seeds, "Give up on a bug after so many")->capture_default_str();
    app.add_option("--only", only, "Plant this one only");
    app.add_flag("--story", story, "Tell the shortest story of each");
    CLI11_PARSE(app, argc, argv);
    quittance::log::initialize(quittance::log::Level::error, quittance::log::Format::human);
    // The services complain about every fault, and rightly so.
    if (std::freopen("/dev/null", "w", stderr) == nullptr) return 2;
    Templates templates;
    bool good = true;
    for (const Named& canary : all) {
        if (only.empty() || only == canary.name) good = find(canary, most_seeds, story, templates) && good;
    }
    return good ? 0 : 1;
}
