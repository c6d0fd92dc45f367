#include "payments/payment_store.hpp"

#include <tuple>
#include <utility>

#include "payments/store_rows.hpp"

namespace quittance::payments {

using db::Column;

namespace {

const std::vector<Column> changing_columns{
    {"status"},
    {"provider_state"},
    {"charge_sent", integer},
    {"closed_at", integer},
    {"captured_amount", integer},
    {"refunded_amount", integer},
    {"provider_reference"},
    {"failure_code"},
    {"failure_detail"},
    {"cancel_requested", integer},
    {"cancel_requested_at", integer},
    {"refund_reserved", integer},
    {"captures", integer},
    {"capture_requested", integer},
    {"capture_key"},
    {"look_ups", integer},
    {"next_look_up_at", integer},
    {"stuck_since", integer},
    {"traceparent"},
    {"version", integer},
    {"updated_at", integer},
};

/// What the answer to a charge changes. No index and no CHECK but the status's concerns them, beside that of
/// what is due, so SQLite has half the work with them.
const std::vector<Column> charge_columns{
    {"status"},
    {"provider_state"},
    {"captured_amount", integer},
    {"provider_reference"},
    {"look_ups", integer},
    {"next_look_up_at", integer},
    {"version", integer},
    {"updated_at", integer},
};

const std::vector<Column> fixed_columns{
    {"id", uuid},        {"order_id", uuid},  {"user_id", uuid},       {"attempt", integer},
    {"amount", integer}, {"currency"},        {"payment_method"},      {"capture_at_once", integer},
    {"provider"},        {"idempotency_key"}, {"created_at", integer},
};

const std::string selected =
    "SELECT payments.id, payments.order_id, payments.user_id, payments.attempt, payments.status, "
    "payments.amount, payments.currency, payments.captured_amount, payments.refunded_amount, "
    "payments.payment_method, payments.provider, payments.provider_reference, payments.idempotency_key, "
    "payments.failure_code, payments.failure_detail, payments.cancel_requested, "
    "payments.cancel_requested_at, "
    "payments.refund_reserved, payments.capture_at_once, payments.captures, payments.capture_requested, "
    "payments.capture_key, "
    "payments.look_ups, payments.next_look_up_at, payments.stuck_since, payments.traceparent, "
    "payments.version, payments.created_at, payments.updated_at, payments.provider_state, "
    "payments.charge_sent, payments.closed_at ";

// The condition of the partial index payments_due comes first, word for word, so that the index is used.
const std::string due =
    "FROM payments WHERE next_look_up_at > 0 AND next_look_up_at <= :now AND provider = :provider ";

/// Always true. Of a table that was never analysed, PostgreSQL expects that many rows have the same order_id,
/// and would read all of it; of a range, it expects few.
const std::string few_attempts = " AND payments.attempt BETWEEN 1 AND 2147483647";

std::vector<Column> all_columns() {
    std::vector<Column> columns = fixed_columns;
    columns.insert(columns.end(), changing_columns.begin(), changing_columns.end());
    return columns;
}

std::string select_visible(const db::Dialect& dialect, std::string_view key) {
    return selected + "FROM " +
           dialect.rows(":rows", "b", {{"id", uuid}, {"owner", uuid}, {"for_anyone", integer}}) +
           " JOIN payments ON payments." + std::string(key) + " = b.id" + few_attempts +
           " WHERE b.for_anyone = 1 OR payments.user_id = b.owner";
}

void write_charge(ObjectWriter& row, const Payment& payment) {
    row.add_plain("status", contracts::to_string(payment.status));
    row.add_plain("provider_state", to_string(payment.provider_state));
    row.add("captured_amount", payment.captured_minor);
    row.add("provider_reference", payment.provider_reference);
    row.add("look_ups", payment.look_ups);
    row.add("next_look_up_at", optional_to_ms(payment.next_look_up_at));
    row.add("version", payment.version);
    row.add("updated_at", to_ms(payment.updated_at));
}

void write_changing(ObjectWriter& row, const Payment& payment) {
    write_charge(row, payment);
    row.add("charge_sent", payment.charge_sent ? 1 : 0);
    row.add("closed_at", optional_to_ms(payment.closed_at));
    row.add("refunded_amount", payment.refunded_minor);
    row.add("failure_code", payment.failure ? payment.failure->code : std::string());
    row.add("failure_detail", payment.failure ? payment.failure->detail : std::string());
    row.add("cancel_requested", payment.cancel_requested ? 1 : 0);
    row.add("cancel_requested_at", optional_to_ms(payment.cancel_requested_at));
    row.add("refund_reserved", payment.refund_reserved_minor);
    row.add("captures", payment.captures);
    row.add("capture_requested", payment.capture_requested_minor);
    row.add("capture_key", payment.capture_key);
    row.add("stuck_since", optional_to_ms(payment.stuck_since));
    row.add("traceparent", payment.traceparent);
}

void write_row(ObjectWriter& row, const Payment& payment) {
    write_changing(row, payment);
    row.add_plain("id", payment.id.to_string());
    row.add_plain("order_id", payment.order_id.to_string());
    row.add_plain("user_id", payment.user_id.to_string());
    row.add("attempt", payment.attempt);
    row.add("amount", payment.amount.minor);
    row.add_plain("currency", payment.amount.currency.code());
    row.add("payment_method", payment.payment_method);
    row.add("capture_at_once", payment.capture_at_once ? 1 : 0);
    row.add("provider", payment.provider);
    row.add("idempotency_key", payment.idempotency_key);
    row.add("created_at", to_ms(payment.created_at));
}

template <class IdType>
std::string batch_of_visible(std::span<const Visible<IdType>> wanted) {
    return batch(wanted, [](ObjectWriter& row, const Visible<IdType>& one) {
        // Without an owner the column is never compared, but it has to be a UUID.
        row.add_plain("id", one.id.to_string());
        row.add_plain("owner", one.owner.value_or(UserId()).to_string());
        row.add("for_anyone", one.owner ? 0 : 1);
    });
}

std::vector<Payment> select_payments(db::Session& session, const std::string& sql,
                                     const std::vector<db::Parameter>& parameters) {
    using Text = std::string;
    using Integer = std::int64_t;
    auto rows =
        session.select<Text, Text, Text, Integer, Text, Integer, Text, Integer, Integer, Text, Text, Text,
                       Text, Text, Text, Integer, Integer, Integer, Integer, Integer, Integer, Text, Integer,
                       Integer, Integer, Text, Integer, Integer, Integer, Text, Integer, Integer>(sql,
                                                                                                  parameters);
    std::vector<Payment> payments;
    payments.reserve(rows.size());
    for (auto& [id, order_id, user_id, attempt, status, amount, currency, captured, refunded, method,
                provider, reference, key, failure_code, failure_detail, cancel_requested, cancel_requested_at,
                refund_reserved, capture_at_once, captures, capture_requested, capture_key, look_ups,
                next_look_up_at, stuck_since, traceparent, version, created_at, updated_at, provider_state,
                charge_sent, closed_at] : rows) {
        Payment& payment = payments.emplace_back();
        payment.id = stored(PaymentId::parse(id), "a stored payment id is a UUID");
        payment.order_id = stored(OrderId::parse(order_id), "a stored order id is a UUID");
        payment.user_id = stored(UserId::parse(user_id), "a stored user id is a UUID");
        payment.attempt = static_cast<int>(attempt);
        payment.status = stored(contracts::parse_payment_status(status), "a stored status is known");
        payment.amount = {amount, stored(Currency::parse(currency), "a stored currency is known")};
        payment.captured_minor = captured;
        payment.refunded_minor = refunded;
        payment.payment_method = std::move(method);
        payment.provider = std::move(provider);
        payment.provider_reference = std::move(reference);
        payment.idempotency_key = std::move(key);
        if (!failure_code.empty()) {
            payment.failure = contracts::Failure{std::move(failure_code), std::move(failure_detail)};
        }
        payment.cancel_requested = cancel_requested != 0;
        payment.cancel_requested_at = optional_from_ms(cancel_requested_at);
        payment.refund_reserved_minor = refund_reserved;
        payment.capture_at_once = capture_at_once != 0;
        payment.captures = static_cast<int>(captures);
        payment.capture_requested_minor = capture_requested;
        payment.capture_key = std::move(capture_key);
        payment.look_ups = static_cast<int>(look_ups);
        payment.next_look_up_at = optional_from_ms(next_look_up_at);
        payment.stuck_since = optional_from_ms(stuck_since);
        payment.traceparent = std::move(traceparent);
        payment.version = static_cast<int>(version);
        payment.created_at = timestamp_from_ms(created_at);
        payment.updated_at = timestamp_from_ms(updated_at);
        payment.provider_state =
            stored(parse_provider_state(provider_state), "a stored state at the provider is known");
        payment.charge_sent = charge_sent != 0;
        payment.closed_at = optional_from_ms(closed_at);
    }
    return payments;
}

}  // namespace

// Locks are taken in the order of the ids, so that two batches never wait for each other.
PaymentStore::PaymentStore(const db::Dialect& dialect)
    : insert_(dialect.insert_new_rows("payments", all_columns())),
      update_(dialect.update_rows("payments", {{"id", uuid}}, changing_columns)),
      update_charge_(dialect.update_rows("payments", {{"id", uuid}}, charge_columns)),
      reschedule_(dialect.update_rows("payments", {{"id", uuid}},
                                      {{"next_look_up_at", integer},
                                       {"look_ups", integer},
                                       {"stuck_since", integer},
                                       {"version", integer}})),
      prolong_claims_(dialect.update_rows("payments", {{"id", uuid}}, {{"next_look_up_at", integer}})),
      find_and_lock_(selected + "FROM " + dialect.matching_ids("payments", "id") + " ORDER BY payments.id" +
                     dialect.for_update("payments")),
      find_by_order_and_lock_(selected + "FROM " + dialect.matching_ids("payments", "order_id") +
                              few_attempts + " ORDER BY payments.id" + dialect.for_update("payments")),
      due_and_lock_(selected + due + "ORDER BY next_look_up_at LIMIT :rows" +
                    dialect.for_update_of_unlocked("payments")),
      stuck_(selected + "FROM payments WHERE stuck_since > 0 ORDER BY stuck_since LIMIT :rows"),
      find_(select_visible(dialect, "id")),
      list_(select_visible(dialect, "order_id") + " ORDER BY payments.order_id, payments.attempt") {}

std::int64_t PaymentStore::insert_new(db::Session& session, std::span<const Payment> payments) const {
    // In the order of the orders, so that two batches for the same ones never wait for each other.
    std::vector<Payment> sorted(payments.begin(), payments.end());
    std::ranges::stable_sort(sorted, {}, [](const Payment& payment) { return payment.order_id; });
    return session.execute(insert_, {batch(sorted, write_row)});
}

void PaymentStore::update(db::Session& session, std::span<const Payment> payments) const {
    session.execute(update_, {batch(payments, [](ObjectWriter& row, const Payment& payment) {
                        row.add_plain("id", payment.id.to_string());
                        write_changing(row, payment);
                    })});
}

bool PaymentStore::is_change_by_charge(const Payment& before, const Payment& after) {
    Payment changed = before;
    changed.status = after.status;
    changed.provider_state = after.provider_state;
    changed.captured_minor = after.captured_minor;
    changed.provider_reference = after.provider_reference;
    changed.look_ups = after.look_ups;
    changed.next_look_up_at = after.next_look_up_at;
    changed.version = after.version;
    changed.updated_at = after.updated_at;
    return changed == after;
}

void PaymentStore::update_charge(db::Session& session, std::span<const Payment> payments) const {
    session.execute(update_charge_, {batch(payments, [](ObjectWriter& row, const Payment& payment) {
                        row.add_plain("id", payment.id.to_string());
                        write_charge(row, payment);
                    })});
}

void PaymentStore::reschedule(db::Session& session, std::span<const Payment> payments) const {
    session.execute(reschedule_, {batch(payments, [](ObjectWriter& row, const Payment& payment) {
                        row.add_plain("id", payment.id.to_string());
                        row.add("next_look_up_at", optional_to_ms(payment.next_look_up_at));
                        row.add("look_ups", payment.look_ups);
                        row.add("stuck_since", optional_to_ms(payment.stuck_since));
                        row.add("version", payment.version);
                    })});
}

void PaymentStore::prolong_claims(db::Session& session, std::span<const PaymentId> ids,
                                  Timestamp until) const {
    session.execute(prolong_claims_, {batch(ids, [&](ObjectWriter& row, const PaymentId& id) {
                        row.add_plain("id", id.to_string());
                        row.add("next_look_up_at", to_ms(until));
                    })});
}

std::vector<Payment> PaymentStore::find_and_lock(db::Session& session, std::span<const PaymentId> ids) const {
    return select_payments(session, find_and_lock_, {batch_of_ids(ids)});
}

std::vector<Payment> PaymentStore::find_and_lock(db::Session& session, std::span<const OrderId> ids) const {
    return select_payments(session, find_by_order_and_lock_, {batch_of_ids(ids)});
}

bool PaymentStore::any_due(db::Session& session, std::string_view provider, Timestamp now) const {
    static const std::string sql = "SELECT 1 " + due + "LIMIT 1";
    return !session.select<std::int64_t>(sql, {to_ms(now), std::string(provider)}).empty();
}

std::vector<Payment> PaymentStore::due_and_lock(db::Session& session, std::string_view provider,
                                                Timestamp now, std::int64_t limit) const {
    return select_payments(session, due_and_lock_, {to_ms(now), std::string(provider), limit});
}

std::vector<Payment> PaymentStore::find_stuck(db::Session& session, std::int64_t limit) const {
    return select_payments(session, stuck_, {limit});
}

std::vector<Payment> PaymentStore::page(db::Session& session, const PaymentId& after,
                                        std::int64_t limit) const {
    static const std::string sql = selected + "FROM payments WHERE id > :after ORDER BY id LIMIT :rows";
    return select_payments(session, sql, {after.to_string(), limit});
}

std::vector<Payment> PaymentStore::find(db::Session& session,
                                        std::span<const Visible<PaymentId>> wanted) const {
    return select_payments(session, find_, {batch_of_visible(wanted)});
}

std::vector<Payment> PaymentStore::list(db::Session& session,
                                        std::span<const Visible<OrderId>> wanted) const {
    return select_payments(session, list_, {batch_of_visible(wanted)});
}

}  // namespace quittance::payments
