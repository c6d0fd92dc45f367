#include "orders/order_store.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <boost/json.hpp>

#include "db/batch.hpp"

namespace quittance::orders {

namespace json = boost::json;
using db::batch;
using db::Column;
using db::stored;

namespace {

constexpr auto integer = db::ColumnType::integer;
constexpr auto uuid = db::ColumnType::uuid;

const std::vector<Column> mutable_columns{
    {"status"},
    {"payment_status"},
    {"captured_amount", integer},
    {"refunded_amount", integer},
    {"refund_reserved", integer},
    {"open_refunds", db::ColumnType::json},
    {"payment_method"},
    {"payment_attempt", integer},
    {"payment_sequence", integer},
    {"failure_code"},
    {"failure_detail"},
    {"version", integer},
    {"updated_at", integer},
};

/// For batches with an order that has several attempts. Other batches do without the column.
std::vector<Column> mutable_columns_and_attempts() {
    std::vector<Column> columns = mutable_columns;
    columns.push_back({"attempts", db::ColumnType::json});
    return columns;
}

const std::vector<Column> all_columns{
    {"id", uuid},
    {"user_id", uuid},
    {"status"},
    {"payment_status"},
    {"currency"},
    {"total_amount", integer},
    {"captured_amount", integer},
    {"refunded_amount", integer},
    {"refund_reserved", integer},
    {"open_refunds", db::ColumnType::json},
    {"items", db::ColumnType::json},
    {"payment_method"},
    {"payment_attempt", integer},
    {"payment_sequence", integer},
    {"failure_code"},
    {"failure_detail"},
    {"version", integer},
    {"created_at", integer},
    {"updated_at", integer},
};

/// MySQL's JSON_TABLE gives a JSON value in a form of MySQL's own: there the items enter as a text.
bool items_are_text(const db::Dialect& dialect) {
    return dialect.engine() == db::Engine::mysql;
}

std::vector<Column> inserted_columns(const db::Dialect& dialect) {
    std::vector<Column> columns = all_columns;
    for (Column& column : columns) {
        if (column.name == "items" && items_are_text(dialect)) column.type = db::ColumnType::text;
    }
    return columns;
}

/// The columns of an `OrderView`, and of what an `Order` has beside.
const std::string select_view =
    "SELECT orders.id, orders.user_id, orders.status, orders.payment_status, orders.currency, "
    "orders.total_amount, orders.captured_amount, orders.refunded_amount, orders.items, "
    "orders.payment_method, orders.failure_code, orders.failure_detail, orders.version, orders.created_at, "
    "orders.updated_at";
const std::string and_the_rest =
    ", orders.refund_reserved, orders.open_refunds, orders.payment_attempt, orders.payment_sequence, "
    "orders.attempts";

using ViewRow = std::tuple<std::string, std::string, std::string, std::string, std::string, std::int64_t,
                           std::int64_t, std::int64_t, std::string, std::string, std::string, std::string,
                           std::int64_t, std::int64_t, std::int64_t>;
using Rest = std::tuple<std::int64_t, std::string, std::int64_t, std::int64_t, std::string>;
using OrderRow = decltype(std::tuple_cat(ViewRow(), Rest()));

template <class... Columns>
std::vector<std::tuple<Columns...>> select_rows(db::Session& session, const std::string& sql,
                                                const std::vector<db::Parameter>& parameters,
                                                std::tuple<Columns...>* /*shape*/) {
    return session.select<Columns...>(sql, parameters);
}

void append_open_refunds(std::string& json, const std::vector<OpenRefund>& refunds) {
    append_json_array(json, refunds, [](std::string& element, const OpenRefund& refund) {
        ObjectWriter member(element);
        member.add_plain("id", refund.id.to_string());
        member.add("amount", refund.amount_minor);
        if (refund.attempt != 1) member.add("attempt", refund.attempt);
        member.finish();
    });
}

std::vector<OpenRefund> open_refunds_from_json(const std::string& text) {
    std::vector<OpenRefund> refunds;
    if (text == "[]") return refunds;
    const json::value array = json::parse(text);
    for (const json::value& element : array.as_array()) {
        const json::object& refund = element.as_object();
        const json::value* attempt = refund.if_contains("attempt");
        refunds.push_back({stored(RefundId::parse(refund.at("id").as_string()), "a refund's id is a UUID"),
                           refund.at("amount").as_int64(),
                           attempt == nullptr ? 1 : static_cast<int>(attempt->as_int64())});
    }
    return refunds;
}

void append_attempts(std::string& json, const Order& order) {
    append_json_array(json, order.attempts, [&](std::string& element, const PaymentAttempt& attempt) {
        ObjectWriter member(element);
        member.add("attempt", attempt.attempt);
        member.add("sequence", attempt.sequence);
        member.add_plain("status", contracts::to_string(attempt.status));
        member.add("captured", attempt.captured_minor);
        member.add("refunded", attempt.refunded_minor);
        if (attempt.failure) {
            member.add("failureCode", attempt.failure->code);
            member.add("failureDetail", attempt.failure->detail);
        }
        if (attempt.attempt == order.shown_attempt) member.add_boolean("shown", true);
        member.finish();
    });
}

/// Fills the attempts and which of them is shown.
void read_attempts(Order& order, const std::string& text) {
    if (text != "[]") {
        const json::value array = json::parse(text);
        for (const json::value& element : array.as_array()) {
            const json::object& stored_attempt = element.as_object();
            PaymentAttempt& attempt = order.attempts.emplace_back();
            attempt.attempt = static_cast<int>(stored_attempt.at("attempt").as_int64());
            attempt.sequence = stored_attempt.at("sequence").as_int64();
            attempt.status = stored(contracts::parse_payment_status(stored_attempt.at("status").as_string()),
                                    "a stored payment status is known");
            attempt.captured_minor = stored_attempt.at("captured").as_int64();
            attempt.refunded_minor = stored_attempt.at("refunded").as_int64();
            if (stored_attempt.contains("failureCode")) {
                attempt.failure =
                    contracts::Failure{std::string(stored_attempt.at("failureCode").as_string()),
                                       std::string(stored_attempt.at("failureDetail").as_string())};
            }
            if (stored_attempt.contains("shown")) order.shown_attempt = attempt.attempt;
        }
    }
    complete_attempts(order);
}

void write_mutable(ObjectWriter& row, const Order& order) {
    row.add_plain("status", to_string(order.status));
    row.add_plain("payment_status", contracts::to_string(order.payment_status));
    row.add("captured_amount", order.captured_minor);
    row.add("refunded_amount", order.refunded_minor);
    row.add("refund_reserved", order.refund_reserved_minor);
    append_open_refunds(row.value("open_refunds"), order.open_refunds);
    row.add("payment_method", order.payment_method);
    row.add("payment_attempt", order.payment_attempt);
    row.add("payment_sequence", order.payment_sequence);
    row.add("failure_code", order.failure ? order.failure->code : std::string());
    row.add("failure_detail", order.failure ? order.failure->detail : std::string());
    row.add("version", order.version);
    row.add("updated_at", to_ms(order.updated_at));
}

/// References to `Part`'s columns, the first of which is column `first` of the row.
template <class Part, std::size_t first, class Row>
auto part_of(Row& row) {
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
        return std::tie(std::get<first + i>(row)...);
    }
    (std::make_index_sequence<std::tuple_size_v<Part>>());
}

/// Takes the texts out of the row.
template <class Row>
void fill(OrderView& order, Row& row) {
    auto [id, user_id, status, payment_status, currency, total, captured, refunded, items, method,
          failure_code, failure_detail, version, created_at, updated_at] = part_of<ViewRow, 0>(row);
    order.id = stored(OrderId::parse(id), "a stored order id is a UUID");
    order.user_id = stored(UserId::parse(user_id), "a stored user id is a UUID");
    order.status = stored(parse_order_status(status), "a stored status is known");
    order.payment_status =
        stored(contracts::parse_payment_status(payment_status), "a stored payment status is known");
    order.total = {total, stored(Currency::parse(currency), "a stored currency is known")};
    order.captured_minor = captured;
    order.refunded_minor = refunded;
    order.items_json = std::move(items);
    order.payment_method = std::move(method);
    if (!failure_code.empty()) {
        order.failure = contracts::Failure{std::move(failure_code), std::move(failure_detail)};
    }
    order.version = static_cast<int>(version);
    order.created_at = timestamp_from_ms(created_at);
    order.updated_at = timestamp_from_ms(updated_at);
}

std::vector<OrderView> select_views(db::Session& session, const std::string& sql,
                                    const std::vector<db::Parameter>& parameters) {
    std::vector<OrderView> orders;
    auto rows = select_rows(session, sql, parameters, static_cast<ViewRow*>(nullptr));
    orders.reserve(rows.size());
    for (ViewRow& row : rows)
        fill(orders.emplace_back(), row);
    return orders;
}

std::vector<Order> select_orders(db::Session& session, const std::string& sql,
                                 const std::vector<db::Parameter>& parameters) {
    std::vector<Order> orders;
    auto rows = select_rows(session, sql, parameters, static_cast<OrderRow*>(nullptr));
    orders.reserve(rows.size());
    for (OrderRow& row : rows) {
        Order& order = orders.emplace_back();
        fill(order, row);
        const auto [reserved, open_refunds, attempt, sequence, attempts] =
            part_of<Rest, std::tuple_size_v<ViewRow>>(row);
        order.refund_reserved_minor = reserved;
        order.open_refunds = open_refunds_from_json(open_refunds);
        order.payment_attempt = static_cast<int>(attempt);
        order.payment_sequence = sequence;
        read_attempts(order, attempts);
    }
    return orders;
}

std::optional<Actor> parse_actor(std::string_view text) {
    for (const Actor actor :
         {Actor::customer, Actor::admin, Actor::service, Actor::payment_service, Actor::system}) {
        if (to_string(actor) == text) return actor;
    }
    return std::nullopt;
}

/// The owner column of a row that is for anyone's eyes; never compared, but it has to be a UUID.
std::string owner_text(const std::optional<UserId>& owner) {
    return owner.value_or(UserId()).to_string();
}

}  // namespace

OrderStore::OrderStore(const db::Dialect& dialect)
    : insert_(dialect.insert_rows("orders", inserted_columns(dialect))),
      update_(dialect.update_rows("orders", {{"id", uuid}}, mutable_columns)),
      update_with_attempts_(dialect.update_rows("orders", {{"id", uuid}}, mutable_columns_and_attempts())),
      insert_history_(dialect.insert_rows("order_history", {{"order_id", uuid},
                                                            {"version", integer},
                                                            {"status"},
                                                            {"payment_status"},
                                                            {"actor"},
                                                            {"reason"},
                                                            {"created_at", integer}})),
      find_(select_view + " FROM " + dialect.matching_ids("orders", "id")),
      find_and_lock_(select_view + and_the_rest + " FROM " + dialect.matching_ids("orders", "id") +
                     " ORDER BY orders.id" + dialect.for_update("orders")),
      history_(
          "SELECT h.version, h.status, h.payment_status, h.actor, h.reason, h.created_at FROM order_history "
          "h "
          "JOIN orders ON orders.id = h.order_id WHERE h.order_id = :id AND (:anyone = 1 OR orders.user_id = "
          ":owner) ORDER BY h.version"),
      keys_(dialect, "order_id") {}

void OrderStore::insert(db::Session& session, std::span<const Order> orders) const {
    const bool as_text = items_are_text(session.dialect());
    session.execute(insert_, {batch(orders, [&](ObjectWriter& row, const Order& order) {
                        row.add_plain("id", order.id.to_string());
                        row.add_plain("user_id", order.user_id.to_string());
                        row.add_plain("currency", order.total.currency.code());
                        row.add("total_amount", order.total.minor);
                        if (as_text) {
                            row.add("items", order.items_json);
                        } else {
                            row.value("items") += order.items_json;
                        }
                        row.add("created_at", to_ms(order.created_at));
                        write_mutable(row, order);
                    })});
}

void OrderStore::update(db::Session& session, std::span<const Order> orders) const {
    const bool with_attempts = std::ranges::any_of(
        orders, [](const PaymentAttempts& attempts) { return !attempts.empty(); }, &Order::attempts);
    session.execute(with_attempts ? update_with_attempts_ : update_,
                    {batch(orders, [&](ObjectWriter& row, const Order& order) {
                        row.add_plain("id", order.id.to_string());
                        write_mutable(row, order);
                        if (with_attempts) append_attempts(row.value("attempts"), order);
                    })});
}

void OrderStore::insert_history(db::Session& session, std::span<const HistoryEntry> entries) const {
    session.execute(insert_history_, {batch(entries, [](ObjectWriter& row, const HistoryEntry& entry) {
                        row.add_plain("order_id", entry.order_id.to_string());
                        row.add("version", entry.version);
                        row.add_plain("status", to_string(entry.status));
                        row.add_plain("payment_status", contracts::to_string(entry.payment_status));
                        row.add_plain("actor", to_string(entry.actor));
                        row.add("reason", entry.reason);
                        row.add("created_at", to_ms(entry.created_at));
                    })});
}

std::vector<OrderView> OrderStore::find(db::Session& session, std::span<const OrderId> ids) const {
    return select_views(session, find_, {db::batch_of_ids(ids)});
}

std::vector<Order> OrderStore::find_and_lock(db::Session& session, std::span<const OrderId> ids) const {
    return select_orders(session, find_and_lock_, {db::batch_of_ids(ids)});
}

std::vector<Order> OrderStore::page(db::Session& session, const OrderId& after, std::int64_t limit) const {
    static const std::string sql =
        select_view + and_the_rest + " FROM orders WHERE id > :after ORDER BY id LIMIT :rows";
    return select_orders(session, sql, {after.to_string(), limit});
}

std::vector<OrderView> OrderStore::list(db::Session& session, const OrderQuery& query) const {
    std::string sql = select_view + " FROM orders WHERE 1 = 1";
    std::vector<db::Parameter> parameters;
    if (query.owner) {
        sql += " AND user_id = :owner";
        parameters.emplace_back(query.owner->to_string());
    }
    if (query.status) {
        sql += " AND status = :status";
        parameters.emplace_back(std::string(to_string(*query.status)));
    }
    if (query.before) {
        sql += " AND id < :before";
        parameters.emplace_back(query.before->to_string());
    }
    sql += " ORDER BY id DESC LIMIT :rows";
    parameters.emplace_back(query.limit);
    return select_views(session, sql, parameters);
}

std::vector<HistoryEntry> OrderStore::history(db::Session& session, const OrderKey& key) const {
    const auto rows =
        session.select<std::int64_t, std::string, std::string, std::string, std::string, std::int64_t>(
            history_, {key.id.to_string(), std::int64_t{key.owner ? 0 : 1}, owner_text(key.owner)});
    std::vector<HistoryEntry> entries;
    for (const auto& [version, status, payment_status, actor, reason, created_at] : rows) {
        entries.push_back(
            {key.id, static_cast<int>(version),
             stored(parse_order_status(status), "a stored status is known"),
             stored(contracts::parse_payment_status(payment_status), "a stored payment status is known"),
             stored(parse_actor(actor), "a stored actor is known"), reason, timestamp_from_ms(created_at)});
    }
    return entries;
}

}  // namespace quittance::orders
