#include "tests/sim/plan.hpp"

#include <array>
#include <string_view>

#include "tests/sim/prng.hpp"
#include "tests/sim/provider.hpp"

namespace quittance::sim {

namespace {

constexpr std::array<std::string_view, 10> methods{"pm_card_visa",
                                                   "pm_card_visa",
                                                   "pm_card_visa",
                                                   "pm_card_visa",
                                                   "pm_card_mastercard",
                                                   "pm_card_chargeDeclined",
                                                   decides_later_and_pays,
                                                   decides_later_and_declines,
                                                   "pm_card_chargeDeclinedInsufficientFunds",
                                                   "pm_card_authenticationRequired"};

constexpr std::array action_kinds{ActionKind::cancel,    ActionKind::cancel, ActionKind::refund,
                                  ActionKind::refund,    ActionKind::refund, ActionKind::pay_again,
                                  ActionKind::pay_again, ActionKind::ship,   ActionKind::read};

/// Most things go wrong early: there are more passages at the beginning of a plan than at its end.
int passage(Prng& dice, std::size_t usual) {
    return static_cast<int>(dice.below(1 + dice.below(usual)));
}

std::size_t usual_passages(Border border) {
    switch (border) {
        case Border::statement: return 300;
        case Border::commit: return 60;
        case Border::publish:
        case Border::broker:
        case Border::delivery:
        case Border::ack: return 25;
        case Border::call:
        case Border::notice: return 12;
        case Border::reply: return 25;
    }
    return 1;
}

std::string some_method(Prng& dice) {
    return std::string(dice.pick(methods));
}

Action some_action(Prng& dice) {
    Action action;
    action.kind = dice.pick(action_kinds);
    action.after = dice.chance(60) ? dice.milliseconds(0, 300) : dice.milliseconds(300, 20'000);
    action.percent = static_cast<int>(dice.pick(std::array{100, 50, 50, 60, 10, 0}));
    action.method = some_method(dice);
    return action;
}

Client some_client(Prng& dice, int number) {
    Client client;
    client.number = number;
    client.user = static_cast<int>(dice.below(3));
    client.start = dice.chance(50) ? dice.milliseconds(0, 50) : dice.milliseconds(50, 5'000);
    client.quantity = static_cast<int>(dice.between(1, 4));
    client.free_of_charge = dice.chance(4);
    client.impatient = dice.chance(25);
    client.method = some_method(dice);
    const std::size_t actions = dice.below(4);
    for (std::size_t i = 0; i < actions; ++i)
        client.actions.push_back(some_action(dice));
    return client;
}

Fault some_fault(Prng& dice, Layout layout) {
    Fault fault;
    fault.kind = static_cast<FaultKind>(dice.below(fault_kinds));
    const Border border = border_of(fault.kind);
    // What the broker, the provider and the way to the clients do is counted for all processes together.
    const bool shared = border == Border::broker || border == Border::delivery || border == Border::notice ||
                        border == Border::reply;
    if (!shared)
        fault.process = static_cast<int>(dice.below(static_cast<std::size_t>(process_count(layout))));
    fault.passage = passage(dice, usual_passages(border));
    return fault;
}

std::string_view to_string(ActionKind kind) {
    switch (kind) {
        case ActionKind::cancel: return "cancels it";
        case ActionKind::refund: return "is given a refund";
        case ActionKind::pay_again: return "pays again";
        case ActionKind::ship: return "gets it shipped";
        case ActionKind::read: return "reads it";
    }
    return "";
}

std::string describe(const Action& action) {
    std::string text(to_string(action.kind));
    if (action.kind == ActionKind::refund) text += " of " + std::to_string(action.percent) + " %";
    if (action.kind == ActionKind::pay_again) text += " with " + action.method;
    return text + " after " + std::to_string(action.after.count()) + " ms";
}

std::string_view to_string(Layout layout) {
    switch (layout) {
        case Layout::split: return "process 0 serves orders, process 1 payments, a broker is between them";
        case Layout::doubled:
            return "processes 0 and 2 serve orders, 1 and 3 payments, a broker is between them";
        case Layout::all_in_one: return "process 0 serves orders and payments over its embedded bus";
    }
    return "";
}

}  // namespace

int process_count(Layout layout) {
    switch (layout) {
        case Layout::split: return 2;
        case Layout::doubled: return 4;
        case Layout::all_in_one: return 1;
    }
    return 0;
}

bool serves_orders(Layout layout, int process) {
    return layout == Layout::all_in_one || process % 2 == 0;
}

bool serves_payments(Layout layout, int process) {
    return layout == Layout::all_in_one || process % 2 == 1;
}

Plan make_plan(std::uint64_t seed) {
    Prng dice(seed, Prng::Stream::plan);
    Plan plan;
    plan.seed = seed;
    plan.dice_seed = seed;
    plan.layout = dice.pick(std::array{Layout::split, Layout::split, Layout::doubled, Layout::all_in_one});
    if (dice.chance(20)) plan.capture_mode = payments::CaptureMode::manual;
    plan.long_downtimes = dice.chance(10) && plan.layout != Layout::all_in_one;
    plan.meddling = dice.chance(40);
    // What nobody asked for is not known before the provider tells of it.
    plan.webhooks = plan.meddling || dice.chance(50);
    const auto clients = dice.between(1, 6);
    for (int number = 1; number <= clients; ++number)
        plan.clients.push_back(some_client(dice, number));
    const std::size_t faults = dice.chance(5) ? 0 : 1 + dice.below(dice.chance(20) ? 30 : 10);
    for (std::size_t i = 0; i < faults; ++i)
        plan.faults.push_back(some_fault(dice, plan.layout));
    return plan;
}

std::vector<std::string> describe(const Plan& plan) {
    std::vector<std::string> lines;
    lines.emplace_back(to_string(plan.layout));
    if (plan.capture_mode == payments::CaptureMode::manual)
        lines.emplace_back("payments are captured by hand");
    if (!plan.webhooks) lines.emplace_back("the provider sends no webhooks");
    if (plan.meddling) lines.emplace_back("people do to payments what nobody asked for");
    if (plan.long_downtimes) lines.emplace_back("processes that serve payments stay down for a day or two");
    for (const Client& client : plan.clients) {
        std::string line = "client " + std::to_string(client.number) + " orders " +
                           std::to_string(client.quantity) + " after " +
                           std::to_string(client.start.count()) + " ms, pays with " + client.method;
        if (client.free_of_charge) line += ", for nothing";
        if (client.impatient) line += ", asks for everything twice at once";
        for (const Action& action : client.actions)
            line += ", " + describe(action);
        lines.push_back(std::move(line));
    }
    for (const Fault& fault : plan.faults)
        lines.push_back(describe(fault));
    return lines;
}

}  // namespace quittance::sim
