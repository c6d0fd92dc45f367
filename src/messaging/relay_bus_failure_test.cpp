// What a bus that throws does to the transaction that was committed before: nothing.
#include <optional>
#include <stdexcept>

#include <gtest/gtest.h>

#include "core/random.hpp"
#include "messaging/relay.hpp"
#include "messaging/test_database.hpp"

namespace quittance::messaging {
namespace {

using std::chrono::milliseconds;

/// Throws as often as the test wants, then confirms at once.
class ThrowingBus final : public Bus {
public:
    void publish(const std::string&, std::vector<Outgoing> messages) override {
        if (throws-- > 0) throw std::runtime_error("no channel");
        for (Outgoing& outgoing : messages) {
            published.push_back(outgoing.message.id);
            outgoing.done({});
        }
    }
    std::unique_ptr<Subscription> subscribe(const std::string&, Receiver) override { return nullptr; }

    int throws = 0;
    std::vector<std::string> published;
};

TEST(RelayBusFailureTest, bus_that_throws_neither_reaches_the_committed_request_nor_stops_the_relay) {
    const TestDatabase database;
    const auto session = database.connect();
    ManualClock clock;
    SystemRandom random;
    ThrowingBus bus;
    const Outbox outbox(session->dialect());
    db::Scheduler scheduler(clock);
    Relay relay(scheduler, outbox, bus, random, clock, {.alone = true}, nullptr);
    const auto settle_after = [&](milliseconds pause) {
        clock.advance(pause);
        do {
            relay.step();
        } while (scheduler.step(*session));
    };
    settle_after(milliseconds(0));

    bus.throws = 2;
    {
        db::Transaction transaction(*session);
        auto announcement = relay.store(*session, {make_row("a", "1"), make_row("b", "2")});
        transaction.commit([&]() noexcept { std::move(announcement).release(); });
    }
    EXPECT_EQ(bus.published, std::vector<std::string>{});
    EXPECT_EQ(relay.in_flight(), 0U);
    for (int i = 0; i < 100; ++i)
        settle_after(milliseconds(200));
    EXPECT_EQ(bus.published.size(), 2U);
    EXPECT_EQ(stored_ids(*session), std::vector<std::string>{});
}

}  // namespace
}  // namespace quittance::messaging
