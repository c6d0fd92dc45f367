// How PostgreSQL finds rows in large tables: by index, whatever it knows of them, and by no setting of ours.
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "messaging/inbox.hpp"
#include "orders/catalogue.hpp"
#include "orders/order_store.hpp"
#include "payments/ledger_store.hpp"
#include "payments/refund_store.hpp"
#include "tests/support/test_database.hpp"
#include "users/user_store.hpp"

namespace quittance {
namespace {

constexpr int large = 100'000;
/// More often than PostgreSQL tries plans for particular parameters, unless told otherwise, before it keeps
/// one.
constexpr int uses_until_a_plan_is_kept = 8;
/// Longer than the program uses a plan: see `longest_use_of_a_plan` in db/database.cpp.
constexpr std::chrono::milliseconds until_a_plan_is_made_anew{4100};

/// What the planner knows of the tables when they become large.
enum class Statistics { none, of_small_tables };

std::string uuid_text(int family, int number) {
    std::string digits = std::to_string(number);
    digits.insert(0, 12 - digits.size(), '0');
    return "0000000" + std::to_string(family) + "-0000-7000-8000-" + digits;
}

/// As `uuid_text`, of a number in the variable i.
std::string uuid_sql(int family) {
    return "CAST('0000000" + std::to_string(family) +
           "-0000-7000-8000-' || lpad(CAST(i AS text), 12, '0') AS uuid)";
}

void fill(db::Session& session, const std::string& table, const std::string& columns,
          const std::string& values, int first, int last) {
    session.run("INSERT INTO " + table + " (" + columns + ") SELECT " + values + " FROM generate_series(" +
                std::to_string(first) + ", " + std::to_string(last) + ") AS i");
}

void fill_orders(db::Session& session, int first, int last) {
    fill(session, "users", "id, name, email, role, password_hash, created_at",
         uuid_sql(1) + ", 'Ada', 'ada' || i || '@example.com', 'CUSTOMER', 'x', 1", first, last);
    fill(session, "refresh_tokens", "family_hash, token_hash, user_id, created_at, expires_at",
         "lpad(CAST(i AS text), 43, 'f'), lpad(CAST(i AS text), 43, 't'), " + uuid_sql(1) + ", 1, 2", first,
         last);
    fill(session, "login_failures", "email_hash, failures, last_failed_at",
         "lpad(CAST(i AS text), 43, 'e'), 1, 1", first, last);
    fill(session, "orders",
         "id, user_id, status, payment_status, currency, total_amount, captured_amount, refunded_amount, "
         "items, "
         "payment_method, payment_attempt, payment_sequence, failure_code, failure_detail, version, "
         "created_at, "
         "updated_at",
         uuid_sql(2) + ", " + uuid_sql(1) +
             ", 'PAID', 'CAPTURED', 'EUR', 1250, 1250, 0, "
             "'[{\"productId\":\"mug\",\"name\":\"Mug\",\"quantity\":1,"
             "\"unitPrice\":1250}]', 'pm_card_visa', 1, 2, '', '', 2, i, i",
         first, last);
    fill(session, "order_history", "order_id, version, status, payment_status, actor, reason, created_at",
         uuid_sql(2) + ", 1, 'PENDING', 'PENDING', 'customer', '', i", first, last);
    fill(session, "idempotency_keys", "user_id, key, fingerprint, order_id, created_at",
         uuid_sql(1) + ", 'key' || i, 'x', " + uuid_sql(2) + ", i", first, last);
    fill(session, "products", "id, name, unit_price, currency, active", "'mug' || i, 'Mug', 1250, 'EUR', 1",
         first, last);
}

void fill_payments(db::Session& session, int first, int last) {
    fill(session, "payments",
         "id, order_id, user_id, attempt, status, amount, currency, captured_amount, refunded_amount, "
         "payment_method, provider, provider_reference, idempotency_key, failure_code, failure_detail, "
         "cancel_requested, look_ups, next_look_up_at, traceparent, version, created_at, updated_at",
         uuid_sql(3) + ", " + uuid_sql(2) + ", " + uuid_sql(1) +
             ", 1, 'CAPTURED', 1250, 'EUR', 1250, 0, 'pm_card_visa', 'simulator', 'pi_' || i, 'key' || i, "
             "'', '', "
             "0, 0, 0, '', 2, i, i",
         first, last);
    fill(session, "refunds",
         "id, payment_id, state, amount, reason, idempotency_key, provider_reference, failure_code, "
         "failure_detail, look_ups, next_look_up_at, stuck_since, created_at, updated_at",
         uuid_sql(4) + ", " + uuid_sql(3) + ", 'SUCCEEDED', 1, '', 'key' || i, '', '', '', 0, 0, 0, i, i",
         first, last);
    fill(session, "ledger_entries",
         "chain, seq, payment_id, payment_version, movement, account, currency, amount, posted_at, hash",
         "17, i, " + uuid_sql(3) + ", 1, 'CAPTURE', 'sales', 'EUR', -1250, i, repeat('0', 64)", first, last);
    fill(session, "inbox", "event_id, claim, received_at", "'event' || i, 'claim', i", first, last);
}

std::vector<std::string> large_tables(db::Session& session) {
    std::vector<std::string> names;
    for (auto& [name] : session.select<std::string>(
             "SELECT relname FROM pg_stat_user_tables WHERE relname IN ('users', 'refresh_tokens', "
             "'login_failures', 'orders', 'order_history', 'idempotency_keys', 'products', 'payments', "
             "'refunds', "
             "'ledger_entries', 'inbox')")) {
        names.push_back(std::move(name));
    }
    return names;
}

/// Each statement of the services that finds rows in these tables, for a batch of two or a page.
void use_orders(db::Session& session) {
    const db::Dialect& dialect = session.dialect();
    const users::UserStore users(dialect);
    const orders::OrderStore orders(dialect);
    const orders::ProductStore products(dialect);
    const std::vector user_ids{*UserId::parse(uuid_text(1, 1)), *UserId::parse(uuid_text(1, 2))};
    const std::vector order_ids{*OrderId::parse(uuid_text(2, 1)), *OrderId::parse(uuid_text(2, 2))};
    const std::vector<std::string> emails{"ada1@example.com", "ada2@example.com"};
    const std::vector<std::string> hashes{std::string(43, 'e'), std::string(42, 'e') + "1"};
    const std::vector<std::string> families{std::string(43, 'f'), std::string(42, 'f') + "1"};
    db::Transaction transaction(session);
    EXPECT_EQ(users.find(session, user_ids).size(), 2U);
    EXPECT_EQ(users.find_by_email(session, emails).size(), 2U);
    users.set_password_hashes(session, std::vector{std::pair(user_ids[0], std::string("y"))});
    EXPECT_EQ(users.login_failures(session, hashes).size(), 1U);
    users.put_login_failures(session, users.lock_login_failures(session, hashes, {}));
    users.clear_login_failures(session, std::vector{std::string(43, 'e')});
    for (auto& [hash, family] : users.lock_families(session, families))
        users.update_families(session, std::vector{family});
    users.remove_families(session, std::vector{std::string(43, 'f')});

    EXPECT_EQ(orders.find(session, order_ids).size(), 2U);
    orders.update(session, orders.find_and_lock(session, order_ids));
    EXPECT_EQ(orders.history(session, {order_ids[0], user_ids[0]}).size(), 1U);
    EXPECT_EQ(orders.history(session, {order_ids[0], std::nullopt}).size(), 1U);
    EXPECT_EQ(orders.list(session, {}).size(), 20U);
    EXPECT_EQ(orders.list(session, {.owner = user_ids[0]}).size(), 1U);
    EXPECT_EQ(orders.list(session, {.owner = user_ids[0], .status = orders::OrderStatus::paid}).size(), 1U);
    EXPECT_EQ(orders.list(session, {.before = OrderId::parse(uuid_text(2, 30))}).size(), 20U);
    EXPECT_EQ(orders.list(session, {.owner = user_ids[1], .before = order_ids[1]}).size(), 0U);
    const std::vector<orders::IdempotencyKey> keys{{user_ids[0], "key1", "x", order_ids[0].bytes(), {}},
                                                   {user_ids[1], "key1", "x", order_ids[1].bytes(), {}}};
    EXPECT_GE(orders.keys().find(session, keys).size(), 1U);
    orders.keys().insert_new(session, keys);
    static_cast<void>(orders.keys().purge(session, timestamp_from_ms(0)));
    const std::vector<std::string> product_ids{"mug1", "mug2"};
    EXPECT_EQ(products.find(session, product_ids).size(), 2U);
    EXPECT_EQ(products.list(session, "mug1", 20).size(), 20U);
    transaction.commit();
}

void use_payments(db::Session& session) {
    const db::Dialect& dialect = session.dialect();
    SystemRandom random;
    const payments::PaymentStore payments(dialect);
    const payments::RefundStore refunds(dialect);
    const payments::LedgerStore ledger(dialect);
    const messaging::Inbox inbox(dialect, random);
    const std::vector order_ids{*OrderId::parse(uuid_text(2, 1)), *OrderId::parse(uuid_text(2, 2))};
    const std::vector ids{*PaymentId::parse(uuid_text(3, 1)), *PaymentId::parse(uuid_text(3, 2))};
    const std::vector refund_ids{*RefundId::parse(uuid_text(4, 1)), *RefundId::parse(uuid_text(4, 2))};
    const std::vector<payments::Visible<PaymentId>> visible{{ids[0], std::nullopt}};
    const std::vector<payments::Visible<OrderId>> visible_orders{{order_ids[0], std::nullopt}};
    db::Transaction transaction(session);
    payments.update(session, payments.find_and_lock(session, ids));
    payments.reschedule(session, payments.find_and_lock(session, order_ids));
    EXPECT_EQ(payments.insert_new(session, payments.find(session, visible)), 0);
    EXPECT_EQ(payments.list(session, visible_orders).size(), 1U);
    EXPECT_EQ(payments.page(session, ids[0], 20).size(), 20U);
    EXPECT_FALSE(payments.any_due(session, "simulator", Timestamp{}));
    EXPECT_TRUE(payments.due_and_lock(session, "simulator", Timestamp{}, 20).empty());
    EXPECT_TRUE(payments.find_stuck(session, 20).empty());
    refunds.update(session, refunds.find(session, refund_ids));
    EXPECT_EQ(refunds.list(session, ids).size(), 2U);
    EXPECT_FALSE(refunds.any_due(session, "simulator", Timestamp{}));
    EXPECT_TRUE(refunds.due_and_lock(session, "simulator", Timestamp{}, 20).empty());
    EXPECT_TRUE(refunds.find_stuck(session, 20).empty());
    EXPECT_EQ(ledger.entries_of(session, order_ids[0], {}, 20).size(), 1U);
    EXPECT_EQ(ledger.stretch(session, 17, 1, 20).size(), 20U);
    EXPECT_EQ(inbox.record(session, std::vector<std::string>{"event1", "event2"}, Timestamp{}),
              (std::vector{false, false}));
    transaction.commit();
}

/// The rows that each table gave to readers of all of it. A connection says what it has read when it ends.
std::map<std::string, std::int64_t> rows_read_in_whole(db::Session& session) {
    std::map<std::string, std::int64_t> rows;
    for (const auto& [table, read] : session.select<std::string, std::int64_t>(
             "SELECT relname, COALESCE(seq_tup_read, 0) FROM pg_stat_user_tables")) {
        rows[table] = read;
    }
    return rows;
}

class PlansTest : public testing::TestWithParam<Statistics> {
protected:
    void SetUp() override {
        if (test_support::engine_under_test() != db::Engine::postgresql)
            GTEST_SKIP() << "PostgreSQL's planner";
    }

    static void end_and_wait(const test_support::TestDatabase& database,
                             std::unique_ptr<db::Session> session) {
        const auto backend = std::get<0>(session->select<std::int64_t>("SELECT pg_backend_pid()").at(0));
        session.reset();
        const auto watcher = database.connect();
        for (int i = 0; i < 500; ++i) {
            if (watcher->select<std::int64_t>("SELECT 1 FROM pg_stat_activity WHERE pid = :pid", {backend})
                    .empty())
                return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL() << "the connection does not end";
    }

    template <class Fill, class Use>
    static void expect_no_table_read_in_whole(const std::vector<db::Migration>& migrations, Fill fill,
                                              Use use) {
        const test_support::TestDatabase database(migrations);
        const auto tables = large_tables(*database.connect());
        ASSERT_FALSE(tables.empty());
        const auto analyse = [&] {
            for (const std::string& table : tables)
                database.connect()->run("ANALYZE " + table);
        };
        for (const std::string& table : tables)
            database.connect()->run("ALTER TABLE " + table + " SET (autovacuum_enabled = off)");
        auto filler = database.connect();
        filler->run("SET statement_timeout = 0");
        fill(*filler, 1, 30);
        if (GetParam() == Statistics::of_small_tables) analyse();
        // As a worker that has been there since the tables were small.
        auto worker = database.connect();
        for (int i = 0; i < uses_until_a_plan_is_kept; ++i)
            use(*worker);
        fill(*filler, 31, large);
        end_and_wait(database, std::move(filler));
        std::this_thread::sleep_for(until_a_plan_is_made_anew);
        const auto expect_few_rows_read = [&](std::unique_ptr<db::Session> session) {
            const auto before = rows_read_in_whole(*database.connect());
            for (int i = 0; i < uses_until_a_plan_is_kept; ++i)
                use(*session);
            end_and_wait(database, std::move(session));
            auto after = rows_read_in_whole(*database.connect());
            for (const std::string& table : tables) {
                // What the worker read of the small tables is counted, too.
                EXPECT_LT(after[table] - before.at(table), large / 2) << table << " was read as a whole";
            }
        };
        expect_few_rows_read(std::move(worker));
        analyse();
        expect_few_rows_read(database.connect());
    }
};

TEST_P(PlansTest, no_statement_about_orders_reads_a_large_table_as_a_whole) {
    expect_no_table_read_in_whole(db::orders_migrations(), fill_orders, use_orders);
}

TEST_P(PlansTest, no_statement_about_payments_reads_a_large_table_as_a_whole) {
    expect_no_table_read_in_whole(db::payments_migrations(), fill_payments, use_payments);
}

TEST_P(PlansTest, the_planner_is_left_as_it_is) {
    const test_support::TestDatabase database;
    const auto changed = database.connect()->select<std::string>(
        "SELECT name FROM pg_settings WHERE name LIKE 'enable\\_%' AND setting <> boot_val");
    EXPECT_TRUE(changed.empty());
}

std::string name_of(const testing::TestParamInfo<Statistics>& test) {
    switch (test.param) {
        case Statistics::none: return "without_statistics";
        case Statistics::of_small_tables: return "analysed_while_small";
    }
    return {};
}

INSTANTIATE_TEST_SUITE_P(PostgreSql, PlansTest,
                         testing::Values(Statistics::none, Statistics::of_small_tables), name_of);

}  // namespace
}  // namespace quittance
