#include "tests/size/generated_rows.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>
#include <vector>

#include "payments/ledger_store.hpp"

namespace quittance::size {

namespace {

/// Few enough for the time limit of a statement.
constexpr std::int64_t rows_per_statement = 50'000;
constexpr std::int64_t payments_per_append = 2'000;

/// Expressions over the column `n` of the table `numbers`.
class Expressions {
public:
    explicit Expressions(db::Engine engine) : engine_(engine) {}

    [[nodiscard]] std::string id() const {
        switch (engine_) {
            case db::Engine::sqlite: return "printf('00000000-0000-7000-8000-%012x', n)";
            case db::Engine::postgresql:
                return "CAST('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid)";
            case db::Engine::mysql: return "CONCAT('00000000-0000-7000-8000-', LPAD(LOWER(HEX(n)), 12, '0'))";
        }
        return {};
    }
    [[nodiscard]] std::string id_as_text() const {
        return engine_ == db::Engine::postgresql ? "CAST(" + id() + " AS text)" : id();
    }
    [[nodiscard]] std::string id_of(std::int64_t n) const {
        const std::string quoted = "'" + nth_id(n) + "'";
        return engine_ == db::Engine::postgresql ? "CAST(" + quoted + " AS uuid)" : quoted;
    }
    [[nodiscard]] std::string text(const std::string& prefix) const {
        return engine_ == db::Engine::mysql ? "CONCAT('" + prefix + "', n)" : "'" + prefix + "' || n";
    }
    /// 43 characters, as hashes have.
    [[nodiscard]] std::string hash() const {
        return engine_ == db::Engine::sqlite  ? "printf('%043d', n)"
               : engine_ == db::Engine::mysql ? "LPAD(n, 43, '0')"
                                              : "lpad(CAST(n AS text), 43, '0')";
    }
    /// One of many rows, those with n divisible by `of`, have `then`.
    [[nodiscard]] static std::string each(int of, const std::string& then, const std::string& otherwise) {
        return "CASE WHEN n % " + std::to_string(of) + " = 0 THEN " + then + " ELSE " + otherwise + " END";
    }

private:
    db::Engine engine_;
};

using Assignments = std::vector<std::pair<std::string, std::string>>;

void fill_numbers(db::Session& session, std::int64_t rows) {
    session.run("CREATE TABLE IF NOT EXISTS numbers (n BIGINT NOT NULL PRIMARY KEY)");
    session.run("DELETE FROM numbers");
    session.run("INSERT INTO numbers (n) VALUES (1)");
    for (std::int64_t count = 1; count < rows_per_statement && count < rows; count *= 2)
        session.run("INSERT INTO numbers (n) SELECT n + " + std::to_string(count) + " FROM numbers");
}

void insert(db::Session& session, const std::string& table, std::int64_t rows,
            const Assignments& assignments) {
    std::string columns;
    std::string values;
    for (const auto& [column, value] : assignments) {
        columns += (columns.empty() ? "" : ", ") + column;
        values += (values.empty() ? "" : ", ") + value;
    }
    for (std::int64_t begin = 0; begin < rows; begin += rows_per_statement) {
        const std::int64_t count = std::min(rows_per_statement, rows - begin);
        session.run("INSERT INTO " + table + " (" + columns + ") SELECT " + values + " FROM (SELECT n + " +
                    std::to_string(begin) + " AS n FROM numbers WHERE n <= " + std::to_string(count) +
                    ") AS numbered");
    }
}

/// Ages from now back to twice the longest time that anything is kept.
std::string age(std::int64_t rows) {
    constexpr std::int64_t longest_ms = std::int64_t{60} * 24 * 3'600 * 1'000;
    const std::int64_t step = std::max<std::int64_t>(longest_ms / rows, 1);
    return std::to_string(now_ms - longest_ms) + " + n * " + std::to_string(step);
}

void fill_messaging(db::Session& session, std::int64_t rows) {
    const Expressions make(session.dialect().engine());
    fill_outbox(session, rows / 10, dead_owner);
    fill_outbox(session, rows / 2, living_owner);
    fill_outbox(session, rows - rows / 10 - rows / 2, "");
    session.run("INSERT INTO relay_instances (id, heartbeat) VALUES ('" + std::string(living_owner) +
                "', 1)");
    insert(session, "dead_letters", rows / 4,
           {{"event_id", make.text("dead-")},
            {"topic", "'payment-events'"},
            {"type", "'quittance.order.created.v1'"},
            {"source", "'order-service'"},
            {"ordering_key", make.text("key-")},
            {"traceparent", "''"},
            {"data", "'{}'"},
            {"created_at", age(rows)},
            {"reason", "'refused'"},
            {"delivery_attempts", "5"},
            {"dead_at", age(rows)}});
}

/// The last one is an expression.
void insert_orders(db::Session& session, std::int64_t rows, const std::string& updated_at) {
    const Expressions make(session.dialect().engine());
    insert(session, "orders", rows,
           {{"id", make.id()},
            {"user_id", Expressions::each(2, make.id_of(1), make.id_of(2))},
            {"status", Expressions::each(3, "'PAID'", "'DELIVERED'")},
            {"payment_status", "'CAPTURED'"},
            {"currency", "'EUR'"},
            {"total_amount", "1890"},
            {"captured_amount", "1890"},
            {"refunded_amount", "0"},
            {"refund_reserved", "0"},
            {"open_refunds", "'[]'"},
            {"items", "'[]'"},
            {"payment_method", "'pm_card_visa'"},
            {"payment_attempt", "1"},
            {"payment_sequence", "2"},
            {"failure_code", "''"},
            {"failure_detail", "''"},
            {"version", "3"},
            {"created_at", age(rows)},
            {"updated_at", updated_at}});
}

/// What follows the number of rows are expressions.
void insert_payments(db::Session& session, std::int64_t rows, const std::string& next_look_up_at,
                     const std::string& stuck_since, const std::string& updated_at) {
    const Expressions make(session.dialect().engine());
    insert(session, "payments", rows,
           {{"id", make.id()},
            {"order_id", make.id()},
            {"user_id", make.id_of(1)},
            {"attempt", "1"},
            {"status", "'CAPTURED'"},
            {"amount", "1890"},
            {"currency", "'EUR'"},
            {"captured_amount", "1890"},
            {"refunded_amount", "0"},
            {"payment_method", "'pm_card_visa'"},
            {"provider", "'simulator'"},
            {"provider_reference", make.text("pi_")},
            {"idempotency_key", make.text("payment-")},
            {"failure_code", "''"},
            {"failure_detail", "''"},
            {"cancel_requested", "0"},
            {"look_ups", "0"},
            {"next_look_up_at", next_look_up_at},
            {"stuck_since", stuck_since},
            {"traceparent", "''"},
            {"version", "2"},
            {"created_at", age(rows)},
            {"updated_at", updated_at}});
}

}  // namespace

std::string nth_id(std::int64_t n) {
    std::ostringstream text;
    text << "00000000-0000-7000-8000-" << std::hex << std::setw(12) << std::setfill('0') << n;
    return text.str();
}

void fill_outbox(db::Session& session, std::int64_t rows, std::string_view owner) {
    const Expressions make(session.dialect().engine());
    const std::string name = owner.empty() ? "nobody" : std::string(owner);
    fill_numbers(session, rows);
    insert(session, "outbox", rows,
           {{"event_id", make.text("event-" + name + "-")},
            {"topic", "'payment-events'"},
            {"type", "'quittance.order.created.v1'"},
            {"source", "'order-service'"},
            // As the services do it; rows of several owners must not share a key.
            {"ordering_key", owner.empty() ? make.id_as_text() : make.text(name + "-")},
            {"traceparent", "'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"},
            {"data",
             "'{\"orderId\" \"a document of the size that an order with two items has, which is some "
             "hundreds of bytes long\", \"items\" [{\"productId\" \"coffee-beans-1kg\"}]}'"},
            {"created_at", age(rows)},
            {"owner", "'" + std::string(owner) + "'"}});
}

void fill_orders(db::Session& session, std::int64_t rows) {
    const Expressions make(session.dialect().engine());
    fill_messaging(session, rows);
    fill_numbers(session, rows);
    insert(session, "users", rows / 10 + 1,
           {{"id", make.id()},
            {"name", "'A customer'"},
            {"email", make.text("customer@example.com")},
            {"role", "'CUSTOMER'"},
            {"password_hash", "'none'"},
            {"created_at", "1"}});
    insert(session, "refresh_tokens", rows,
           {{"family_hash", make.hash()},
            {"token_hash", make.hash()},
            {"user_id", make.id_of(1)},
            {"created_at", "1"},
            {"expires_at", age(rows)}});
    insert(session, "login_failures", rows,
           {{"email_hash", make.hash()}, {"failures", "3"}, {"last_failed_at", age(rows)}});
    insert(session, "products", rows / 10 + 1,
           {{"id", make.text("product-")},
            {"name", "'A product'"},
            {"unit_price", "1890"},
            {"currency", "'EUR'"},
            {"active", "1"}});
    insert_orders(session, rows, age(rows));
    insert(session, "order_history", rows,
           {{"order_id", make.id()},
            {"version", "1"},
            {"status", "'PENDING'"},
            {"payment_status", "'PENDING'"},
            {"actor", "'customer'"},
            {"reason", "''"},
            {"created_at", age(rows)}});
    insert(session, "idempotency_keys", rows,
           {{"user_id", make.id()},
            {"\"key\"", make.text("key-")},
            {"fingerprint", "'f'"},
            {"order_id", make.id()},
            {"created_at", age(rows)}});
}

void fill_payments(db::Session& session, std::int64_t rows) {
    const Expressions make(session.dialect().engine());
    fill_messaging(session, rows);
    fill_numbers(session, rows);
    insert(session, "idempotency_keys", rows,
           {{"user_id", make.id()},
            {"\"key\"", make.text("key-")},
            {"fingerprint", "'f'"},
            {"payment_id", make.id()},
            {"created_at", age(rows)}});
    insert_payments(session, rows, Expressions::each(40, age(rows), "0"),
                    Expressions::each(30, age(rows), "0"), age(rows));
    insert(session, "refunds", rows,
           {{"id", make.id()},
            {"payment_id", make.id()},
            {"state", "'REQUESTED'"},
            {"amount", "1"},
            {"reason", "''"},
            {"idempotency_key", make.text("refund-")},
            {"provider_reference", "''"},
            {"failure_code", "''"},
            {"failure_detail", "''"},
            {"look_ups", "0"},
            {"next_look_up_at", Expressions::each(40, age(rows), "0")},
            {"stuck_since", Expressions::each(30, age(rows), "0")},
            {"created_at", age(rows)},
            {"updated_at", age(rows)}});
    insert(session, "inbox", rows,
           {{"event_id", make.text("event-")}, {"claim", "'claim'"}, {"received_at", age(rows)}});
    // As many as the service keeps at most, and more than it drops at once.
    const std::int64_t parked = std::min<std::int64_t>(rows, 10'000);
    insert(session, "parked_notices", parked,
           {{"event_id", make.text("notice-")},
            {"payment_id", make.id_of(999'999'999'999)},
            {"received_at", age(parked)}});
}

void fill_ledger(db::Session& session, std::int64_t rows) {
    const payments::LedgerStore ledger(session.dialect());
    const Currency euro = *Currency::parse("EUR");
    for (std::int64_t begin = 0; begin < rows; begin += payments_per_append) {
        std::vector<payments::Posting> postings;
        for (std::int64_t n = begin + 1; n <= std::min(rows, begin + payments_per_append); ++n) {
            payments::Posting debit{.payment_id = *PaymentId::parse(nth_id(n)),
                                    .payment_version = 2,
                                    .amount = {1'890, euro},
                                    .posted_at = timestamp_from_ms(now_ms)};
            postings.push_back(debit);
            debit.account = payments::Account::sales;
            debit.amount.minor = -1'890;
            postings.push_back(debit);
        }
        db::Transaction transaction(session);
        ledger.append(session, postings);
        transaction.commit();
    }
}

void fill_shop(db::Session& orders, db::Session& payments, std::int64_t rows) {
    const std::string long_ago = "1";
    fill_numbers(orders, rows);
    insert_orders(orders, rows, long_ago);
    fill_numbers(payments, rows);
    insert_payments(payments, rows, "0", "0", long_ago);
    fill_ledger(payments, rows);
}

void analyze(db::Session& session) {
    if (session.dialect().engine() == db::Engine::postgresql) {
        session.run("ANALYZE");
        return;
    }
    if (session.dialect().engine() == db::Engine::sqlite) return;  // The programs never do.
    for (const auto& [table] :
         session.select<std::string>("SELECT table_name FROM information_schema.tables WHERE table_schema = "
                                     "DATABASE() AND table_type = 'BASE TABLE'")) {
        static_cast<void>(
            session.select<std::string, std::string, std::string, std::string>("ANALYZE TABLE " + table));
    }
}

}  // namespace quittance::size
