#include "apps/money_commands.hpp"

#include <chrono>
#include <functional>
#include <iostream>
#include <string_view>

#include <boost/json.hpp>
#include <unistd.h>

#include "apps/environment.hpp"
#include "apps/service_database.hpp"
#include "payments/ledger_audit.hpp"
#include "payments/reconciliation.hpp"
#include "payments/simulator_gateway.hpp"
#include "payments/stuck.hpp"

namespace quittance::apps {

namespace json = boost::json;

namespace {

constexpr std::size_t max_findings = 100;
constexpr std::int64_t max_stuck = 1'000;

template <class Work>
auto with_payments_database(const MoneyOptions& options, Work work) {
    const auto database = options.databases.payments();
    db::Session session(database);
    open_existing_database(session, database, db::payments_migrations());
    try {
        return work(session);
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + database.label + " went away: " + unavailable.what());
    }
}

/// One line on a terminal that says how far an audit is; where standard error is none, nothing.
class TerminalProgress {
public:
    TerminalProgress() = default;
    TerminalProgress(const TerminalProgress&) = delete;
    TerminalProgress& operator=(const TerminalProgress&) = delete;
    ~TerminalProgress() {
        if (shown_) std::cerr << clear_line << std::flush;
    }

    void show(const payments::AuditProgress& progress) {
        const auto now = std::chrono::steady_clock::now();
        if (!is_terminal_ || now < next_) return;
        next_ = now + interval;
        shown_ = true;
        std::cerr << clear_line << "ledger: " << progress.done;
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

json::object to_object(const payments::Difference& difference) {
    json::object object{{"kind", payments::to_string(difference.kind)}, {"detail", difference.detail}};
    if (!difference.payment_id.empty()) {
        object["paymentId"] = difference.payment_id;
        if (!difference.order_id.empty()) object["orderId"] = difference.order_id;
    }
    return object;
}

void print(const payments::Reconciliation& report, bool as_json, std::ostream& out) {
    if (as_json) {
        json::array differences;
        for (const auto& difference : report.differences)
            differences.push_back(to_object(difference));
        out << json::serialize(json::object{{"compared", report.compared},
                                            {"underWay", report.under_way},
                                            {"ofOtherProviders", report.of_others},
                                            {"charges", report.charges},
                                            {"chargesOfOthers", report.charges_of_others},
                                            {"ledgerEntries", report.ledger_entries},
                                            {"differences", std::move(differences)}})
            << std::endl;
        return;
    }
    for (const auto& difference : report.differences) {
        out << payments::to_string(difference.kind) << ": ";
        if (!difference.payment_id.empty()) out << "payment " << difference.payment_id << ": ";
        out << difference.detail << "\n";
    }
    out << report.compared << " payments compared, " << report.under_way << " under way, " << report.of_others
        << " of other providers, " << report.charges << " charges listed by the provider ("
        << report.charges_of_others << " not ours), " << report.ledger_entries << " ledger entries checked, "
        << report.differences.size() << " differences" << std::endl;
}

}  // namespace

bool verify_ledger(const MoneyOptions& options, std::ostream& out) {
    const auto audit = with_payments_database(options, [](db::Session& session) {
        TerminalProgress progress;
        return payments::audit_ledger(session, max_findings,
                                      [&](const payments::AuditProgress& now) { progress.show(now); });
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

bool reconcile_payments(const MoneyOptions& options, std::ostream& out) {
    Environment environment;
    const auto gateway = options.gateway.make_for_reconcile(environment);
    if (gateway->name() == payments::SimulatorGateway::own_name) {
        throw ConfigurationError(
            "the simulator keeps its books in memory and forgets them when its program ends, so there is "
            "nothing to compare with; \"quittance ledger verify\" checks the ledger against the payments");
    }
    const auto report = with_payments_database(options, [&](db::Session& session) {
        TerminalProgress progress;
        payments::ReconcileOptions choice;
        choice.audit_progress = [&](const payments::AuditProgress& now) { progress.show(now); };
        return payments::reconcile(session, *gateway, choice);
    });
    print(report, options.json, out);
    return report.differences.empty();
}

}  // namespace quittance::apps
