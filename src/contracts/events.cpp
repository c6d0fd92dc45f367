#include "contracts/events.hpp"

#include <array>
#include <utility>
#include <vector>

#include "core/json.hpp"

namespace quittance::contracts {

namespace {

constexpr std::array all_payment_statuses{
    PaymentStatus::pending,  PaymentStatus::authorized,         PaymentStatus::captured,
    PaymentStatus::failed,   PaymentStatus::requires_action,    PaymentStatus::unknown,
    PaymentStatus::canceled, PaymentStatus::partially_refunded, PaymentStatus::refunded};

/// Wider than what either service writes, so that a consumer never refuses what a newer producer may send.
constexpr TextLimits any_text{.min_characters = 0, .max_characters = 16 * 1024};
constexpr TextLimits some_text{.min_characters = 1, .max_characters = 16 * 1024};

/// What `write(ObjectWriter&)` writes.
template <class Write>
std::string object(std::size_t expected_bytes, Write write) {
    std::string json;
    json.reserve(expected_bytes);
    ObjectWriter writer(json);
    write(writer);
    writer.finish();
    return json;
}

void add_failure(ObjectWriter& writer, const std::optional<Failure>& failure) {
    if (!failure) return;
    ObjectWriter member(writer.value("failure"));
    member.add("code", failure->code);
    member.add("detail", failure->detail);
    member.finish();
}

/// One sentence from all the faults, for a person who looks at a dead letter.
std::string describe(std::string_view type, const std::vector<Fault>& faults) {
    std::string text = "The data of " + std::string(type) + " is not acceptable:";
    std::string_view separator = " ";
    for (const Fault& fault : faults) {
        text += separator;
        text += fault.pointer.empty() ? std::string("the data") : fault.pointer;
        text += " " + fault.detail;
        separator = "; ";
    }
    return text + ".";
}

/// A required text that `parse` understands.
template <class Parse>
auto read_parsed(ObjectReader& reader, std::string_view name, Parse parse, std::string_view rule) {
    const std::string text = reader.text(name, some_text);
    auto value = parse(text);
    // An empty text is the placeholder of a fault that the reader has noted already.
    if (!value && !text.empty()) reader.fault(name, std::string(rule));
    return value.value_or(typename decltype(value)::value_type());
}

template <class IdType>
IdType read_id(ObjectReader& reader, std::string_view name) {
    return read_parsed(reader, name, IdType::parse, "must be a UUID");
}

Currency read_currency(ObjectReader& reader) {
    return read_parsed(reader, "currency", Currency::parse, "must be an ISO 4217 code");
}

int read_attempt(ObjectReader& reader) {
    return static_cast<int>(reader.integer("attempt", 1, max_attempt));
}

/// A member that repeats a part of the sequence. Older producers leave it out.
void check_part_of_sequence(ObjectReader& reader, std::string_view name, std::int64_t part) {
    const auto stated = reader.optional_integer(name, 0, max_sequence);
    if (stated && *stated != part) {
        reader.fault(name, "is " + std::to_string(*stated) + ", but /sequence says " + std::to_string(part));
    }
}

PaymentRequested read_payment_requested(ObjectReader& reader) {
    PaymentRequested event;
    event.order_id = read_id<OrderId>(reader, "orderId");
    event.user_id = read_id<UserId>(reader, "userId");
    event.amount.minor = reader.integer("amount", 0, max_amount_minor);
    event.amount.currency = read_currency(reader);
    event.payment_method = reader.text("paymentMethod", some_text);
    event.attempt = read_attempt(reader);
    return event;
}

OrderCanceled read_order_canceled(ObjectReader& reader) {
    OrderCanceled event;
    event.order_id = read_id<OrderId>(reader, "orderId");
    event.user_id = read_id<UserId>(reader, "userId");
    event.amount.minor = reader.integer("amount", 0, max_amount_minor);
    event.amount.currency = read_currency(reader);
    event.attempt = read_attempt(reader);
    return event;
}

RefundRequested read_refund_requested(ObjectReader& reader) {
    RefundRequested event;
    event.refund_id = read_id<RefundId>(reader, "refundId");
    event.order_id = read_id<OrderId>(reader, "orderId");
    event.user_id = read_id<UserId>(reader, "userId");
    event.amount.minor = reader.integer("amount", 1, max_amount_minor);
    event.amount.currency = read_currency(reader);
    event.attempt = read_attempt(reader);
    event.reason = reader.optional_text("reason", any_text).value_or("");
    return event;
}

Failure read_failure(const json::value& value, std::string pointer, std::vector<Fault>& faults) {
    ObjectReader reader(value, std::move(pointer), faults);
    Failure failure{reader.text("code", some_text), reader.text("detail", any_text)};
    reader.finish(UnknownMembers::ignore);
    return failure;
}

RefundOutcome read_refund_outcome(const json::value& value, std::string pointer, std::vector<Fault>& faults) {
    ObjectReader reader(value, std::move(pointer), faults);
    RefundOutcome outcome;
    outcome.refund_id = read_id<RefundId>(reader, "refundId");
    outcome.amount_minor = reader.integer("amount", 1, max_amount_minor);
    if (const json::value* failure = reader.optional_value("failure")) {
        outcome.failure = read_failure(*failure, reader.pointer_to("failure"), faults);
    }
    reader.finish(UnknownMembers::ignore);
    return outcome;
}

PaymentUpdated read_payment_updated(ObjectReader& reader, std::vector<Fault>& faults) {
    PaymentUpdated event;
    event.order_id = read_id<OrderId>(reader, "orderId");
    event.payment_id = read_id<PaymentId>(reader, "paymentId");
    event.status =
        read_parsed(reader, "paymentStatus", parse_payment_status, "is not a known payment status");
    event.captured_minor = reader.integer("capturedAmount", 0, max_amount_minor);
    event.refunded_minor = reader.integer("refundedAmount", 0, max_amount_minor);
    event.currency = read_currency(reader);
    event.sequence = reader.integer("sequence", 0, max_sequence);
    check_part_of_sequence(reader, "attempt", event.attempt());
    check_part_of_sequence(reader, "paymentVersion", event.payment_version());
    if (const json::value* value = reader.optional_value("failure")) {
        event.failure = read_failure(*value, reader.pointer_to("failure"), faults);
    }
    if (const json::value* value = reader.optional_value("refund")) {
        event.refund = read_refund_outcome(*value, reader.pointer_to("refund"), faults);
    }
    return event;
}

/// Parses `data` and gives it to `read(ObjectReader&, faults)`.
template <class Event, class Read>
Result<Event> parse_data(std::string_view type, std::string_view data, Read read) {
    auto parsed = parse_json(data);
    if (!parsed) {
        return Error{ErrorCode::malformed,
                     "The data of " + std::string(type) + " is no JSON. " + parsed.error().detail,
                     {},
                     0};
    }
    std::vector<Fault> faults;
    ObjectReader reader(*parsed, "", faults);
    Event event = read(reader, faults);
    reader.finish(UnknownMembers::ignore);
    if (!faults.empty()) {
        std::string detail = describe(type, faults);
        return Error{ErrorCode::invalid, std::move(detail), std::move(faults), 0};
    }
    return event;
}

Error unknown_type(std::string_view type, std::string_view topic) {
    return Error{
        ErrorCode::invalid,
        "The type \"" + std::string(type) + "\" is not known on the topic " + std::string(topic) + ".",
        {},
        0};
}

}  // namespace

std::string_view to_string(PaymentStatus status) {
    switch (status) {
        case PaymentStatus::pending: return "PENDING";
        case PaymentStatus::authorized: return "AUTHORIZED";
        case PaymentStatus::captured: return "CAPTURED";
        case PaymentStatus::failed: return "FAILED";
        case PaymentStatus::requires_action: return "REQUIRES_ACTION";
        case PaymentStatus::unknown: return "UNKNOWN";
        case PaymentStatus::canceled: return "CANCELED";
        case PaymentStatus::partially_refunded: return "PARTIALLY_REFUNDED";
        case PaymentStatus::refunded: return "REFUNDED";
    }
    return "";
}

std::optional<PaymentStatus> parse_payment_status(std::string_view text) {
    for (const PaymentStatus status : all_payment_statuses) {
        if (to_string(status) == text) return status;
    }
    return std::nullopt;
}

std::string to_json(const PaymentRequested& event) {
    return object(220 + event.payment_method.size(), [&](ObjectWriter& json) {
        json.add_plain("orderId", event.order_id.to_string());
        json.add_plain("userId", event.user_id.to_string());
        json.add("amount", event.amount.minor);
        json.add_plain("currency", event.amount.currency.code());
        json.add("paymentMethod", event.payment_method);
        json.add("attempt", event.attempt);
    });
}

std::string to_json(const OrderCanceled& event) {
    return object(200, [&](ObjectWriter& json) {
        json.add_plain("orderId", event.order_id.to_string());
        json.add_plain("userId", event.user_id.to_string());
        json.add("amount", event.amount.minor);
        json.add_plain("currency", event.amount.currency.code());
        json.add("attempt", event.attempt);
    });
}

std::string to_json(const RefundRequested& event) {
    return object(260 + event.reason.size(), [&](ObjectWriter& json) {
        json.add_plain("refundId", event.refund_id.to_string());
        json.add_plain("orderId", event.order_id.to_string());
        json.add_plain("userId", event.user_id.to_string());
        json.add("amount", event.amount.minor);
        json.add_plain("currency", event.amount.currency.code());
        json.add("attempt", event.attempt);
        if (!event.reason.empty()) json.add("reason", event.reason);
    });
}

std::string to_json(const PaymentUpdated& event) {
    return object(360, [&](ObjectWriter& json) {
        json.add_plain("orderId", event.order_id.to_string());
        json.add_plain("paymentId", event.payment_id.to_string());
        json.add_plain("paymentStatus", to_string(event.status));
        json.add("capturedAmount", event.captured_minor);
        json.add("refundedAmount", event.refunded_minor);
        json.add_plain("currency", event.currency.code());
        json.add("sequence", event.sequence);
        json.add("attempt", event.attempt());
        json.add("paymentVersion", event.payment_version());
        add_failure(json, event.failure);
        if (!event.refund) return;
        ObjectWriter refund(json.value("refund"));
        refund.add_plain("refundId", event.refund->refund_id.to_string());
        refund.add("amount", event.refund->amount_minor);
        add_failure(refund, event.refund->failure);
        refund.finish();
    });
}

Result<PaymentEvent> parse_payment_event(std::string_view type, std::string_view data) {
    if (type == OrderCreated::type) {
        return parse_data<PaymentEvent>(type, data, [](ObjectReader& reader, auto&) {
            return OrderCreated{read_payment_requested(reader)};
        });
    }
    if (type == PaymentRetryRequested::type) {
        return parse_data<PaymentEvent>(type, data, [](ObjectReader& reader, auto&) {
            return PaymentRetryRequested{read_payment_requested(reader)};
        });
    }
    if (type == OrderCanceled::type) {
        return parse_data<PaymentEvent>(
            type, data, [](ObjectReader& reader, auto&) { return read_order_canceled(reader); });
    }
    if (type == RefundRequested::type) {
        return parse_data<PaymentEvent>(
            type, data, [](ObjectReader& reader, auto&) { return read_refund_requested(reader); });
    }
    return unknown_type(type, payment_events_topic);
}

Result<PaymentUpdated> parse_order_update(std::string_view type, std::string_view data) {
    if (type != PaymentUpdated::type) return unknown_type(type, order_updates_topic);
    return parse_data<PaymentUpdated>(type, data, read_payment_updated);
}

}  // namespace quittance::contracts
