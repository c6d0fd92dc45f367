#include "tests/sim/shrink.hpp"

#include <utility>

namespace quittance::sim {

namespace {

constexpr int most_plays = 1500;
constexpr std::uint64_t courses = 8;

class Shrinker {
public:
    Shrinker(const Plan& plan, Templates& templates)
        : templates_(templates), best_{plan, play(plan, templates), 1} {}

    Shrunk run() {
        while (best_.plays < most_plays && one_round()) {
        }
        return std::move(best_);
    }

private:
    /// Leaves out one part after the other; true when anything could be left out.
    bool one_round() {
        bool shorter = without_each(&Plan::faults);
        shorter |= without_each(&Plan::clients);
        for (std::size_t client = 0; client < best_.plan.clients.size(); ++client) {
            for (std::size_t action = best_.plan.clients[client].actions.size(); action-- > 0;) {
                Plan candidate = best_.plan;
                auto& actions = candidate.clients[client].actions;
                actions.erase(actions.begin() + static_cast<std::ptrdiff_t>(action));
                shorter |= accept(std::move(candidate));
            }
        }
        return shorter;
    }

    template <class Part>
    bool without_each(std::vector<Part> Plan::*parts) {
        bool shorter = false;
        for (std::size_t i = (best_.plan.*parts).size(); i-- > 0;) {
            Plan candidate = best_.plan;
            auto& of_candidate = candidate.*parts;
            of_candidate.erase(of_candidate.begin() + static_cast<std::ptrdiff_t>(i));
            shorter |= accept(std::move(candidate));
        }
        return shorter;
    }

    /// With one part less, chance takes another course: a few of its courses are tried.
    bool accept(Plan candidate) {
        for (std::uint64_t course = 0; course < courses && best_.plays < most_plays; ++course) {
            candidate.dice_seed = candidate.seed + course;
            ++best_.plays;
            Outcome outcome = play(candidate, templates_);
            if (!outcome.violation || outcome.violation->rule != best_.outcome.violation->rule) continue;
            best_.plan = std::move(candidate);
            best_.outcome = std::move(outcome);
            return true;
        }
        return false;
    }

    Templates& templates_;
    Shrunk best_;
};

}  // namespace

Shrunk shrink(const Plan& plan, Templates& templates) {
    return Shrinker(plan, templates).run();
}

}  // namespace quittance::sim
