#include "orders/order_service.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "orders/refund_id.hpp"
#include "telemetry/lane_report.hpp"
#include "telemetry/log.hpp"

namespace quittance::orders {

namespace {

/// More than a subscription may have outstanding, so that a delivery never meets a full queue.
constexpr std::size_t max_queued_updates = 100'000;
constexpr std::chrono::milliseconds update_retry_pause{200};
constexpr std::chrono::minutes purge_interval{10};

/// Somebody waits for the answer: a refusal within this time is better than an answer much later.
constexpr std::chrono::milliseconds max_caller_wait{60};

BatchLimits write_limits() {
    BatchLimits limits;
    limits.max_wait = max_caller_wait;
    return limits;
}

BatchLimits update_limits() {
    BatchLimits limits;
    limits.max_queued = max_queued_updates;
    limits.retry_unavailable_after = update_retry_pause;
    return limits;
}

/// Reads wait less for each other when a batch is small; one statement serves it all the same. A second
/// worker is worth its statement from half a batch on.
BatchLimits read_limits() {
    BatchLimits limits;
    limits.max_batch = 128;
    limits.min_parallel_batch = 64;
    limits.max_wait = max_caller_wait;
    return limits;
}

/// These go one by one through a batch, so workers side by side are faster.
BatchLimits scan_limits() {
    BatchLimits limits = read_limits();
    limits.min_parallel_batch = 1;
    return limits;
}

std::optional<UserId> owner_for(const Principal& principal) {
    if (principal.role == Role::admin) return std::nullopt;
    return principal.user_id;
}

using KeyName = IdempotencyKey::Name;

/// Which request of a batch is decided how, while it is being worked out.
class CreateBatch {
public:
    CreateBatch(std::span<CreateOrder> requests, IdGenerator& ids, Timestamp now)
        : requests_(requests), results_(requests.size()), now_(now) {
        order_ids_.reserve(requests.size());
        for (std::size_t i = 0; i < requests.size(); ++i)
            order_ids_.push_back(ids.generate<OrderId>());
    }

    [[nodiscard]] std::vector<std::string> product_ids() const {
        std::vector<std::string> ids;
        for (const CreateOrder& request : requests_) {
            for (const RequestedItem& item : request.request.items)
                ids.push_back(item.product_id);
        }
        return ids;
    }

    [[nodiscard]] IdempotencyKey key_of(std::size_t i) const {
        const CreateOrder& request = requests_[i];
        return {request.request.user_id, request.idempotency_key, request.fingerprint, order_ids_[i].bytes(),
                now_};
    }

    /// The keys of all requests that have one, without repetition.
    [[nodiscard]] std::vector<IdempotencyKey> keys() const {
        std::map<KeyName, IdempotencyKey> distinct;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (requests_[i].idempotency_key.empty()) continue;
            IdempotencyKey key = key_of(i);
            distinct.try_emplace(key.name(), std::move(key));
        }
        std::vector<IdempotencyKey> keys;
        for (auto& [name, key] : distinct)
            keys.push_back(std::move(key));
        return keys;
    }

    /// Keys that were used before this batch.
    void set_used_keys(const std::vector<IdempotencyKey>& used) {
        for (const IdempotencyKey& key : used)
            used_[key.name()] = key;
    }

    /// Prices every request whose key is new. A request that repeats a key of this batch waits for it.
    void place(const Products& products) {
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            const CreateOrder& request = requests_[i];
            const IdempotencyKey key = key_of(i);
            if (!key.key.empty() && used_.contains(key.name())) continue;
            auto placed = place_order(request.request, products, order_ids_[i], now_);
            if (!placed) {
                results_[i] = std::move(placed).error();
                continue;
            }
            if (!key.key.empty()) used_[key.name()] = key;
            placed_.emplace(i, std::move(placed).value());
        }
    }

    /// The new keys, for storing; in one order for all batches, so that two of them cannot deadlock.
    [[nodiscard]] std::vector<IdempotencyKey> new_keys() const {
        std::vector<IdempotencyKey> keys;
        for (const auto& [i, transition] : placed_) {
            if (!requests_[i].idempotency_key.empty()) keys.push_back(key_of(i));
        }
        std::ranges::sort(keys, {}, &IdempotencyKey::name);
        return keys;
    }

    /// Somebody else may have stored a key since we looked: what they stored holds, ours is not placed.
    void yield_to(const std::vector<IdempotencyKey>& stored) {
        for (const IdempotencyKey& key : stored) {
            used_[key.name()] = key;
            std::erase_if(placed_, [&](const auto& entry) {
                const IdempotencyKey ours = key_of(entry.first);
                return ours.name() == key.name() && ours.subject != key.subject;
            });
        }
    }

    [[nodiscard]] std::vector<Transition> transitions() const {
        std::vector<Transition> transitions;
        for (const auto& [i, transition] : placed_)
            transitions.push_back(transition);
        return transitions;
    }

    [[nodiscard]] std::vector<std::string> traceparents() const {
        std::vector<std::string> traceparents;
        for (const auto& [i, transition] : placed_)
            traceparents.push_back(requests_[i].traceparent);
        return traceparents;
    }

    /// The orders that repeated requests are answered with.
    [[nodiscard]] std::vector<OrderId> replayed_ids() const {
        std::vector<OrderId> ids;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (results_[i] || placed_.contains(i)) continue;
            ids.emplace_back(used_.at(key_of(i).name()).subject);
        }
        return ids;
    }

    [[nodiscard]] std::vector<Result<CreatedOrder>> results(const std::vector<OrderView>& replayed) const {
        std::unordered_map<OrderId, const OrderView*> by_id;
        for (const OrderView& order : replayed)
            by_id[order.id] = &order;
        std::vector<Result<CreatedOrder>> results;
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            const auto placed = placed_.find(i);
            if (placed != placed_.end()) {
                results.emplace_back(CreatedOrder{view_of(placed->second.after), false});
            } else if (results_[i]) {
                results.emplace_back(*results_[i]);
            } else {
                results.push_back(replay(i, by_id));
            }
        }
        return results;
    }

private:
    [[nodiscard]] Result<CreatedOrder> replay(
        std::size_t i, const std::unordered_map<OrderId, const OrderView*>& by_id) const {
        const CreateOrder& request = requests_[i];
        const IdempotencyKey& first = used_.at(key_of(i).name());
        if (first.fingerprint != request.fingerprint) {
            return db::key_of_another_request();
        }
        const auto found = by_id.find(OrderId(first.subject));
        ensure(found != by_id.end(), "an idempotency key names a stored order");
        return CreatedOrder{first_version(*found->second, request.request.payment_method), true};
    }

    std::span<CreateOrder> requests_;
    std::vector<std::optional<Error>> results_;
    Timestamp now_;
    std::vector<OrderId> order_ids_;
    std::map<KeyName, IdempotencyKey> used_;
    std::map<std::size_t, Transition> placed_;
};

Error no_such_order() {
    return Error{ErrorCode::not_found, "There is no such order.", {}, 0};
}

/// Read when the order is locked, and never before its last change: the clocks of two instances differ, and
/// one thread may have waited for another.
Timestamp time_of_change(const Order& order, const Clock& clock) {
    return std::max(clock.now(), order.updated_at);
}

Result<Transition> decide(const Order& order, const ChangeOrder& request, Timestamp now) {
    const SetStatus& set = request.change;
    if (auto refusal = version_refusal(set.expected_versions, order.version)) return *std::move(refusal);
    return set_status(order, set.target, actor_of(request.principal.role), now);
}

KeyedChange to_change(const PayAgain& request, const Clock& clock) {
    const UserId payer = request.principal.user_id;
    return {{payer, request.idempotency_key, request.fingerprint, request.id.bytes(), clock.now()},
            {request.id, payer,
             [&request, &clock](const Order& order) -> Result<Transition> {
                 if (auto refusal = version_refusal(request.expected_versions, order.version)) {
                     return *std::move(refusal);
                 }
                 return pay_again(order, request.payment_method, actor_of(request.principal.role),
                                  time_of_change(order, clock));
             },
             request.traceparent}};
}

KeyedChange to_change(const RefundOrder& request, RefundId id, const Clock& clock) {
    return {
        {request.requested_by, request.idempotency_key, request.fingerprint, request.id.bytes(), clock.now()},
        {request.id, std::nullopt,
         [&request, &clock, id](const Order& order) -> Result<Transition> {
             if (auto refusal = version_refusal(request.expected_versions, order.version)) {
                 return *std::move(refusal);
             }
             return request_refund(order, id, request.amount_minor, request.reason, Actor::admin,
                                   time_of_change(order, clock));
         },
         request.traceparent}};
}

/// Whose orders a change may touch: its own, or with a trusted role, everybody's.
std::optional<UserId> owner_of_change(const ChangeOrder& request) {
    if (request.principal.role == Role::service) return std::nullopt;
    return owner_for(request.principal);
}

std::vector<Result<OrderView>> find_batch(const OrderStore& store, db::Session& session,
                                          std::span<OrderKey> keys) {
    std::vector<OrderId> ids;
    ids.reserve(keys.size());
    for (const OrderKey& key : keys)
        ids.push_back(key.id);
    std::unordered_multimap<OrderId, OrderView> found;
    found.reserve(keys.size());
    // An order that several ask for comes once for each of them.
    for (OrderView& order : store.find(session, ids))
        found.emplace(order.id, std::move(order));
    std::vector<Result<OrderView>> results;
    results.reserve(keys.size());
    for (const OrderKey& key : keys) {
        auto order = found.extract(key.id);
        const bool visible = !order.empty() && (!key.owner || order.mapped().user_id == *key.owner);
        if (visible) {
            results.emplace_back(std::move(order.mapped()));
        } else {
            results.emplace_back(no_such_order());
        }
    }
    return results;
}

}  // namespace

OrderService::OrderService(db::Scheduler& writers, db::Scheduler& readers, const OrderStore& store,
                           const ProductStore& products, const OrderWriter& writer, messaging::Relay& relay,
                           IdGenerator& ids, const Clock& clock, telemetry::Metrics& metrics)
    : store_(store),
      products_(products),
      writer_(writer),
      relay_(relay),
      ids_(ids),
      clock_(clock),
      created_(metrics.counter("orders_created_total", "Orders stored.")),
      create_batch_size_(metrics.size_histogram("order_create_batch_size", "Orders stored per transaction.")),
      create_lane_(
          writers, write_limits(),
          [this](db::Session& session, std::span<CreateOrder> requests) {
              return create_batch(session, requests);
          },
          telemetry::LaneReport(metrics, "order_create")),
      change_lane_(
          writers, write_limits(),
          [this](db::Session& session, std::span<ChangeOrder> requests) {
              return change_batch(session, requests);
          },
          telemetry::LaneReport(metrics, "order_change")),
      pay_again_lane_(
          writers, write_limits(),
          [this](db::Session& session, std::span<PayAgain> requests) {
              return pay_again_batch(session, requests);
          },
          telemetry::LaneReport(metrics, "order_pay_again")),
      refund_lane_(
          writers, {},
          [this](db::Session& session, std::span<RefundOrder> requests) {
              return refund_batch(session, requests);
          },
          telemetry::LaneReport(metrics, "order_refund")),
      update_lane_(
          writers, update_limits(),
          [this](db::Session& session, std::span<Update> updates) { return update_batch(session, updates); },
          telemetry::LaneReport(metrics, "order_update")),
      find_lane_(
          readers, read_limits(),
          [&store](db::Session& session, std::span<OrderKey> keys) {
              return find_batch(store, session, keys);
          },
          telemetry::LaneReport(metrics, "order_find")),
      list_lane_(
          readers, scan_limits(),
          [&store](db::Session& session, std::span<OrderQuery> queries) {
              std::vector<Result<OrderPage>> pages;
              for (OrderQuery query : queries) {
                  const std::int64_t wanted = query.limit++;
                  OrderPage page{store.list(session, query), false};
                  page.has_more = std::ssize(page.orders) > wanted;
                  if (page.has_more) page.orders.pop_back();
                  pages.emplace_back(std::move(page));
              }
              return pages;
          },
          telemetry::LaneReport(metrics, "order_list")),
      history_lane_(
          readers, scan_limits(),
          [&store](db::Session& session, std::span<OrderKey> keys) {
              std::vector<Result<std::vector<HistoryEntry>>> histories;
              for (const OrderKey& key : keys) {
                  auto entries = store.history(session, key);
                  if (entries.empty()) {
                      histories.emplace_back(no_such_order());
                  } else {
                      histories.emplace_back(std::move(entries));
                  }
              }
              return histories;
          },
          telemetry::LaneReport(metrics, "order_history")),
      purge_lane_(
          writers, {},
          [this](db::Session& session, std::span<Purge> requests) { return purge_batch(session, requests); },
          telemetry::LaneReport(metrics, "order_purge")) {}

void OrderService::create(CreateOrder request, absl::AnyInvocable<void(Result<CreatedOrder>)> done) {
    create_lane_.submit(std::move(request), std::move(done));
}

void OrderService::find(OrderId id, const Principal& principal,
                        absl::AnyInvocable<void(Result<OrderView>)> done) {
    find_lane_.submit({id, owner_for(principal)}, std::move(done));
}

void OrderService::list(OrderQuery query, absl::AnyInvocable<void(Result<OrderPage>)> done) {
    list_lane_.submit(query, std::move(done));
}

void OrderService::history(OrderId id, const Principal& principal,
                           absl::AnyInvocable<void(Result<std::vector<HistoryEntry>>)> done) {
    history_lane_.submit({id, owner_for(principal)}, std::move(done));
}

void OrderService::change(ChangeOrder request, absl::AnyInvocable<void(Result<OrderView>)> done) {
    change_lane_.submit(std::move(request), std::move(done));
}

void OrderService::pay_again(PayAgain request, absl::AnyInvocable<void(Result<ChangedOrder>)> done) {
    pay_again_lane_.submit(std::move(request), std::move(done));
}

void OrderService::refund(RefundOrder request, absl::AnyInvocable<void(Result<ChangedOrder>)> done) {
    refund_lane_.submit(std::move(request), std::move(done));
}

void OrderService::receive(std::vector<messaging::Delivery> deliveries) {
    for (messaging::Delivery& delivery : deliveries) {
        auto parsed = contracts::parse_order_update(delivery.message.type, delivery.message.data);
        if (!parsed) {
            std::move(delivery.handle).reject(parsed.error().detail);
            continue;
        }
        update_lane_.submit(
            {std::move(parsed).value(), delivery.message.traceparent},
            [handle = std::move(delivery.handle)](Result<Done> result) mutable {
                if (result) return std::move(handle).ack();
                if (result.error().code == ErrorCode::invalid || result.error().code == ErrorCode::given_up) {
                    return std::move(handle).reject(result.error().detail);
                }
                // Above all an order that is not known: it may be on its way.
                std::move(handle).nack();
            });
    }
}

void OrderService::step() {
    const auto now = clock_.steady_now();
    if (now < next_purge_ && !has_more_to_purge_.exchange(false)) return;
    next_purge_ = now + purge_interval;
    purge_lane_.submit({}, [](Result<Done> /*reported by the lane*/) {});
}

std::vector<Result<CreatedOrder>> OrderService::create_batch(db::Session& session,
                                                             std::span<CreateOrder> requests) {
    create_batch_size_.observe(static_cast<double>(requests.size()));
    CreateBatch batch(requests, ids_, clock_.now());
    db::Transaction transaction(session);
    const auto keys = batch.keys();
    if (!keys.empty()) batch.set_used_keys(store_.keys().find(session, keys));
    batch.place(products_.find(session, batch.product_ids()));
    const auto new_keys = batch.new_keys();
    if (!new_keys.empty() && store_.keys().insert_new(session, new_keys) < std::ssize(new_keys)) {
        batch.yield_to(store_.keys().find(session, new_keys));
    }
    std::vector<messaging::OutboxRow> events;
    const auto placed = batch.transitions();
    writer_.insert(session, placed, batch.traceparents(), events);
    const auto replayed = batch.replayed_ids();
    auto results =
        batch.results(replayed.empty() ? std::vector<OrderView>() : store_.find(session, replayed));
    auto announcement = relay_.store(session, std::move(events));
    transaction.commit([&]() noexcept {
        std::move(announcement).release();
        created_.add(static_cast<double>(placed.size()));
    });
    return results;
}

std::vector<Result<OrderView>> OrderService::change_batch(db::Session& session,
                                                          std::span<ChangeOrder> requests) {
    std::vector<OrderChange> changes;
    for (const ChangeOrder& request : requests) {
        changes.push_back(
            {request.id, owner_of_change(request),
             [&](const Order& order) { return decide(order, request, time_of_change(order, clock_)); },
             request.traceparent});
    }
    db::Transaction transaction(session);
    std::vector<messaging::OutboxRow> events;
    std::vector<Result<OrderView>> results;
    for (const Result<Order>& order : writer_.change(session, changes, events)) {
        results.push_back(order ? Result<OrderView>(view_of(*order)) : Result<OrderView>(order.error()));
    }
    auto announcement = relay_.store(session, std::move(events));
    transaction.commit([&]() noexcept { std::move(announcement).release(); });
    return results;
}

std::vector<Result<ChangedOrder>> OrderService::pay_again_batch(db::Session& session,
                                                                std::span<PayAgain> requests) {
    std::vector<KeyedChange> changes;
    for (const PayAgain& request : requests)
        changes.push_back(to_change(request, clock_));
    return change_and_publish(session, changes);
}

std::vector<Result<ChangedOrder>> OrderService::refund_batch(db::Session& session,
                                                             std::span<RefundOrder> requests) {
    std::vector<KeyedChange> changes;
    for (const RefundOrder& request : requests) {
        // The same request is the same refund also when its key was forgotten.
        const RefundId id = request.idempotency_key.empty()
                                ? ids_.generate<RefundId>()
                                : refund_id_of(request.requested_by, request.id, request.idempotency_key);
        changes.push_back(to_change(request, id, clock_));
    }
    return change_and_publish(session, changes);
}

std::vector<Result<ChangedOrder>> OrderService::change_and_publish(db::Session& session,
                                                                   const std::vector<KeyedChange>& changes) {
    db::Transaction transaction(session);
    std::vector<messaging::OutboxRow> events;
    auto results = change_under_keys(session, store_, writer_, changes, events);
    auto announcement = relay_.store(session, std::move(events));
    transaction.commit([&]() noexcept { std::move(announcement).release(); });
    return results;
}

std::vector<Result<Done>> OrderService::update_batch(db::Session& session, std::span<Update> updates) {
    std::vector<OrderChange> changes;
    for (const Update& update : updates) {
        changes.push_back({update.event.order_id, std::nullopt,
                           [&](const Order& order) {
                               return apply_payment_update(order, update.event,
                                                           time_of_change(order, clock_));
                           },
                           update.traceparent});
    }
    db::Transaction transaction(session);
    std::vector<messaging::OutboxRow> events;
    std::vector<Result<Done>> results;
    for (const Result<Order>& order : writer_.change(session, changes, events)) {
        results.push_back(order ? Result<Done>(Done{}) : Result<Done>(order.error()));
    }
    auto announcement = relay_.store(session, std::move(events));
    transaction.commit([&]() noexcept { std::move(announcement).release(); });
    return results;
}

std::vector<Result<Done>> OrderService::purge_batch(db::Session& session, std::span<Purge> requests) {
    const Timestamp now = clock_.now();
    db::Transaction transaction(session);
    const bool more = store_.keys().purge(session, now - db::idempotency_key_lifetime);
    std::vector<Result<Done>> results(requests.size(), Done{});
    transaction.commit();
    if (more) has_more_to_purge_ = true;
    return results;
}

messaging::Relay::OnPublished note_published(const OrderWriter& writer, const Clock& clock) {
    return [&writer, &clock](db::Session& session, std::span<const messaging::OutboxRow> rows) {
        std::vector<OrderChange> changes;
        for (const messaging::OutboxRow& row : rows) {
            if (row.message.type != contracts::OrderCreated::type) continue;
            const auto id = OrderId::parse(row.message.ordering_key);
            ensure(id.has_value(), "the ordering key of an order's event is the order's id");
            changes.push_back({*id, std::nullopt,
                               [&clock](const Order& order) -> Result<Transition> {
                                   return note_payment_requested(order, time_of_change(order, clock));
                               },
                               row.message.traceparent});
        }
        if (changes.empty()) return;
        std::vector<messaging::OutboxRow> no_events;
        static_cast<void>(writer.change(session, changes, no_events));
    };
}

}  // namespace quittance::orders
