#include "apps/money_commands.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <boost/json.hpp>
#include <unistd.h>

#include "apps/environment.hpp"
#include "apps/service_database.hpp"
#include "audit/order_audit.hpp"
#include "audit/repair.hpp"
#include "payments/ledger_audit.hpp"
#include "payments/reconciliation.hpp"
#include "payments/simulator_gateway.hpp"
#include "payments/stuck.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::apps {

namespace json = boost::json;

namespace {

constexpr std::size_t max_findings = 100;
constexpr std::int64_t max_stuck = 1'000;

/// Does the work on a database of an existing shop, or on both. `label` names what it works on. Throws
/// ConfigurationError where the work throws StorageUnavailable.
template <class Work>
auto or_say_that_it_went_away(const std::string& label, Work work) {
    try {
        return work();
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + label + " went away: " + unavailable.what());
    }
}

template <class Work>
auto with_payments_database(const MoneyOptions& options, Work work) {
    const auto database = options.databases.payments();
    db::Session session(database);
    open_existing_database(session, database, db::payments_migrations());
    return or_say_that_it_went_away(database.label, [&] { return work(session); });
}

template <class Work>
auto with_both_databases(const MoneyOptions& options, Work work) {
    const auto of_orders = options.databases.orders();
    db::Session orders(of_orders);
    open_existing_database(orders, of_orders, db::orders_migrations());
    return with_payments_database(options, [&](db::Session& payments) {
        const std::string either = of_orders.label + " or " + options.databases.payments().label;
        return or_say_that_it_went_away(either, [&] { return work(orders, payments); });
    });
}

template <class Id>
Id id_of(const std::string& text, std::string_view what) {
    const auto id = Id::parse(text);
    if (!id) throw ConfigurationError(text + " is no id; the id of the " + std::string(what) + " is wanted");
    return *id;
}

/// One line on a terminal that says how far an audit is; where standard error is no terminal, nothing.
class TerminalProgress {
public:
    TerminalProgress() = default;
    TerminalProgress(const TerminalProgress&) = delete;
    TerminalProgress& operator=(const TerminalProgress&) = delete;
    ~TerminalProgress() {
        if (shown_) std::cerr << clear_line << std::flush;
    }

    void show(std::string_view subject, const payments::AuditProgress& progress) {
        const auto now = std::chrono::steady_clock::now();
        if (!is_terminal_ || now < next_) return;
        next_ = now + interval;
        shown_ = true;
        std::cerr << clear_line << subject << ": " << progress.done;
        if (progress.total > 0) std::cerr << " of " << progress.total;
        std::cerr << " " << progress.what << std::flush;
    }

private:
    static constexpr std::chrono::milliseconds interval{100};
    /// To the first column, and the line is empty (ECMA-48).
    static constexpr std::string_view clear_line = "\r\033[K";

    const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
    bool shown_ = false;
    std::chrono::steady_clock::time_point next_{};
};

/// Leaves most of the machine to the services: after each page of an audit it pauses for four times as long
/// as the page took, so that an audit works for a fifth of the time.
class Pace {
public:
    Pace(const Clock& clock, bool at_once)
        : clock_(clock), at_once_(at_once), page_began_(clock.steady_now()) {}

    void after_page() {
        if (at_once_) return;
        std::this_thread::sleep_for(pause_per_page * (clock_.steady_now() - page_began_));
        page_began_ = clock_.steady_now();
    }

private:
    static constexpr int pause_per_page = 4;

    const Clock& clock_;
    const bool at_once_;
    std::chrono::steady_clock::time_point page_began_;
};

json::object to_object(const payments::Stuck& stuck) {
    json::object object{{"paymentId", stuck.payment.id.to_string()},
                        {"orderId", stuck.payment.order_id.to_string()},
                        {"status", contracts::to_string(stuck.payment.status)},
                        {"amount", stuck.payment.amount.minor},
                        {"currency", stuck.payment.amount.currency.code()},
                        {"provider", stuck.payment.provider},
                        {"providerReference", stuck.payment.provider_reference},
                        {"since", to_rfc3339(stuck.since())}};
    if (stuck.refund) {
        object["refundId"] = stuck.refund->id.to_string();
        object["refundAmount"] = stuck.refund->amount_minor;
        object["refundState"] = payments::to_string(stuck.refund->state);
        if (stuck.refund->failure) object["refundFailure"] = stuck.refund->failure->code;
    }
    return object;
}

/// What `quittance reconcile` found.
struct Books {
    std::optional<audit::OrderAudit> orders;
    std::optional<payments::Reconciliation> payments;

    [[nodiscard]] std::size_t differences() const {
        return (orders ? orders->differences.size() : 0) + (payments ? payments->differences.size() : 0);
    }
};

json::object to_object(const audit::OrderDifference& difference) {
    json::object object{{"kind", audit::to_string(difference.kind)},
                        {"detail", difference.detail},
                        {"orderId", difference.order_id.to_string()}};
    if (!difference.payment_id.empty()) object["paymentId"] = difference.payment_id;
    return object;
}

json::object to_object(const payments::Difference& difference) {
    json::object object{{"kind", payments::to_string(difference.kind)}, {"detail", difference.detail}};
    if (!difference.payment_id.empty()) {
        object["paymentId"] = difference.payment_id;
        if (!difference.order_id.empty()) object["orderId"] = difference.order_id;
    }
    return object;
}

json::object to_object(const Books& books) {
    json::object object;
    json::array differences;
    if (books.orders) {
        object["orders"] = books.orders->compared;
        object["ordersUnderWay"] = books.orders->under_way;
        for (const auto& difference : books.orders->differences)
            differences.push_back(to_object(difference));
    }
    if (books.payments) {
        object["compared"] = books.payments->compared;
        object["underWay"] = books.payments->under_way;
        object["ofOtherProviders"] = books.payments->of_others;
        object["charges"] = books.payments->charges;
        object["chargesOfOthers"] = books.payments->charges_of_others;
        object["ledgerEntries"] = books.payments->ledger_entries;
        for (const auto& difference : books.payments->differences)
            differences.push_back(to_object(difference));
    }
    object["differences"] = std::move(differences);
    return object;
}

void print(const audit::OrderAudit& audit, std::ostream& out) {
    for (const auto& difference : audit.differences) {
        out << audit::to_string(difference.kind) << ": order " << difference.order_id.to_string() << ": ";
        if (!difference.payment_id.empty()) out << "payment " << difference.payment_id << ": ";
        out << difference.detail << "\n";
    }
    if (audit.more) out << "... and more\n";
    out << audit.compared << " orders compared with their payments, " << audit.under_way << " under way\n";
}

void print(const payments::Reconciliation& report, std::ostream& out) {
    for (const auto& difference : report.differences) {
        out << payments::to_string(difference.kind) << ": ";
        if (!difference.payment_id.empty()) out << "payment " << difference.payment_id << ": ";
        out << difference.detail << "\n";
    }
    out << report.compared << " payments compared, " << report.under_way << " under way, " << report.of_others
        << " of other providers, " << report.charges << " charges listed by the provider ("
        << report.charges_of_others << " not ours), " << report.ledger_entries << " ledger entries checked\n";
}

/// The number of differences by kind. Kinds without a difference are 0, so that an alert on them clears.
std::string exposition_of(const Books& books, Timestamp now) {
    telemetry::Metrics metrics;
    const auto count = [&](std::string_view kind, std::int64_t differences) {
        metrics.gauge("quittance_reconcile_differences", "Differences that the last reconciliation listed",
                      {{"kind", std::string(kind)}},
                      [differences] { return static_cast<double>(differences); });
    };
    if (books.orders) {
        for (const auto kind : audit::all_order_difference_kinds)
            count(audit::to_string(kind),
                  std::ranges::count(books.orders->differences, kind, &audit::OrderDifference::kind));
    }
    if (books.payments) {
        for (const auto kind : payments::all_difference_kinds)
            count(payments::to_string(kind),
                  std::ranges::count(books.payments->differences, kind, &payments::Difference::kind));
    }
    metrics.gauge("quittance_reconcile_completed_timestamp_seconds",
                  "When the last reconciliation was complete", {},
                  [now] { return static_cast<double>(to_ms(now)) / 1'000.0; });
    return metrics.expose();
}

/// Renames a new file to `path`, so that a reader never sees an unfinished one.
void replace_file(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::path unfinished = path;
    unfinished += ".unfinished";
    std::error_code error;
    {
        std::ofstream file(unfinished, std::ios::trunc);
        file << text;
        file.close();
        if (!file) error = std::make_error_code(std::errc::io_error);
    }
    // The exporter runs as another user.
    using std::filesystem::perms;
    if (!error) {
        std::filesystem::permissions(
            unfinished, perms::owner_read | perms::owner_write | perms::group_read | perms::others_read,
            error);
    }
    if (!error) std::filesystem::rename(unfinished, path, error);
    if (error) {
        std::filesystem::remove(unfinished, error);
        throw ConfigurationError("--metrics-file " + path.string() + " cannot be written");
    }
}

std::unique_ptr<payments::Gateway> provider_to_reconcile_with(const MoneyOptions& options,
                                                              Environment& environment) {
    auto gateway = options.gateway.make_for_reconcile(environment);
    if (gateway->name() == payments::SimulatorGateway::own_name) {
        throw ConfigurationError(
            "the simulator keeps its books in memory and forgets them when its program ends, so there is "
            "nothing to compare with; \"quittance reconcile --orders\" compares orders with payments, and "
            "\"quittance ledger verify\" the ledger with the payments");
    }
    return gateway;
}

}  // namespace

bool verify_ledger(const MoneyOptions& options, std::ostream& out) {
    const auto audit = with_payments_database(options, [&](db::Session& session) {
        const SystemClock clock;
        TerminalProgress progress;
        Pace pace(clock, options.at_once);
        return payments::audit_ledger(session, max_findings, [&](const payments::AuditProgress& now) {
            progress.show("ledger", now);
            pace.after_page();
        });
    });
    for (const auto& finding : audit.findings)
        out << finding.kind << ": " << finding.detail << "\n";
    if (audit.more) out << "... and more\n";
    out << audit.entries << " entries checked, " << audit.payments << " payments compared, "
        << (audit.findings.empty() ? "all is as it was posted" : "the ledger does not hold") << std::endl;
    return audit.findings.empty();
}

bool list_stuck_payments(const MoneyOptions& options, std::ostream& out) {
    const auto list = with_payments_database(
        options, [](db::Session& session) { return payments::list_stuck(session, max_stuck); });
    for (const auto& stuck : list)
        out << json::serialize(to_object(stuck)) << "\n";
    out.flush();
    if (std::ssize(list) >= max_stuck) std::cerr << "more may be stuck: these wait the longest" << std::endl;
    return list.empty();
}

void retry_payment(const MoneyOptions& options, std::ostream& out) {
    const auto id = uuid_from_string(options.id);
    const SystemClock clock;
    const bool found = id && with_payments_database(options, [&](db::Session& session) {
                           return payments::retry_stuck(session, *id, clock.now());
                       });
    if (!found) throw ConfigurationError("no payment or refund with the id " + options.id + " is stuck");
    out << options.id << " is back on the schedule; a running service asks the provider within moments"
        << std::endl;
}

void release_payments(const MoneyOptions& options, std::ostream& out) {
    Environment environment;
    const auto id = id_of<OrderId>(options.order_id, "order");
    const auto released = with_both_databases(options, [&](db::Session& orders, db::Session& payments) {
        return audit::release_payments(orders, payments, id, environment.ids, environment.clock);
    });
    if (!released) throw ConfigurationError(options.order_id + ": " + released.error().detail);
    out << *released << (*released == 1 ? " payment" : " payments")
        << " of this order will be voided or given back; a running service asks the provider within moments"
        << std::endl;
}

void restore_payment(const MoneyOptions& options, std::ostream& out) {
    Environment environment;
    const audit::LostPayment lost{id_of<PaymentId>(options.id, "payment"),
                                  id_of<OrderId>(options.order_id, "order"), options.attempt};
    const auto gateway = options.gateway.make_for_reconcile(environment);
    if (gateway->name() == payments::SimulatorGateway::own_name) {
        throw ConfigurationError(
            "the simulator forgets payments when its program ends, so none can be restored from it");
    }
    const auto restored = with_both_databases(options, [&](db::Session& orders, db::Session& payments) {
        return audit::restore_payment(orders, payments, lost, gateway->name(), environment.clock);
    });
    if (!restored) throw ConfigurationError(options.id + ": " + restored.error().detail);
    out << options.id << " is stored again; a running service asks the provider about it within moments"
        << std::endl;
}

bool reconcile_books(const MoneyOptions& options, std::ostream& out) {
    Environment environment;
    std::unique_ptr<payments::Gateway> gateway;
    if (!options.orders_only) gateway = provider_to_reconcile_with(options, environment);
    Books books;
    with_both_databases(options, [&](db::Session& orders, db::Session& payments) {
        TerminalProgress progress;
        Pace pace(environment.clock, options.at_once);
        audit::OrderAuditOptions of_orders;
        of_orders.report = [&](std::string_view what, std::int64_t done) {
            progress.show("comparing orders with payments", {what, done, 0});
            pace.after_page();
        };
        books.orders = audit::audit_orders(orders, payments, environment.clock.now(), of_orders);
        if (!gateway) return;
        payments::ReconcileOptions of_payments;
        of_payments.audit_progress = [&](const auto& now) {
            progress.show("ledger", now);
            pace.after_page();
        };
        books.payments = payments::reconcile(payments, *gateway, of_payments);
    });
    if (options.json) {
        out << json::serialize(to_object(books)) << std::endl;
    } else {
        print(*books.orders, out);
        if (books.payments) print(*books.payments, out);
        out << books.differences() << " differences" << std::endl;
    }
    if (!options.metrics_file.empty())
        replace_file(options.metrics_file, exposition_of(books, environment.clock.now()));
    return books.differences() == 0;
}

}  // namespace quittance::apps
