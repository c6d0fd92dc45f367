// Every function of the product that runs a statement, and what bounds it.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace quittance::size {

enum class Bound {
    measured,  ///< Periodic, or an operator's: `statements_test.cpp` runs it on large tables.
    batch,     ///< Looks up the keys of one batch, or writes its rows.
    part,      ///< Part of functions that are listed here themselves.
    start,     ///< When a program starts, on the tables of instances and of migrations.
    one,       ///< The settings of a connection, or of the one thing that it is about.
};

/// By "file function", as `statements_test.cpp` finds them in the sources. A function that is missing here
/// fails the test, so that nobody adds a statement without asking what bounds it.
inline const std::map<std::string, Bound, std::less<>> statements{
    {"apps/database_watch.cpp DatabaseWatch::try_to_write", Bound::one},
    {"apps/service_database.cpp connection_limit", Bound::start},
    {"apps/sqlite_log.cpp SqliteLog::cut_back", Bound::one},
    {"db/idempotency_keys.cpp IdempotencyKeyStore::find", Bound::batch},
    {"db/idempotency_keys.cpp IdempotencyKeyStore::insert_new", Bound::batch},
    {"db/idempotency_keys.cpp IdempotencyKeyStore::purge", Bound::measured},
    {"messaging/inbox.cpp Inbox::purge", Bound::measured},
    {"messaging/inbox.cpp Inbox::record", Bound::measured},
    {"messaging/outbox.cpp Outbox::any_claimable", Bound::measured},
    {"messaging/outbox.cpp Outbox::backlog", Bound::measured},
    {"messaging/outbox.cpp Outbox::claim", Bound::measured},
    {"messaging/outbox.cpp Outbox::dead_letter", Bound::measured},
    {"messaging/outbox.cpp Outbox::dead_letters", Bound::measured},
    {"messaging/outbox.cpp Outbox::insert", Bound::measured},
    {"messaging/outbox.cpp Outbox::insert_dead_letters", Bound::batch},
    {"messaging/outbox.cpp Outbox::insert_for", Bound::measured},
    {"messaging/outbox.cpp Outbox::leave_to_nobody", Bound::measured},
    {"messaging/outbox.cpp Outbox::next_owner", Bound::measured},
    {"messaging/outbox.cpp Outbox::oldest_of", Bound::measured},
    {"messaging/outbox.cpp Outbox::remove", Bound::measured},
    {"messaging/outbox.cpp Outbox::replay", Bound::measured},
    {"messaging/outbox.cpp select_letters", Bound::part},
    {"messaging/outbox.cpp select_rows", Bound::part},
    {"messaging/relay_lease.cpp RelayLease::give_up", Bound::start},
    {"messaging/relay_lease.cpp RelayLease::join", Bound::start},
    {"messaging/relay_lease.cpp RelayLease::renew", Bound::measured},
    {"messaging/relay_lease.cpp RelayLease::watch_others", Bound::part},
    {"messaging/relay_orphans.cpp RelayOrphans::step", Bound::measured},
    {"orders/catalogue.cpp ProductStore::find", Bound::batch},
    {"orders/catalogue.cpp ProductStore::list", Bound::measured},
    {"orders/catalogue.cpp ProductStore::find_and_lock", Bound::batch},
    {"orders/catalogue.cpp ProductStore::insert", Bound::batch},
    {"orders/catalogue.cpp ProductStore::update", Bound::batch},
    {"orders/order_store.cpp OrderStore::find", Bound::measured},
    {"orders/order_store.cpp OrderStore::find_and_lock", Bound::batch},
    {"orders/order_store.cpp OrderStore::history", Bound::measured},
    {"orders/order_store.cpp OrderStore::insert", Bound::batch},
    {"orders/order_store.cpp OrderStore::insert_history", Bound::batch},
    // But not by status: docs/operations.md, "Lists by status".
    {"orders/order_store.cpp OrderStore::list", Bound::measured},
    {"orders/order_store.cpp OrderStore::page", Bound::measured},
    {"orders/order_store.cpp OrderStore::update", Bound::batch},
    {"orders/order_store.cpp select_orders", Bound::part},
    {"orders/order_store.cpp select_rows", Bound::part},
    {"orders/order_store.cpp select_views", Bound::part},
    {"payments/ledger_audit.cpp Audit", Bound::measured},
    {"payments/ledger_store.cpp LedgerStore::add_stretch", Bound::part},
    {"payments/ledger_store.cpp LedgerStore::append", Bound::batch},
    {"payments/ledger_store.cpp LedgerStore::balances", Bound::measured},
    {"payments/ledger_store.cpp LedgerStore::entries_of", Bound::measured},
    {"payments/ledger_store.cpp LedgerStore::heads", Bound::part},
    {"payments/ledger_store.cpp LedgerStore::stretch", Bound::part},
    {"payments/ledger_store.cpp LedgerStore::take_a_chain", Bound::batch},
    {"payments/ledger_store.cpp select_entries", Bound::part},
    {"payments/ledger_store.cpp select_heads", Bound::part},
    {"payments/payment_store.cpp PaymentStore::any_due", Bound::measured},
    {"payments/payment_store.cpp PaymentStore::due_and_lock", Bound::measured},
    {"payments/payment_store.cpp PaymentStore::find", Bound::measured},
    {"payments/payment_store.cpp PaymentStore::find_and_lock", Bound::batch},
    {"payments/payment_store.cpp PaymentStore::find_stuck", Bound::part},
    {"payments/payment_store.cpp PaymentStore::insert_new", Bound::batch},
    {"payments/payment_store.cpp PaymentStore::list", Bound::measured},
    {"payments/payment_store.cpp PaymentStore::page", Bound::measured},
    {"payments/payment_store.cpp PaymentStore::prolong_claims", Bound::batch},
    {"payments/payment_store.cpp PaymentStore::reschedule", Bound::batch},
    {"payments/payment_store.cpp PaymentStore::update", Bound::batch},
    {"payments/payment_store.cpp PaymentStore::update_charge", Bound::batch},
    {"payments/payment_store.cpp select_payments", Bound::part},
    {"payments/provider_notices.cpp ProviderNotices::record", Bound::batch},
    {"payments/provider_notices.cpp ProviderNotices::replay", Bound::measured},
    {"payments/refund_store.cpp RefundStore::any_due", Bound::measured},
    {"payments/refund_store.cpp RefundStore::due_and_lock", Bound::measured},
    {"payments/refund_store.cpp RefundStore::find", Bound::batch},
    {"payments/refund_store.cpp RefundStore::find_stuck", Bound::part},
    {"payments/refund_store.cpp RefundStore::insert", Bound::batch},
    {"payments/refund_store.cpp RefundStore::list", Bound::batch},
    {"payments/refund_store.cpp RefundStore::prolong_claims", Bound::batch},
    {"payments/refund_store.cpp RefundStore::update", Bound::batch},
    {"payments/refund_store.cpp select_refunds", Bound::part},
    {"payments/stuck.cpp count_stuck", Bound::measured},
    {"payments/stuck.cpp list_stuck", Bound::measured},
    {"users/user_store.cpp UserStore::clear_login_failures", Bound::batch},
    {"users/user_store.cpp UserStore::find", Bound::batch},
    {"users/user_store.cpp UserStore::find_by_email", Bound::batch},
    // An operator's, over what failed within an hour.
    {"users/user_store.cpp UserStore::forget_login_failures", Bound::one},
    {"users/user_store.cpp UserStore::insert", Bound::batch},
    {"users/user_store.cpp UserStore::insert_families", Bound::batch},
    {"users/user_store.cpp UserStore::lock_families", Bound::batch},
    {"users/user_store.cpp UserStore::lock_login_failures", Bound::batch},
    {"users/user_store.cpp UserStore::login_failures", Bound::batch},
    {"users/user_store.cpp UserStore::purge", Bound::measured},
    {"users/user_store.cpp UserStore::put_login_failures", Bound::batch},
    {"users/user_store.cpp UserStore::remove_families", Bound::batch},
    {"users/user_store.cpp UserStore::set_password_hashes", Bound::batch},
    {"users/user_store.cpp UserStore::update_families", Bound::batch},
    {"users/user_store.cpp select_failures", Bound::part},
};

}  // namespace quittance::size
