#include <algorithm>
#include <mutex>

#include "core/random.hpp"
#include "messaging/pubsub_bus.hpp"
#include "tests/conformance/bus_conformance.hpp"
#include "tests/support/pubsub_emulator.hpp"

namespace quittance::messaging {
namespace {

using test_support::PubsubEmulator;

/// A project of its own on the emulator; what its dead-letter subscription gets is collected.
class PubsubBusEnvironment final : public BusEnvironment {
public:
    PubsubBusEnvironment() {
        dead_letter_subscription_ = bus_.subscribe(dead_letter_subscription_of("payment-events"),
                                                   [this](std::vector<Delivery> deliveries) {
                                                       const std::lock_guard lock(mutex_);
                                                       for (Delivery& delivery : deliveries) {
                                                           dead_letters_.push_back(delivery.message.id);
                                                           std::move(delivery.handle).ack();
                                                       }
                                                   });
    }

    [[nodiscard]] Bus& bus() override { return bus_; }
    [[nodiscard]] std::string topic() const override { return "payment-events"; }
    [[nodiscard]] std::string subscription() const override { return "payment-service-sub"; }
    [[nodiscard]] int max_delivery_attempts() const override { return 5; }
    [[nodiscard]] std::vector<std::string> dead_letters() override {
        const std::lock_guard lock(mutex_);
        return dead_letters_;
    }

private:
    static PubsubSettings provisioned() {
        auto settings = PubsubEmulator::shared().new_project();
        test_support::provision_patiently(test_support::quick_topology(settings));
        return settings;
    }

    SystemClock clock_;
    SystemRandom random_;
    std::mutex mutex_;
    std::vector<std::string> dead_letters_;
    PubsubBus bus_{clock_, random_, {.settings = provisioned(), .publisher = {}, .subscriber = {}}};
    std::unique_ptr<Subscription> dead_letter_subscription_;
};

/// Where there is no emulator: says so, and has nothing to run.
std::vector<MakeBusEnvironment> environments() {
    if (test_support::why_no_pubsub_emulator()) return {};
    return {[] { return std::make_unique<PubsubBusEnvironment>(); }};
}

INSTANTIATE_TEST_SUITE_P(PubsubBus, BusConformance, testing::ValuesIn(environments()));

TEST(PubsubBusConformance, runs_where_there_is_an_emulator) {
    REQUIRE_PUBSUB_EMULATOR();
}

}  // namespace
}  // namespace quittance::messaging
