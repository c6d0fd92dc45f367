#include "payments/refund_store.hpp"

#include "payments/store_rows.hpp"

namespace quittance::payments {

using db::Column;

namespace {

const std::vector<Column> changing_columns{
    {"state"},
    {"provider_reference"},
    {"failure_code"},
    {"failure_detail"},
    {"look_ups", integer},
    {"next_look_up_at", integer},
    {"stuck_since", integer},
    {"updated_at", integer},
};

const std::vector<Column> fixed_columns{
    {"id", uuid}, {"payment_id", uuid}, {"amount", integer},
    {"reason"},   {"idempotency_key"},  {"created_at", integer},
};

const std::string selected =
    "SELECT refunds.id, refunds.payment_id, refunds.state, refunds.amount, refunds.reason, "
    "refunds.idempotency_key, refunds.provider_reference, refunds.failure_code, refunds.failure_detail, "
    "refunds.look_ups, refunds.next_look_up_at, refunds.stuck_since, refunds.created_at, "
    "refunds.updated_at ";

// The condition of the partial index refunds_due comes first, word for word, so that the index is used.
const std::string due =
    "FROM refunds WHERE next_look_up_at > 0 AND next_look_up_at <= :now AND EXISTS (SELECT 1 FROM payments "
    "WHERE payments.id = refunds.payment_id AND payments.provider = :provider) ";

std::vector<Column> all_columns() {
    std::vector<Column> columns = fixed_columns;
    columns.insert(columns.end(), changing_columns.begin(), changing_columns.end());
    return columns;
}

void write_changing(ObjectWriter& row, const Refund& refund) {
    row.add_plain("id", refund.id.to_string());
    row.add_plain("state", to_string(refund.state));
    row.add("provider_reference", refund.provider_reference);
    row.add("failure_code", refund.failure ? refund.failure->code : std::string());
    row.add("failure_detail", refund.failure ? refund.failure->detail : std::string());
    row.add("look_ups", refund.look_ups);
    row.add("next_look_up_at", optional_to_ms(refund.next_look_up_at));
    row.add("stuck_since", optional_to_ms(refund.stuck_since));
    row.add("updated_at", to_ms(refund.updated_at));
}

void write_row(ObjectWriter& row, const Refund& refund) {
    write_changing(row, refund);
    row.add_plain("payment_id", refund.payment_id.to_string());
    row.add("amount", refund.amount_minor);
    row.add("reason", refund.reason);
    row.add("idempotency_key", refund.idempotency_key);
    row.add("created_at", to_ms(refund.created_at));
}

/// The refunds of each payment of a batch. PostgreSQL looks for those of one payment at a time: of a table
/// that was never analysed it expects that each has many, and would read all of it.
std::string of_payments(const db::Dialect& dialect) {
    if (dialect.engine() != db::Engine::postgresql) return dialect.matching_ids("refunds", "payment_id");
    return "unnest(CAST('{' || :rows || '}' AS uuid[])) AS b(payment_id) CROSS JOIN LATERAL "
           "(SELECT * FROM refunds WHERE refunds.payment_id = b.payment_id OFFSET 0) AS refunds";
}

std::vector<Refund> select_refunds(db::Session& session, const std::string& sql,
                                   const std::vector<db::Parameter>& parameters) {
    using Text = std::string;
    using Integer = std::int64_t;
    auto rows = session.select<Text, Text, Text, Integer, Text, Text, Text, Text, Text, Integer, Integer,
                               Integer, Integer, Integer>(sql, parameters);
    std::vector<Refund> refunds;
    refunds.reserve(rows.size());
    for (auto& [id, payment_id, state, amount, reason, key, reference, failure_code, failure_detail, look_ups,
                next_look_up_at, stuck_since, created_at, updated_at] : rows) {
        Refund& refund = refunds.emplace_back();
        refund.id = stored(RefundId::parse(id), "a stored refund id is a UUID");
        refund.payment_id = stored(PaymentId::parse(payment_id), "a stored payment id is a UUID");
        refund.state = stored(parse_refund_state(state), "a stored state is known");
        refund.amount_minor = amount;
        refund.reason = std::move(reason);
        refund.idempotency_key = std::move(key);
        refund.provider_reference = std::move(reference);
        if (!failure_code.empty()) {
            refund.failure = contracts::Failure{std::move(failure_code), std::move(failure_detail)};
        }
        refund.look_ups = static_cast<int>(look_ups);
        refund.next_look_up_at = optional_from_ms(next_look_up_at);
        refund.stuck_since = optional_from_ms(stuck_since);
        refund.created_at = timestamp_from_ms(created_at);
        refund.updated_at = timestamp_from_ms(updated_at);
    }
    return refunds;
}

}  // namespace

RefundStore::RefundStore(const db::Dialect& dialect)
    : insert_(dialect.insert_rows("refunds", all_columns())),
      update_(dialect.update_rows("refunds", {{"id", uuid}}, changing_columns)),
      prolong_claims_(dialect.update_rows("refunds", {{"id", uuid}}, {{"next_look_up_at", integer}})),
      find_(selected + "FROM " + dialect.matching_ids("refunds", "id")),
      list_(selected + "FROM " + of_payments(dialect) +
            " ORDER BY refunds.payment_id, refunds.created_at, refunds.id"),
      due_and_lock_(selected + due + "ORDER BY next_look_up_at LIMIT :rows" +
                    dialect.for_update_of_unlocked("refunds")),
      stuck_(selected + "FROM refunds WHERE stuck_since > 0 ORDER BY stuck_since LIMIT :rows") {}

void RefundStore::insert(db::Session& session, std::span<const Refund> refunds) const {
    session.execute(insert_, {batch(refunds, write_row)});
}

void RefundStore::update(db::Session& session, std::span<const Refund> refunds) const {
    session.execute(update_, {batch(refunds, write_changing)});
}

void RefundStore::prolong_claims(db::Session& session, std::span<const RefundId> ids, Timestamp until) const {
    session.execute(prolong_claims_, {batch(ids, [&](ObjectWriter& row, const RefundId& id) {
                        row.add_plain("id", id.to_string());
                        row.add("next_look_up_at", to_ms(until));
                    })});
}

std::vector<Refund> RefundStore::find(db::Session& session, std::span<const RefundId> ids) const {
    return select_refunds(session, find_, {batch_of_ids(ids)});
}

std::vector<Refund> RefundStore::list(db::Session& session, std::span<const PaymentId> payments) const {
    return select_refunds(session, list_, {batch_of_ids(payments)});
}

bool RefundStore::any_due(db::Session& session, std::string_view provider, Timestamp now) const {
    static const std::string sql = "SELECT 1 " + due + "LIMIT 1";
    return !session.select<std::int64_t>(sql, {to_ms(now), std::string(provider)}).empty();
}

std::vector<Refund> RefundStore::due_and_lock(db::Session& session, std::string_view provider, Timestamp now,
                                              std::int64_t limit) const {
    return select_refunds(session, due_and_lock_, {to_ms(now), std::string(provider), limit});
}

std::vector<Refund> RefundStore::find_stuck(db::Session& session, std::int64_t limit) const {
    return select_refunds(session, stuck_, {limit});
}

std::unordered_map<PaymentId, Payment> payments_of(db::Session& session, const PaymentStore& payments,
                                                   std::span<const Refund> refunds) {
    std::vector<Visible<PaymentId>> wanted;
    for (const Refund& refund : refunds)
        wanted.push_back({refund.payment_id, std::nullopt});
    std::unordered_map<PaymentId, Payment> found;
    for (Payment& payment : payments.find(session, wanted)) {
        const PaymentId id = payment.id;
        found.emplace(id, std::move(payment));
    }
    return found;
}

}  // namespace quittance::payments
