#include "payments/reconciliation.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "payments/ledger_audit.hpp"
#include "payments/payment_store.hpp"
#include "payments/stuck.hpp"

namespace quittance::payments {

namespace {

using contracts::PaymentStatus;

constexpr std::int64_t payments_per_page = 256;
constexpr std::int64_t max_stuck_listed = 1000;
constexpr std::size_t max_ledger_findings = 1000;

Difference difference(DifferenceKind kind, const Payment& payment, std::string detail) {
    return {kind, payment.id.to_string(), payment.order_id.to_string(), std::move(detail)};
}

/// Whether the provider should know of a payment at all.
bool was_made(const Payment& payment) {
    return payment.captured_minor > 0 || payment.status == PaymentStatus::authorized ||
           payment.status == PaymentStatus::requires_action;
}

/// Without a reference a payment has to be searched for, and to tell that it is not there takes long. Where
/// it should not be there, the list of all that the provider holds tells as well.
bool is_left_to_the_list(const Payment& payment) {
    return payment.provider_reference.empty() && !was_made(payment);
}

std::string ours_and_theirs(std::int64_t ours, std::int64_t theirs) {
    return "here " + std::to_string(ours) + ", at the provider " + std::to_string(theirs);
}

/// Look-ups of one page, a few at once. Answers that come too late find nobody any more.
class LookUps {
public:
    LookUps(Gateway& gateway, const ReconcileOptions& options) : gateway_(gateway), options_(options) {}

    std::vector<GatewayResult> ask(const std::vector<Payment>& payments) {
        const auto page = std::make_shared<Page>();
        page->answers.resize(payments.size());
        for (std::size_t i = 0; i < payments.size(); ++i) {
            if (!wait_for_less_than(*page, options_.calls_at_once)) break;
            {
                const std::lock_guard lock(page->mutex);
                ++page->in_flight;
            }
            gateway_.look_up(gateway_request(payments[i], GatewayCall::look_up),
                             [page, i](GatewayResult answer) {
                                 const std::lock_guard lock(page->mutex);
                                 page->answers[i] = std::move(answer);
                                 --page->in_flight;
                                 page->answered.notify_all();
                             });
        }
        static_cast<void>(wait_for_less_than(*page, 1));
        const std::lock_guard lock(page->mutex);
        return page->answers;
    }

private:
    struct Page {
        std::mutex mutex;
        std::condition_variable answered;
        std::size_t in_flight = 0;
        std::vector<GatewayResult> answers;  // UNKNOWN until it is there.
    };

    [[nodiscard]] bool wait_for_less_than(Page& page, std::size_t calls) const {
        std::unique_lock lock(page.mutex);
        return page.answered.wait_for(lock, options_.patience, [&] { return page.in_flight < calls; });
    }

    Gateway& gateway_;
    const ReconcileOptions& options_;
};

/// Reads the payments again and asks again: what changed while we compared is no difference.
std::vector<Difference> compare_again(db::Session& session, const PaymentStore& store, LookUps& look_ups,
                                      const std::vector<Payment>& suspects) {
    std::vector<Visible<PaymentId>> wanted;
    for (const Payment& payment : suspects)
        wanted.push_back({payment.id, std::nullopt});
    const auto payments = store.find(session, wanted);
    const auto answers = look_ups.ask(payments);
    std::vector<Difference> differences;
    for (std::size_t i = 0; i < payments.size(); ++i) {
        if (is_under_way(payments[i])) continue;
        for (Difference& found : compare(payments[i], answers[i]))
            differences.push_back(std::move(found));
    }
    return differences;
}

/// Returns when the first of this provider's payments was begun, if there is any.
std::optional<Timestamp> compare_payments(db::Session& session, Gateway& gateway,
                                          const ReconcileOptions& options, Reconciliation& report) {
    const PaymentStore store(session.dialect());
    LookUps look_ups(gateway, options);
    PaymentId last;
    std::optional<Timestamp> first;
    while (true) {
        const auto page = store.page(session, last, payments_per_page);
        if (page.empty()) return first;
        last = page.back().id;
        std::vector<Payment> wanted;
        for (const Payment& payment : page) {
            if (payment.provider != gateway.name()) {
                ++report.of_others;
                continue;
            }
            if (!first || payment.created_at < *first) first = payment.created_at;
            if (is_under_way(payment)) {
                ++report.under_way;
            } else if (payment.amount.minor > 0) {
                ++report.compared;
                if (!is_left_to_the_list(payment)) wanted.push_back(payment);
            }
        }
        const auto answers = look_ups.ask(wanted);
        std::vector<Payment> suspects;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if (!compare(wanted[i], answers[i]).empty()) suspects.push_back(wanted[i]);
        }
        if (suspects.empty()) continue;
        for (Difference& found : compare_again(session, store, look_ups, suspects))
            report.differences.push_back(std::move(found));
    }
}

/// Goes through what the provider lists. A payment is stored before the provider hears of it, so whoever is
/// listed and is not here never was, or is lost.
class ListedCharges {
public:
    ListedCharges(db::Session& session, Gateway& gateway, const ReconcileOptions& options,
                  Reconciliation& report)
        : session_(session),
          store_(session.dialect()),
          gateway_(gateway),
          options_(options),
          report_(report) {
        for (const Difference& one : report.differences) {
            if (one.kind == DifferenceKind::missing_at_provider) missing_.insert(one.payment_id);
        }
    }

    void check(Timestamp since) {
        std::string after;
        do {
            ChargePage page = ask(since, after);
            if (!page.readable) {
                report_.differences.push_back(
                    {DifferenceKind::not_answered, "", "", "the provider did not list what it has charged"});
                return;
            }
            report_.charges += std::ssize(page.charges);
            judge(page.charges);
            after = std::move(page.next);
        } while (!after.empty());
    }

private:
    ChargePage ask(Timestamp since, const std::string& after) {
        struct Answer {
            std::mutex mutex;
            std::condition_variable arrived;
            std::optional<ChargePage> page;
        };
        const auto answer = std::make_shared<Answer>();
        gateway_.list_charges(since, after, [answer](ChargePage page) {
            const std::lock_guard lock(answer->mutex);
            answer->page = std::move(page);
            answer->arrived.notify_all();
        });
        std::unique_lock lock(answer->mutex);
        answer->arrived.wait_for(lock, options_.patience, [&] { return answer->page.has_value(); });
        return answer->page.value_or(ChargePage{});
    }

    void judge(const std::vector<ListedCharge>& charges) {
        std::vector<const ListedCharge*> holding;
        std::vector<Visible<PaymentId>> wanted;
        for (const ListedCharge& charge : charges) {
            if (!charge.payment_id) ++report_.charges_of_others;
            if (!charge.payment_id || charge.held.minor == 0) continue;
            holding.push_back(&charge);
            wanted.push_back({*charge.payment_id, std::nullopt});
        }
        if (holding.empty()) return;
        std::unordered_map<PaymentId, Payment> payments;
        for (Payment& payment : store_.find(session_, wanted)) {
            const PaymentId id = payment.id;
            payments.emplace(id, std::move(payment));
        }
        for (const ListedCharge* charge : holding) {
            const auto found = payments.find(*charge->payment_id);
            judge(*charge, found == payments.end() ? nullptr : &found->second);
        }
    }

    void judge(const ListedCharge& charge, const Payment* payment) {
        const std::string what =
            "the provider holds " + to_string(charge.held) + " as " + charge.provider_reference;
        if (payment == nullptr) {
            report_.differences.push_back({DifferenceKind::unknown_here, charge.payment_id->to_string(), "",
                                           what + ", and there is no such payment here"});
            return;
        }
        if (payment->provider_reference == charge.provider_reference) return;
        const std::string& known = payment->provider_reference;
        if (known.empty() && payment->amount.minor > 0) {
            if (!seen_without_reference_.insert(payment->id).second) {
                return note(DifferenceKind::charged_twice, *payment, what + " beside another of its charges");
            }
            // The look-up by our id has shown one of its charges, or will.
            if (!is_left_to_the_list(*payment) || is_under_way(*payment)) return;
        }
        const bool holds_another = !missing_.contains(payment->id.to_string()) && !known.empty() &&
                                   (was_made(*payment) || is_under_way(*payment));
        if (holds_another) return note(DifferenceKind::charged_twice, *payment, what + " beside " + known);
        note(DifferenceKind::unknown_here, *payment,
             what + ", of which the payment knows nothing; it is " +
                 std::string(contracts::to_string(payment->status)));
    }

    void note(DifferenceKind kind, const Payment& payment, std::string detail) {
        report_.differences.push_back(difference(kind, payment, std::move(detail)));
    }

    db::Session& session_;
    const PaymentStore store_;
    Gateway& gateway_;
    const ReconcileOptions& options_;
    Reconciliation& report_;
    std::unordered_set<std::string> missing_;  // Payments of whose charge the provider knows nothing.
    std::unordered_set<PaymentId> seen_without_reference_;
};

void list_stuck_ones(db::Session& session, Reconciliation& report) {
    for (const Stuck& stuck : list_stuck(session, max_stuck_listed)) {
        std::string what = stuck.refund ? "refund " + stuck.refund->id.to_string() : "the payment";
        what += stuck.refund && stuck.refund->failure ? " had succeeded, and is known to have failed since "
                                                      : " has had no outcome since ";
        report.differences.push_back(
            difference(DifferenceKind::stuck, stuck.payment, what + to_rfc3339(stuck.since())));
    }
}

void check_ledger(db::Session& session, const ReconcileOptions& options, Reconciliation& report) {
    LedgerAudit audit = audit_ledger(session, max_ledger_findings, options.audit_progress);
    report.ledger_entries = audit.entries;
    for (LedgerFinding& finding : audit.findings) {
        report.differences.push_back(
            {DifferenceKind::ledger_differs, "", "", finding.kind + ": " + finding.detail});
    }
}

}  // namespace

std::string_view to_string(DifferenceKind kind) {
    switch (kind) {
        case DifferenceKind::missing_at_provider: return "missing_at_provider";
        case DifferenceKind::unknown_here: return "unknown_here";
        case DifferenceKind::charged_twice: return "charged_twice";
        case DifferenceKind::amount_differs: return "amount_differs";
        case DifferenceKind::refunded_differs: return "refunded_differs";
        case DifferenceKind::state_differs: return "state_differs";
        case DifferenceKind::stuck: return "stuck";
        case DifferenceKind::not_answered: return "not_answered";
        case DifferenceKind::ledger_differs: return "ledger_differs";
    }
    return "";
}

bool is_under_way(const Payment& payment) {
    return payment.status == PaymentStatus::pending || payment.status == PaymentStatus::unknown ||
           payment.refund_reserved_minor > 0 || payment.capture_requested_minor > 0 ||
           // An authorization is looked at now and then.
           (payment.next_look_up_at.has_value() && payment.provider_state != ProviderState::authorized);
}

std::vector<Difference> compare(const Payment& payment, const GatewayResult& answer) {
    if (answer.outcome == GatewayOutcome::unknown) {
        return {difference(DifferenceKind::not_answered, payment, "the provider did not answer")};
    }
    if (answer.outcome == GatewayOutcome::not_found) {
        if (!was_made(payment)) return {};
        return {difference(DifferenceKind::missing_at_provider, payment,
                           "here it is " + std::string(contracts::to_string(payment.status)))};
    }
    std::vector<Difference> found;
    if (answer.captured_minor != payment.captured_minor) {
        found.push_back(difference(DifferenceKind::amount_differs, payment,
                                   ours_and_theirs(payment.captured_minor, answer.captured_minor)));
    }
    if (answer.refunded_minor != payment.refunded_minor) {
        found.push_back(difference(DifferenceKind::refunded_differs, payment,
                                   ours_and_theirs(payment.refunded_minor, answer.refunded_minor)));
    }
    // With money captured the amounts say it all.
    if (!found.empty() || payment.captured_minor > 0) return found;
    const bool held_there =
        answer.outcome == GatewayOutcome::succeeded || answer.outcome == GatewayOutcome::pending;
    const bool held_here = payment.status == PaymentStatus::authorized;
    if (held_there != held_here) {
        found.push_back(difference(DifferenceKind::state_differs, payment,
                                   "here it is " + std::string(contracts::to_string(payment.status)) +
                                       (held_there ? ", and the provider holds the money reserved"
                                                   : ", and the provider holds nothing")));
    }
    return found;
}

Reconciliation reconcile(db::Session& session, Gateway& gateway, const ReconcileOptions& options) {
    Reconciliation report;
    const auto first = compare_payments(session, gateway, options, report);
    if (first) ListedCharges(session, gateway, options, report).check(*first);
    list_stuck_ones(session, report);
    check_ledger(session, options, report);
    return report;
}

}  // namespace quittance::payments
