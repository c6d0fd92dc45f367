#include "tests/size/measurements.hpp"

#include <memory>

#include "core/manual_clock.hpp"
#include "core/random.hpp"
#include "db/idempotency_keys.hpp"
#include "messaging/inbox.hpp"
#include "messaging/relay_lease.hpp"
#include "messaging/relay_orphans.hpp"
#include "orders/catalogue.hpp"
#include "orders/order_store.hpp"
#include "payments/ledger_store.hpp"
#include "payments/provider_notices.hpp"
#include "payments/refund_store.hpp"
#include "payments/stuck.hpp"
#include "telemetry/metrics.hpp"
#include "tests/size/generated_rows.hpp"
#include "users/user_store.hpp"

namespace quittance::size {

namespace {

using db::Session;
using messaging::Outbox;

/// What a relay holds and its sweep reads.
constexpr std::int64_t relay_rows = 4'096;
constexpr std::int64_t sweep_rows = relay_rows + 1'024;
constexpr std::int64_t batch_rows = 256;

const Timestamp now = timestamp_from_ms(now_ms);

SystemRandom& randomness() {
    static SystemRandom random;
    return random;
}

std::vector<messaging::OutboxRow> new_rows() {
    std::vector<messaging::OutboxRow> rows;
    for (std::int64_t i = 0; i < batch_rows; ++i) {
        const std::string id = "new-" + std::to_string(i);
        rows.push_back({"payment-events", {id, "type", "order-service", now, id, "", "{}"}});
    }
    return rows;
}

template <class IdType>
std::vector<IdType> ids(std::int64_t rows) {
    std::vector<IdType> found;
    for (std::int64_t i = 0; i < batch_rows; ++i)
        found.push_back(*IdType::parse(nth_id(1 + i * rows / batch_rows)));
    return found;
}

void add_measurements_of_outbox(std::vector<Measurement>& all, std::int64_t rows) {
    const auto add = [&all](const std::string& name, bool rolled_back, auto run) {
        all.push_back({"messaging/outbox.cpp Outbox::" + name,
                       [run](Session& session) { run(session, Outbox(session.dialect())); }, rolled_back});
    };
    const std::string living(living_owner);
    const std::string dead(dead_owner);
    add("backlog", false, [](Session& s, const Outbox& outbox) { static_cast<void>(outbox.backlog(s)); });
    add("any_claimable", false,
        [](Session& s, const Outbox& outbox) { static_cast<void>(outbox.any_claimable(s)); });
    add("any_claimable [none is]", true, [living](Session& s, const Outbox& outbox) {
        // Each unowned row that is looked at stands behind one that an instance has.
        s.run(
            "INSERT INTO outbox (event_id, topic, type, source, ordering_key, traceparent, data, "
            "created_at, owner) SELECT event_id, topic, type, source, ordering_key, traceparent, data, "
            "created_at, '" +
            living + "' FROM (SELECT " +
            (s.dialect().engine() == db::Engine::mysql ? "CONCAT('before ', event_id)"
                                                       : "'before ' || event_id") +
            " AS event_id, topic, type, source, ordering_key, traceparent, data, created_at FROM outbox "
            "WHERE owner >= '' AND owner <= '' ORDER BY owner, seq LIMIT 2000) AS unowned");
        static_cast<void>(outbox.any_claimable(s));
    });
    add("oldest_of", false, [living](Session& s, const Outbox& outbox) {
        static_cast<void>(outbox.oldest_of(s, living, sweep_rows));
    });
    add("oldest_of [no rows]", false, [](Session& s, const Outbox& outbox) {
        static_cast<void>(outbox.oldest_of(s, "another-instance", sweep_rows));
    });
    add("next_owner", false, [living](Session& s, const Outbox& outbox) {
        for (const std::string& after : {std::string(), living, std::string("zzz")})
            static_cast<void>(outbox.next_owner(s, after));
    });
    add("claim", true, [living](Session& s, const Outbox& outbox) {
        static_cast<void>(outbox.claim(s, living, relay_rows));
    });
    add("leave_to_nobody", true,
        [dead](Session& s, const Outbox& outbox) { static_cast<void>(outbox.leave_to_nobody(s, dead)); });
    add("dead_letters", false,
        [](Session& s, const Outbox& outbox) { static_cast<void>(outbox.dead_letters(s, 100)); });
    add("dead_letter", false,
        [](Session& s, const Outbox& outbox) { static_cast<void>(outbox.dead_letter(s, "dead-7")); });
    add("replay", true,
        [](Session& s, const Outbox& outbox) { static_cast<void>(outbox.replay(s, "dead-7")); });
    add("insert", true, [](Session& s, const Outbox& outbox) { outbox.insert(s, new_rows()); });
    add("insert_for", true, [living](Session& s, const Outbox& outbox) {
        static_cast<void>(outbox.insert_for(s, living, new_rows()));
    });
    add("remove", true, [rows](Session& s, const Outbox& outbox) {
        std::vector<std::string> published;
        for (std::int64_t i = 0; i < batch_rows; ++i)
            published.push_back("event-living-instance-" + std::to_string(1 + i * rows / 2 / batch_rows));
        outbox.remove(s, published);
    });
}

void add_measurements_of_relay(std::vector<Measurement>& all) {
    all.push_back({"messaging/relay_lease.cpp RelayLease::renew", [](Session& session) {
                       const ManualClock clock;
                       const Outbox outbox(session.dialect());
                       messaging::RelayLease lease(outbox, randomness(), clock, false);
                       static_cast<void>(lease.renew(session));
                       static_cast<void>(lease.renew(session));
                       lease.give_up(session);
                   }});
    all.push_back({"messaging/relay_orphans.cpp RelayOrphans::step", [](Session& session) {
                       const Outbox outbox(session.dialect());
                       static_cast<void>(messaging::RelayOrphans(outbox).step(session));
                   }});
}

Measurement purge_of_keys(std::string_view subject_column) {
    return {"db/idempotency_keys.cpp IdempotencyKeyStore::purge", [subject_column](Session& session) {
                db::IdempotencyKeyStore(session.dialect(), subject_column)
                    .purge(session, now - db::idempotency_key_lifetime);
            }};
}

}  // namespace

std::vector<Measurement> measurements_of_orders(std::int64_t rows) {
    using orders::OrderStore;
    std::vector<Measurement> all;
    add_measurements_of_outbox(all, rows);
    add_measurements_of_relay(all);
    const auto add = [&all](const std::string& name, auto run) {
        all.push_back({"orders/order_store.cpp OrderStore::" + name,
                       [run](Session& session) { run(session, OrderStore(session.dialect())); }});
    };
    all.push_back(purge_of_keys("order_id"));
    add("list", [](Session& s, const OrderStore& store) {
        const auto owner = UserId::parse(nth_id(2));
        static_cast<void>(store.list(s, {.owner = owner, .limit = 101}));
    });
    add("page", [rows](Session& s, const OrderStore& store) {
        static_cast<void>(store.page(s, *OrderId::parse(nth_id(rows / 2)), batch_rows));
    });
    add("list [all]", [rows](Session& s, const OrderStore& store) {
        static_cast<void>(store.list(s, {.before = OrderId::parse(nth_id(rows / 2)), .limit = 101}));
    });
    add("find", [rows](Session& s, const OrderStore& store) {
        static_cast<void>(store.find(s, ids<OrderId>(rows)));
    });
    add("history", [rows](Session& s, const OrderStore& store) {
        static_cast<void>(store.history(s, {*OrderId::parse(nth_id(rows / 2)), std::nullopt}));
    });
    all.push_back({"orders/catalogue.cpp ProductStore::list", [](Session& session) {
                       const orders::ProductStore store(session.dialect());
                       static_cast<void>(store.list(session, "product-3", 101));
                   }});
    all.push_back({"users/user_store.cpp UserStore::purge",
                   [](Session& session) { users::UserStore(session.dialect()).purge(session, now); }});
    return all;
}

std::vector<Measurement> measurements_of_payments(std::int64_t rows) {
    using namespace payments;
    std::vector<Measurement> all;
    add_measurements_of_outbox(all, rows);
    add_measurements_of_relay(all);
    const auto add = [&all](const std::string& name, bool rolled_back, auto run) {
        all.push_back({name, run, rolled_back});
    };
    add("messaging/inbox.cpp Inbox::purge", false,
        [](Session& s) { messaging::Inbox(s.dialect(), randomness()).purge(s, now - std::chrono::days(8)); });
    add("messaging/inbox.cpp Inbox::record", true, [](Session& s) {
        std::vector<std::string> events;
        for (std::int64_t i = 0; i < batch_rows; ++i)
            events.push_back("event-" + std::to_string(i * 50));
        static_cast<void>(messaging::Inbox(s.dialect(), randomness()).record(s, events, now));
    });
    all.push_back(purge_of_keys("payment_id"));
    add("payments/provider_notices.cpp ProviderNotices::replay", false, [](Session& s) {
        const ManualClock clock;
        telemetry::Metrics metrics;
        db::Scheduler scheduler(clock);
        ProviderNotices notices(scheduler, s.dialect(), randomness(), clock, metrics);
        notices.step();
        while (scheduler.step(s)) {
        }
    });
    add("payments/stuck.cpp count_stuck", false, [](Session& s) { static_cast<void>(count_stuck(s)); });
    add("payments/stuck.cpp list_stuck", false, [](Session& s) { static_cast<void>(list_stuck(s, 1'000)); });
    add("payments/stuck.cpp retry_stuck", false,
        [](Session& s) { static_cast<void>(retry_stuck(s, PaymentId::parse(nth_id(30))->bytes(), now)); });
    add("payments/payment_store.cpp PaymentStore::any_due", false,
        [](Session& s) { static_cast<void>(PaymentStore(s.dialect()).any_due(s, "simulator", now)); });
    add("payments/payment_store.cpp PaymentStore::due_and_lock", true, [](Session& s) {
        static_cast<void>(PaymentStore(s.dialect()).due_and_lock(s, "simulator", now, batch_rows));
    });
    add("payments/payment_store.cpp PaymentStore::page", false, [rows](Session& s) {
        static_cast<void>(PaymentStore(s.dialect()).page(s, *PaymentId::parse(nth_id(rows / 2)), batch_rows));
    });
    add("payments/payment_store.cpp PaymentStore::find", false, [rows](Session& s) {
        std::vector<Visible<PaymentId>> wanted;
        for (const PaymentId& id : ids<PaymentId>(rows))
            wanted.push_back({id, std::nullopt});
        static_cast<void>(PaymentStore(s.dialect()).find(s, wanted));
    });
    add("payments/payment_store.cpp PaymentStore::list", false, [rows](Session& s) {
        std::vector<Visible<OrderId>> wanted;
        for (const OrderId& id : ids<OrderId>(rows))
            wanted.push_back({id, std::nullopt});
        static_cast<void>(PaymentStore(s.dialect()).list(s, wanted));
    });
    add("payments/refund_store.cpp RefundStore::any_due", false,
        [](Session& s) { static_cast<void>(RefundStore(s.dialect()).any_due(s, "simulator", now)); });
    add("payments/refund_store.cpp RefundStore::due_and_lock", true, [](Session& s) {
        static_cast<void>(RefundStore(s.dialect()).due_and_lock(s, "simulator", now, batch_rows));
    });
    add("payments/ledger_store.cpp LedgerStore::entries_of", false, [rows](Session& s) {
        static_cast<void>(LedgerStore(s.dialect()).entries_of(s, *OrderId::parse(nth_id(rows / 2)), {}, 51));
    });
    // The first question after the start reads all, in pages; this is every other one.
    const auto sums = std::make_shared<LedgerSums>();
    add("payments/ledger_store.cpp LedgerStore::balances", false,
        [sums](Session& s) { static_cast<void>(LedgerStore(s.dialect()).balances(s, *sums)); });
    return all;
}

}  // namespace quittance::size
