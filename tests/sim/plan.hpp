// What happens in one world: who orders what and changes their mind, how the programs run, what goes wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "payments/payment.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/stage.hpp"

namespace quittance::sim {

enum class ActionKind { cancel, refund, pay_again, ship, read };

/// What a client does once its order was answered for.
struct Action {
    ActionKind kind = ActionKind::read;
    milliseconds after{0};
    int percent = 100;   ///< Of the order's total, for a refund.
    std::string method;  ///< For paying again.
};

/// One client and its one order.
struct Client {
    int number = 0;
    int user = 0;
    milliseconds start{0};
    int quantity = 1;
    bool free_of_charge = false;
    bool impatient = false;  ///< Sends what it asks for twice at once.
    std::string method;
    std::vector<Action> actions;
};

/// How the services are spread over processes.
enum class Layout {
    split,       ///< One process each, and a broker between them that survives.
    doubled,     ///< Two processes each.
    all_in_one,  ///< One process with the embedded bus, which dies with it.
};

struct Plan {
    std::uint64_t seed = 1;
    Layout layout = Layout::split;
    payments::CaptureMode capture_mode = payments::CaptureMode::automatic;
    bool long_downtimes =
        false;  ///< A process of the payment service that crashes stays down for a day or two.
    /// Customers confirm late, and people at the provider's dashboard and in the shop do what nobody asked
    /// for.
    bool meddling = false;
    bool webhooks = true;  ///< Else the provider tells nothing by itself.
    /// Of everything that is left to chance while the plan is played.
    std::uint64_t dice_seed = 1;
    std::vector<Client> clients;
    std::vector<Fault> faults;
};

/// Processes in each layout, numbered from 0. In `split`, 0 serves orders and 1 payments; in `doubled`, the
/// even ones serve orders; in `all_in_one`, 0 serves both.
[[nodiscard]] int process_count(Layout layout);
[[nodiscard]] bool serves_orders(Layout layout, int process);
[[nodiscard]] bool serves_payments(Layout layout, int process);

/// Always the same for the same seed.
[[nodiscard]] Plan make_plan(std::uint64_t seed);

/// In words, a line for each part.
[[nodiscard]] std::vector<std::string> describe(const Plan& plan);

}  // namespace quittance::sim
