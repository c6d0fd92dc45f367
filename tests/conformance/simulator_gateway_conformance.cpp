#include "payments/simulator_gateway.hpp"
#include "tests/conformance/gateway_conformance.hpp"

namespace quittance::payments {

namespace {

GatewayCandidate simulator(std::string name, std::chrono::milliseconds latency) {
    return {
        .name = std::move(name),
        .make =
            [latency] { return std::make_unique<SimulatorGateway>(SimulatorOptions{.latency = latency}); },
        .good_method = "pm_card_visa",
        .declined_method = "pm_card_chargeDeclinedInsufficientFunds",
        .declined_code = "insufficient_funds",
        .action_method = "pm_card_authenticationRequired"};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Simulator, GatewayConformance,
                         testing::Values(simulator("AtOnce", std::chrono::milliseconds(0)),
                                         simulator("Later", std::chrono::milliseconds(3))),
                         [](const auto& candidate) { return candidate.param.name; });

}  // namespace quittance::payments
