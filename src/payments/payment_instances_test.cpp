// Several instances of the payment service on one database.
#include <array>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "payments/payment_test_world.hpp"
#include "payments/payment_writer.hpp"

namespace quittance::payments {
namespace {

contracts::OrderCreated new_order(IdGenerator& ids) {
    contracts::OrderCreated event;
    event.order_id = ids.generate<OrderId>();
    event.user_id = ids.generate<UserId>();
    event.amount = {1250, *Currency::parse("EUR")};
    event.payment_method = "pm_card_visa";
    event.attempt = 1;
    return event;
}

TEST(PaymentInstancesTest, payments_that_are_due_are_taken_up_by_one_instance_each) {
    constexpr int payments = 300;
    constexpr int instances = 4;
    const test_support::TestDatabase database(db::payments_migrations());
    ManualClock clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    const auto session = database.connect();
    const PaymentWriter writer(session->dialect(), "simulator", CaptureMode::automatic, ids, random, clock);
    std::vector<BeginRequest> requests;
    for (int i = 0; i < payments; ++i)
        requests.push_back({ids.generate<EventId>().to_string(), new_order(ids), ""});
    {
        db::Transaction transaction(*session);
        std::vector<messaging::OutboxRow> published;
        ASSERT_EQ(writer.begin(*session, requests, published).size(), requests.size());
        transaction.commit();
    }

    clock.advance(std::chrono::hours(1));
    std::array<std::vector<Step>, instances> claimed;
    {
        std::vector<std::jthread> threads;
        for (auto& mine : claimed) {
            threads.emplace_back([&] {
                const auto connection = database.connect();
                while (true) {
                    try {
                        db::Transaction transaction(*connection);
                        const auto steps = writer.claim_due(*connection, 10);
                        // Still locked: the others have to find other ones meanwhile.
                        std::this_thread::sleep_for(std::chrono::milliseconds(1));
                        transaction.commit();
                        if (steps.empty()) return;
                        mine.insert(mine.end(), steps.begin(), steps.end());
                    } catch (const StorageConflict&) {
                        // Somebody was in the way: again, as the service does.
                    } catch (const std::exception& failure) {
                        ADD_FAILURE() << failure.what();
                        return;
                    }
                }
            });
        }
    }
    std::map<PaymentId, int> times;
    for (const auto& mine : claimed) {
        for (const Step& step : mine)
            ++times[step.payment.id];
    }
    EXPECT_EQ(times.size(), static_cast<std::size_t>(payments));
    for (const auto& [id, count] : times)
        EXPECT_EQ(count, 1) << id.to_string();
}

}  // namespace
}  // namespace quittance::payments
