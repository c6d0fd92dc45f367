#include <thread>

#include "core/random.hpp"
#include "messaging/embedded_bus.hpp"
#include "tests/conformance/bus_conformance.hpp"

namespace quittance::messaging {
namespace {

class EmbeddedBusEnvironment final : public BusEnvironment {
public:
    [[nodiscard]] Bus& bus() override { return bus_; }
    [[nodiscard]] std::string topic() const override { return "payment-events"; }
    [[nodiscard]] std::string subscription() const override { return "payment-service-sub"; }
    [[nodiscard]] int max_delivery_attempts() const override { return 5; }
    [[nodiscard]] std::vector<std::string> dead_letters() override { return {}; }

private:
    SystemClock clock_;
    SystemRandom random_;
    EmbeddedBus bus_{
        clock_,
        random_,
        {.routes = {{"payment-events", "payment-service-sub"}, {"order-updates", "order-service-sub"}},
         .max_delivery_attempts = 5,
         .backoff_min = std::chrono::milliseconds(5)}};
    std::jthread dispatcher_{[this](const std::stop_token& stop) { bus_.run(stop); }};
};

INSTANTIATE_TEST_SUITE_P(EmbeddedBus, BusConformance, testing::Values(MakeBusEnvironment([] {
                             return std::make_unique<EmbeddedBusEnvironment>();
                         })));

}  // namespace
}  // namespace quittance::messaging
