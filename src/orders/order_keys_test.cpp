#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "orders/order_test_world.hpp"

namespace quittance::orders {
namespace {

using OrderKeysTest = OrderWorld;

TEST_F(OrderKeysTest, a_repeated_key_is_answered_with_the_first_answer_whatever_happened_since) {
    const auto first = create(request("key-1"));
    tell(first->order, PaymentStatus::captured, 1);
    const auto again = create(request("key-1"));
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->order, first->order);
    EXPECT_EQ(published_.size(), 1U);
}

TEST_F(OrderKeysTest, many_workers_give_each_key_one_order_and_each_order_one_cancelation) {
    constexpr std::size_t keys = 60;
    constexpr std::size_t repetitions = 8;
    std::mutex mutex;
    std::map<std::string, std::set<std::string>> orders_of;
    std::size_t answers = 0;
    std::size_t canceled = 0;
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
        workers.emplace_back([this](const std::stop_token& stop) {
            db::Session session(database_.options());
            scheduler_.run(session, stop);
        });
    }
    const auto wait_for = [&](std::size_t count) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (std::chrono::steady_clock::now() < end) {
            {
                const std::lock_guard lock(mutex);
                if (answers == count) return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        FAIL() << "only " << answers << " answers";
    };
    for (std::size_t i = 0; i < keys * repetitions; ++i) {
        const std::string key = std::to_string(i * 7 % keys);
        service_.create(request(key), [&, key](Result<CreatedOrder> created) {
            const std::lock_guard lock(mutex);
            ++answers;
            ASSERT_TRUE(created.ok()) << created.error().detail;
            orders_of[key].insert(created->order.id.to_string());
        });
    }
    wait_for(keys * repetitions);
    for (std::size_t i = 0; i < repetitions; ++i) {
        for (const auto& [key, ids] : orders_of) {
            ASSERT_EQ(ids.size(), 1U) << key;
            const SetStatus cancel{OrderStatus::canceled, std::nullopt};
            ChangeOrder change{*OrderId::parse(*ids.begin()), customer_, cancel, ""};
            service_.change(std::move(change), [&](Result<OrderView> result) {
                const std::lock_guard lock(mutex);
                ++answers;
                canceled += result ? 1 : 0;
            });
        }
    }
    wait_for(2 * keys * repetitions);
    workers.clear();
    EXPECT_EQ(orders_of.size(), keys);
    EXPECT_EQ(canceled, keys);
}

TEST_F(OrderKeysTest, a_key_with_another_request_is_refused) {
    ASSERT_TRUE(create(request("key-1")));
    EXPECT_EQ(create(request("key-1", "ceramic-mug", 3)).error().code, ErrorCode::invalid);
}

TEST_F(OrderKeysTest, a_key_belongs_to_one_user) {
    const auto mine = create(request("key-1"));
    auto theirs = request("key-1");
    theirs.request.user_id = stranger_.user_id;
    const auto other = create(theirs);
    EXPECT_FALSE(other->replayed);
    EXPECT_NE(other->order.id, mine->order.id);
}

TEST_F(OrderKeysTest, a_refused_request_does_not_use_up_its_key) {
    EXPECT_EQ(create(request("key-1", "no-such-product")).error().code, ErrorCode::invalid);
    EXPECT_FALSE(create(request("key-1"))->replayed);
}

TEST_F(OrderKeysTest, one_batch_serves_each_request_by_itself) {
    std::vector<Result<CreatedOrder>> results;
    const auto collect = [&](Result<CreatedOrder> result) { results.push_back(std::move(result)); };
    service_.create(request(), collect);
    service_.create(request("", "old"), collect);
    service_.create(request("same"), collect);
    service_.create(request("same"), collect);
    service_.create(request("same", "ceramic-mug", 9), collect);
    service_.create(request("bad", "no-such-product"), collect);
    service_.create(request("bad"), collect);
    ASSERT_TRUE(scheduler_.step(session_));
    ASSERT_EQ(results.size(), 7U) << "one step executes the whole batch";
    EXPECT_TRUE(results[0]);
    EXPECT_EQ(results[1].error().faults.at(0).pointer, "/items/0/productId");
    EXPECT_FALSE(results[2]->replayed);
    EXPECT_TRUE(results[3]->replayed);
    EXPECT_EQ(results[3]->order, results[2]->order);
    EXPECT_EQ(results[4].error().code, ErrorCode::invalid);
    EXPECT_EQ(results[5].error().code, ErrorCode::invalid);
    EXPECT_FALSE(results[6]->replayed);
    settle();
    EXPECT_EQ(published_.size(), 3U);
}

TEST_F(OrderKeysTest, a_repeated_request_pays_once) {
    const auto order = create(request())->order;
    tell(order, PaymentStatus::failed, 1);
    const auto first = pay_again(order.id, customer_, "retry-1");
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_FALSE(first->replayed);
    // The second attempt has failed by the time of the repetition: only the key keeps the bank from being
    // asked.
    tell(order, PaymentStatus::failed, 2'000'001);
    const auto again = pay_again(order.id, customer_, "retry-1");
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->order.id, order.id);
    EXPECT_EQ(published_.size(), 2U) << "an order and one more attempt";
    EXPECT_EQ(pay_again(order.id, customer_, "retry-1", "pm_card_visa").error().code, ErrorCode::invalid);
    EXPECT_FALSE(pay_again(order.id, customer_, "retry-2")->replayed);
    EXPECT_EQ(published_.size(), 3U);
}

TEST_F(OrderKeysTest, the_key_of_an_order_pays_for_nothing_else) {
    const auto order = create(request("one-key"))->order;
    tell(order, PaymentStatus::failed, 1);
    EXPECT_EQ(pay_again(order.id, customer_, "one-key").error().code, ErrorCode::invalid);
    EXPECT_EQ(published_.size(), 1U);
}

TEST_F(OrderKeysTest, old_idempotency_keys_are_forgotten_and_young_ones_kept) {
    static_cast<void>(create(request("young")));
    const auto yesterday = clock_.now() - db::idempotency_key_lifetime - std::chrono::hours(1);
    const std::vector<IdempotencyKey> old{
        {customer_.user_id, "old", "f", ids_.generate<OrderId>().bytes(), yesterday}};
    store_.keys().insert_new(session_, old);
    service_.step();
    settle();
    EXPECT_TRUE(store_.keys().find(session_, old).empty());
    EXPECT_TRUE(create(request("young"))->replayed);
}

TEST_F(OrderKeysTest, many_old_idempotency_keys_are_forgotten_without_waiting_for_the_next_time) {
    const auto yesterday = clock_.now() - db::idempotency_key_lifetime - std::chrono::hours(1);
    std::vector<IdempotencyKey> old;
    for (int i = 0; i < 5'000; ++i) {
        old.push_back(
            {customer_.user_id, "old" + std::to_string(i), "f", ids_.generate<OrderId>().bytes(), yesterday});
    }
    store_.keys().insert_new(session_, old);
    for (int i = 0; i < 5; ++i) {
        service_.step();
        settle();
    }
    EXPECT_TRUE(store_.keys().find(session_, old).empty());
}

}  // namespace
}  // namespace quittance::orders
