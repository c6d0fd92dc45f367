#include "apps/order_app.hpp"

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "messaging/embedded_bus.hpp"
#include "tests/support/test_database.hpp"
#include "users/users_test_support.hpp"

namespace quittance::apps {
namespace {

using namespace std::chrono_literals;

class OrderAppTest : public testing::Test {
protected:
    std::unique_ptr<OrderApp> make_app() {
        std::vector<users::SigningKey> keys;
        keys.push_back(users::SigningKey::load_or_create(folder_ / "key.pem"));
        return std::make_unique<OrderApp>(environment_, database_.options(), DatabasePool{}, bus_,
                                          std::move(keys), http::AddressLimiterOptions{});
    }

    users::TestFolder folder_;
    test_support::TestDatabase database_;
    Environment environment_;
    messaging::EmbeddedBus bus_{
        environment_.clock, environment_.random, {.routes = {{"order-updates", "order-service-sub"}}}};
};

TEST_F(OrderAppTest, one_whose_start_was_given_up_ends_its_threads_before_what_they_work_on) {
    auto app = make_app();
    // Somebody else writes, so that a thread of the app is held up in the middle of its work.
    const auto other = database_.connect();
    auto writing = std::make_unique<db::Transaction>(*other);
    app->start();
    app->step();
    std::this_thread::sleep_for(100ms);
    std::thread slow_writer([&] {
        std::this_thread::sleep_for(200ms);
        writing.reset();
    });
    app.reset();
    slow_writer.join();
}

}  // namespace
}  // namespace quittance::apps
