// The order service: takes requests from many callers and updates from the bus, a batch at a time.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/expected_versions.hpp"
#include "core/principal.hpp"
#include "db/scheduler.hpp"
#include "messaging/relay.hpp"
#include "orders/catalogue.hpp"
#include "orders/keyed_batch.hpp"
#include "orders/order_store.hpp"
#include "orders/order_writer.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::orders {

struct CreateOrder {
    OrderRequest request;
    std::string idempotency_key;  ///< Empty: none.
    std::string fingerprint;      ///< Equal for equal requests; compared when the key was used before.
    std::string traceparent;
};

struct CreatedOrder {
    OrderView order;
    bool replayed = false;  ///< The order was created by an earlier request with the same key.
};

struct SetStatus {
    OrderStatus target;
    /// `precondition_failed` when the order has none of them; nullopt: any will do.
    ExpectedVersions expected_versions;
};

/// Another payment of an order whose payment failed.
struct PayAgain {
    OrderId id;
    Principal principal;  ///< Only an order's owner pays it.
    std::string payment_method;
    ExpectedVersions expected_versions;  ///< As in `SetStatus`.
    std::string idempotency_key;         ///< Empty: none.
    std::string fingerprint;             ///< As in `CreateOrder`.
    std::string traceparent;
};

struct RefundOrder {
    OrderId id;
    UserId requested_by;                       ///< An ADMIN: that is for the caller to know.
    std::optional<std::int64_t> amount_minor;  ///< All that is left when not set.
    std::string reason;
    std::string idempotency_key;  ///< Empty: none.
    std::string fingerprint;      ///< As in `CreateOrder`.
    std::string traceparent;
    ExpectedVersions expected_versions;  ///< As in `SetStatus`.
};

struct ChangeOrder {
    OrderId id;
    Principal principal;
    SetStatus change;
    std::string traceparent;
};

struct OrderPage {
    std::vector<OrderView> orders;
    bool has_more = false;
};

/// Thread safe. Every call returns at once; `done` runs exactly once, on a database thread (or on the
/// caller's when the queue is full) and must not block. `writers` and `readers` may be the same.
class OrderService {
public:
    OrderService(db::Scheduler& writers, db::Scheduler& readers, const OrderStore& store,
                 const ProductStore& products, const OrderWriter& writer, messaging::Relay& relay,
                 IdGenerator& ids, const Clock& clock, telemetry::Metrics& metrics);

    /// The order is committed, with its event, before `done` gets it. `invalid` for items that cannot be
    /// sold, or a key that named another request.
    void create(CreateOrder request, absl::AnyInvocable<void(Result<CreatedOrder>)> done);
    /// What `create` would answer to anything now, because too much is waiting: ask before reading a body.
    [[nodiscard]] std::optional<Error> create_refusal() const { return create_lane_.refusal(); }
    /// `not_found` also for an order of somebody else, unless the caller is ADMIN.
    void find(OrderId id, const Principal& principal, absl::AnyInvocable<void(Result<OrderView>)> done);
    void list(OrderQuery query, absl::AnyInvocable<void(Result<OrderPage>)> done);
    void history(OrderId id, const Principal& principal,
                 absl::AnyInvocable<void(Result<std::vector<HistoryEntry>>)> done);
    void change(ChangeOrder request, absl::AnyInvocable<void(Result<OrderView>)> done);
    /// The new attempt and its event are stored before `done` gets the order. `not_found`, `conflict` unless
    /// the last payment has failed, `precondition_failed`, `invalid` for a key that named another request.
    void pay_again(PayAgain request, absl::AnyInvocable<void(Result<ChangedOrder>)> done);
    /// The refund is reserved and its event stored before `done` gets the order. `not_found`, `conflict` when
    /// that much is not left, `precondition_failed`, `invalid` for a key that named another request.
    void refund(RefundOrder request, absl::AnyInvocable<void(Result<ChangedOrder>)> done);

    /// The receiver of subscription `order-service-sub`. A repeated or late update is known by its sequence,
    /// so this service keeps no inbox.
    void receive(std::vector<messaging::Delivery> deliveries);

    /// Starts housekeeping when it is due; returns at once. Call every few moments, from one thread.
    void step();

private:
    struct Update {
        contracts::PaymentUpdated event;
        std::string traceparent;
    };
    struct Purge {};

    std::vector<Result<CreatedOrder>> create_batch(db::Session& session, std::span<CreateOrder> requests);
    std::vector<Result<OrderView>> change_batch(db::Session& session, std::span<ChangeOrder> requests);
    std::vector<Result<ChangedOrder>> pay_again_batch(db::Session& session, std::span<PayAgain> requests);
    std::vector<Result<ChangedOrder>> refund_batch(db::Session& session, std::span<RefundOrder> requests);
    std::vector<Result<ChangedOrder>> change_and_publish(db::Session& session,
                                                         const std::vector<KeyedChange>& changes);
    std::vector<Result<Done>> update_batch(db::Session& session, std::span<Update> updates);
    std::vector<Result<Done>> purge_batch(db::Session& session, std::span<Purge> requests);

    const OrderStore& store_;
    const ProductStore& products_;
    const OrderWriter& writer_;
    messaging::Relay& relay_;
    IdGenerator& ids_;
    const Clock& clock_;
    telemetry::Counter& created_;
    telemetry::Histogram& create_batch_size_;
    std::chrono::steady_clock::time_point next_purge_{};
    std::atomic<bool> has_more_to_purge_ = false;

    db::Lane<CreateOrder, CreatedOrder> create_lane_;
    db::Lane<ChangeOrder, OrderView> change_lane_;
    db::Lane<PayAgain, ChangedOrder> pay_again_lane_;
    db::Lane<RefundOrder, ChangedOrder> refund_lane_;
    db::Lane<Update, Done> update_lane_;
    db::Lane<OrderKey, OrderView> find_lane_;
    db::Lane<OrderQuery, OrderPage> list_lane_;
    db::Lane<OrderKey, std::vector<HistoryEntry>> history_lane_;
    db::Lane<Purge, Done> purge_lane_;
};

/// Notes in the transaction of the relay that requests for payment were published: for `Relay`.
[[nodiscard]] messaging::Relay::OnPublished note_published(const OrderWriter& writer, const Clock& clock);

}  // namespace quittance::orders
