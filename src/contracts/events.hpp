// The events that cross between the services: versioned types and their JSON. See docs/asyncapi.yaml.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/money.hpp"

namespace quittance::contracts {

inline constexpr std::string_view payment_events_topic = "payment-events";
inline constexpr std::string_view payment_service_subscription = "payment-service-sub";
inline constexpr std::string_view order_updates_topic = "order-updates";
inline constexpr std::string_view order_service_subscription = "order-service-sub";

/// An update of attempt n outranks every update of attempt n - 1: see `PaymentUpdated::sequence`.
inline constexpr std::int64_t sequences_per_attempt = 1'000'000;
/// More attempts than an order can have; keeps sequences below 2^53, which every reader of JSON holds
/// exactly.
inline constexpr int max_attempt = 1'000'000'000;
inline constexpr std::int64_t max_sequence = (max_attempt + 1) * sequences_per_attempt - 1;
static_assert(max_sequence < std::int64_t{1} << 53);

/// What became of the money of an order, as the payment service sees it.
enum class PaymentStatus {
    pending,
    authorized,
    captured,
    failed,
    requires_action,
    unknown,
    canceled,
    partially_refunded,
    refunded,
};

[[nodiscard]] std::string_view to_string(PaymentStatus status);
[[nodiscard]] std::optional<PaymentStatus> parse_payment_status(std::string_view text);

/// Why a payment did not succeed: a stable code and a sentence for people.
struct Failure {
    std::string code;
    std::string detail;

    bool operator==(const Failure&) const = default;
};

/// Charge this order; the same shape for the first attempt and for paying again.
struct PaymentRequested {
    OrderId order_id;
    UserId user_id;
    Money amount;
    std::string payment_method;
    int attempt = 1;  ///< 1 for the order's first payment, one more each time it is paid again.

    bool operator==(const PaymentRequested&) const = default;
};

/// quittance.order.created.v1
struct OrderCreated : PaymentRequested {
    static constexpr std::string_view type = "quittance.order.created.v1";
};

/// quittance.payment.retry_requested.v1
struct PaymentRetryRequested : PaymentRequested {
    static constexpr std::string_view type = "quittance.payment.retry_requested.v1";
};

/// quittance.order.canceled.v1: whatever was or will be paid for this order goes back.
struct OrderCanceled {
    static constexpr std::string_view type = "quittance.order.canceled.v1";
    OrderId order_id;
    UserId user_id;
    Money amount;     ///< The order's total.
    int attempt = 1;  ///< The attempt that was current when the order was canceled.

    bool operator==(const OrderCanceled&) const = default;
};

/// quittance.refund.requested.v1: part or all of what was captured goes back.
struct RefundRequested {
    static constexpr std::string_view type = "quittance.refund.requested.v1";
    RefundId refund_id;  ///< The same over every repetition; a refund is made once.
    OrderId order_id;
    UserId user_id;
    Money amount;        ///< More than 0.
    int attempt = 1;     ///< The attempt whose money goes back.
    std::string reason;  ///< May be empty.

    bool operator==(const RefundRequested&) const = default;
};

/// How a refund ended.
struct RefundOutcome {
    RefundId refund_id;
    std::int64_t amount_minor = 0;
    std::optional<Failure> failure;  ///< None: the money went back.

    bool operator==(const RefundOutcome&) const = default;
};

/// quittance.payment.updated.v1: the state of one attempt to pay an order.
struct PaymentUpdated {
    static constexpr std::string_view type = "quittance.payment.updated.v1";
    OrderId order_id;
    PaymentId payment_id;
    PaymentStatus status = PaymentStatus::pending;
    std::int64_t captured_minor = 0;
    std::int64_t refunded_minor = 0;
    Currency currency;
    /// attempt * sequences_per_attempt + the payment's version: grows with every update of the same attempt,
    /// and an older one is void.
    std::int64_t sequence = 0;
    std::optional<Failure> failure;
    std::optional<RefundOutcome>
        refund;  ///< The refund that this update settles; news whatever its sequence.

    /// The attempt that the update is about, from 1. A sequence below the first attempt's counts as its own.
    [[nodiscard]] int attempt() const {
        return static_cast<int>(std::max<std::int64_t>(1, sequence / sequences_per_attempt));
    }
    /// How often the payment of this attempt had changed, from 1; 0 when it is not said.
    [[nodiscard]] std::int64_t payment_version() const { return sequence % sequences_per_attempt; }

    bool operator==(const PaymentUpdated&) const = default;
};

using PaymentEvent = std::variant<OrderCreated, PaymentRetryRequested, OrderCanceled, RefundRequested>;

[[nodiscard]] std::string to_json(const PaymentRequested& event);
[[nodiscard]] std::string to_json(const OrderCanceled& event);
[[nodiscard]] std::string to_json(const RefundRequested& event);
[[nodiscard]] std::string to_json(const PaymentUpdated& event);

/// Reads what came from topic `payment-events`. Unknown members are ignored; an unknown type, a missing
/// member or a wrong value is an error whose detail is fit for a dead letter's reason.
[[nodiscard]] Result<PaymentEvent> parse_payment_event(std::string_view type, std::string_view data);
/// The same for topic `order-updates`.
[[nodiscard]] Result<PaymentUpdated> parse_order_update(std::string_view type, std::string_view data);

}  // namespace quittance::contracts
