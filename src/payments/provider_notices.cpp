#include "payments/provider_notices.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <boost/json.hpp>

#include "core/canary.hpp"
#include "telemetry/lane_report.hpp"
#include "telemetry/log.hpp"

namespace quittance::payments {

namespace json = boost::json;

namespace {

constexpr auto integer = db::ColumnType::integer;
constexpr auto uuid = db::ColumnType::uuid;

constexpr std::chrono::seconds replay_interval{2};
constexpr std::int64_t max_replayed = 256;

const std::string count_parked = "SELECT COUNT(*) FROM parked_notices";
/// What is left has its turn with the next replay.
constexpr std::int64_t max_dropped = 2'000;
const std::string select_come =
    "SELECT parked_notices.event_id, parked_notices.payment_id FROM parked_notices "
    "JOIN payments ON payments.id = parked_notices.payment_id ORDER BY parked_notices.event_id LIMIT :rows";

std::string_view to_string(NoticeOutcome outcome) {
    switch (outcome) {
        case NoticeOutcome::taken_up: return "taken_up";
        case NoticeOutcome::settled: return "settled";
        case NoticeOutcome::repeated: return "repeated";
        case NoticeOutcome::parked: return "parked";
        case NoticeOutcome::dropped: return "dropped";
    }
    return "";
}

/// Providers send several notices of each payment that is made, most of which say what its answer has said.
bool is_known(const Payment& payment, const ProviderNotice& notice) {
    return notice.told && payment.provider_state == ProviderState::captured && !payment.next_look_up_at &&
           payment.refund_reserved_minor == 0 && notice.told->captured_minor <= payment.captured_minor &&
           notice.told->refunded_minor.value_or(payment.refunded_minor) == payment.refunded_minor;
}

template <class Range, class Key>
auto sorted_ids(const Range& range, Key key) {
    std::vector<PaymentId> ids;
    for (const auto& one : range)
        ids.push_back(key(one));
    std::ranges::sort(ids);
    const auto end = std::unique(ids.begin(), ids.end());
    ids.erase(end, ids.end());
    return ids;
}

/// The provider may know of it, so its news is worth a look, whatever state it is in here.
bool heeds_news(const Payment& payment) {
    if (planted(Canary::news_unheeded_after_failure) && is_over(payment)) return false;
    return due_call(payment, payment.updated_at) != GatewayCall::none;
}

/// Also takes it off the list for a human: there is news, so asking has a point again.
template <class Waiting>
void make_due_now(Waiting& waiting, Timestamp now) {
    if (!resume_stuck(waiting, now)) waiting.next_look_up_at = now;
}

}  // namespace

ProviderNotices::ProviderNotices(db::Scheduler& writers, const db::Dialect& dialect, Random& random,
                                 const Clock& clock, telemetry::Metrics& metrics)
    : store_(dialect),
      refunds_(dialect),
      inbox_(dialect, random),
      clock_(clock),
      park_(dialect.insert_new_rows("parked_notices",
                                    {{"event_id"}, {"payment_id", uuid}, {"received_at", integer}})),
      unpark_(dialect.delete_rows("parked_notices", {{"event_id"}})),
      drop_old_(dialect.delete_oldest("parked_notices", {{"event_id"}}, "received_at", max_dropped)),
      replayed_(metrics.counter("payment_notices_replayed_total",
                                "Parked notices whose payment came to be stored.")),
      dropped_(metrics.counter("payment_notices_dropped_total",
                               "Parked notices that were given up because their payment never came.")),
      take_(
          writers, {},
          [this](db::Session& session, std::span<ProviderNotice> notices) {
              db::Transaction transaction(session);
              auto results = record(session, notices);
              transaction.commit();
              return results;
          },
          telemetry::LaneReport(metrics, "payment_notices")),
      replay_(
          writers, {.max_queued = 1},
          [this](db::Session& session, std::span<ReplayRequest> requests) {
              replay(session);
              return std::vector<Result<Done>>(requests.size(), Done{});
          },
          telemetry::LaneReport(metrics, "payment_notices_replay")) {
    for (std::size_t i = 0; i < outcomes_.size(); ++i) {
        outcomes_[i] = &metrics.counter("payment_notices_total", "Notices of the provider about payments.",
                                        {{"outcome", std::string(to_string(static_cast<NoticeOutcome>(i)))}});
    }
    metrics.gauge("payment_notices_parked", "Notices of payments that are not stored here.", {},
                  [parked = parked_now_] { return parked->load(); });
}

void ProviderNotices::take(ProviderNotice notice, absl::AnyInvocable<void(Result<NoticeOutcome>)> done) {
    take_.submit(std::move(notice), [this, done = std::move(done)](Result<NoticeOutcome> outcome) mutable {
        if (outcome) outcomes_[static_cast<std::size_t>(*outcome)]->add();
        done(std::move(outcome));
    });
}

std::vector<Result<NoticeOutcome>> ProviderNotices::record(db::Session& session,
                                                           std::span<const ProviderNotice> notices) const {
    const auto ids = sorted_ids(notices, [](const ProviderNotice& notice) { return notice.payment_id; });
    std::vector<Payment> locked = store_.find_and_lock(session, ids);
    std::unordered_map<PaymentId, const Payment*> known;
    for (const Payment& payment : locked)
        known.emplace(payment.id, &payment);
    std::size_t parked = 0;
    if (known.size() < ids.size()) {
        parked = static_cast<std::size_t>(std::get<0>(session.select<std::int64_t>(count_parked).front()));
    }

    const auto outcome_for = [](const ProviderNotice& notice, const Payment& payment) {
        const bool is_news = notice.failed_refund || (heeds_news(payment) && !is_known(payment, notice));
        return is_news ? NoticeOutcome::taken_up : NoticeOutcome::settled;
    };

    // Refusing it would have the provider turn the endpoint off, for our payments too. It leaves no trace, so
    // that a repetition is the first one again.
    std::vector<Result<NoticeOutcome>> results;
    std::vector<std::string> accepted;
    for (const ProviderNotice& notice : notices) {
        const auto payment = known.find(notice.payment_id);
        if (payment != known.end()) {
            results.emplace_back(outcome_for(notice, *payment->second));
        } else if (parked < max_parked_notices) {
            ++parked;
            results.emplace_back(NoticeOutcome::parked);
        } else {
            results.emplace_back(NoticeOutcome::dropped);
        }
        if (*results.back() != NoticeOutcome::dropped) accepted.push_back(notice.event_id);
    }

    const std::vector<bool> first_time = inbox_.record(session, accepted, clock_.now());
    json::array to_park;
    std::unordered_set<PaymentId> news;
    std::vector<RefundId> failed;
    for (std::size_t i = 0, at = 0; i < notices.size(); ++i) {
        if (*results[i] == NoticeOutcome::dropped) continue;
        if (!first_time[at++]) {
            results[i] = NoticeOutcome::repeated;
        } else if (*results[i] == NoticeOutcome::parked) {
            to_park.push_back(json::object{{"event_id", notices[i].event_id},
                                           {"payment_id", notices[i].payment_id.to_string()},
                                           {"received_at", to_ms(clock_.now())}});
        } else if (*results[i] == NoticeOutcome::taken_up) {
            news.insert(notices[i].payment_id);
            if (notices[i].failed_refund) failed.push_back(*notices[i].failed_refund);
        }
    }
    if (!to_park.empty()) session.execute(park_, {json::serialize(to_park)});
    std::erase_if(locked, [&](const Payment& payment) { return !news.contains(payment.id); });
    make_due(session, locked);
    if (!failed.empty()) recheck_succeeded_refunds(session, failed, locked);
    return results;
}

void ProviderNotices::make_due(db::Session& session, const std::vector<Payment>& locked) const {
    const Timestamp now = clock_.now();
    std::vector<Payment> payments;
    std::vector<PaymentId> with_refunds;
    for (const Payment& payment : locked) {
        if (payment.refund_reserved_minor > 0) with_refunds.push_back(payment.id);
        if (!heeds_news(payment)) continue;
        Payment& told = payments.emplace_back(payment);
        make_due_now(told, now);
        // A call that is under way does not answer this.
        told.version += 1;
    }
    if (!payments.empty()) store_.reschedule(session, payments);
    if (with_refunds.empty()) return;
    std::vector<Refund> refunds = refunds_.list(session, with_refunds);
    std::erase_if(refunds, [&](const Refund& refund) { return plan(refund, now) == GatewayCall::none; });
    for (Refund& refund : refunds)
        make_due_now(refund, now);
    if (!refunds.empty()) refunds_.update(session, refunds);
}

void ProviderNotices::recheck_succeeded_refunds(db::Session& session, const std::vector<RefundId>& failed,
                                                const std::vector<Payment>& locked) const {
    const std::set<RefundId> distinct(failed.begin(), failed.end());
    const std::vector<RefundId> wanted(distinct.begin(), distinct.end());
    std::vector<Refund> refunds = refunds_.find(session, wanted);
    std::erase_if(refunds, [&](const Refund& refund) {
        const bool is_locked = std::ranges::find(locked, refund.payment_id, &Payment::id) != locked.end();
        // One that a human was told of is no news.
        return !is_locked || refund.state != RefundState::succeeded || refund.failure;
    });
    for (Refund& refund : refunds)
        refund.next_look_up_at = clock_.now();
    if (!refunds.empty()) refunds_.update(session, refunds);
}

void ProviderNotices::step() {
    const auto now = clock_.steady_now();
    if (now < next_replay_) return;
    next_replay_ = now + replay_interval;
    replay_.submit({}, [](Result<Done> /*reported by the lane*/) {});
}

void ProviderNotices::replay(db::Session& session) const {
    const auto parked = std::get<0>(session.select<std::int64_t>(count_parked).front());
    parked_now_->store(static_cast<double>(parked));
    if (parked == 0) return;
    db::Transaction transaction(session);
    std::vector<PaymentId> ids;
    json::array come;
    for (const auto& [event_id, payment_id] :
         session.select<std::string, std::string>(select_come, {max_replayed})) {
        come.push_back(json::object{{"event_id", event_id}});
        if (const auto id = PaymentId::parse(payment_id)) ids.push_back(*id);
    }
    if (!come.empty()) {
        const auto distinct = sorted_ids(ids, [](PaymentId id) { return id; });
        make_due(session, store_.find_and_lock(session, distinct));
        session.execute(unpark_, {json::serialize(come)});
    }
    const std::int64_t dropped = session.execute(drop_old_, {to_ms(clock_.now() - parked_notices_live)});
    transaction.commit();
    replayed_.add(static_cast<double>(come.size()));
    dropped_.add(static_cast<double>(dropped));
    if (dropped > 0) {
        log::warning("notices of payments that are not stored here were given up", {{"notices", dropped}});
    }
}

}  // namespace quittance::payments
