// One seed's world from its beginning to the moment when all is settled.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checkers.hpp"
#include "tests/sim/clients.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/process.hpp"

namespace quittance::sim {

struct Outcome {
    std::optional<Violation> violation;
    std::vector<std::string> history;
    std::uint64_t digest = 0;
    FaultCounts injected{};
    std::size_t orders = 0;
    std::size_t crashes = 0;
};

/// Plays the plan: the same plan has the same outcome every time.
[[nodiscard]] Outcome play(const Plan& plan, Templates& templates);

/// Used once.
class World {
public:
    World(const Plan& plan, Templates& templates);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    [[nodiscard]] Outcome run();

private:
    void happen();
    void start(int number);
    void crash(int number);
    [[nodiscard]] milliseconds downtime(int number);
    void plan_tick(int number, milliseconds interval);
    void tick(int number, milliseconds interval);
    void plan_work();
    void work(int number);
    void stop_faults();
    void plan_end(milliseconds interval);
    void look_for_end();
    void administer();
    void meddle();
    void send(const payments::ProviderNotice& notice);
    void deliver(const payments::ProviderNotice& notice);
    /// A living process that serves the one or the other; null when there is none.
    [[nodiscard]] Process* choose(bool (*serves)(Layout, int));
    [[nodiscard]] std::string unsettled_or_busy();

    const Plan& plan_;
    Stage stage_;
    SeededRandom random_;
    Prng dice_;
    Database orders_;
    Database payments_;
    Provider provider_;
    Broker broker_;
    EventOrder event_order_;
    const ProcessBus::Watch watch_;
    const Surroundings around_;
    Clients clients_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::vector<bool> work_planned_;
    std::size_t notices_open_ = 0;
    std::size_t crashes_ = 0;
    bool settled_ = false;
    std::string why_not_settled_;
    std::optional<Timestamp> healed_at_;
    Timestamp trouble_ends_at_;  ///< When the last process that was down came back.
};

}  // namespace quittance::sim
