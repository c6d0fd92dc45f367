#include "tests/sim/provider.hpp"

#include <utility>

namespace quittance::sim {

using payments::GatewayDone;
using payments::GatewayOutcome;
using payments::GatewayRequest;
using payments::GatewayResult;

namespace {

constexpr milliseconds outage{20'000};
constexpr std::chrono::hours long_outage{26};
/// What Stripe promises at the least; what comes later counts as a new request.
constexpr std::chrono::hours keys_are_remembered_for{24};

std::string_view to_string(GatewayOutcome outcome) {
    switch (outcome) {
        case GatewayOutcome::succeeded: return "succeeded";
        case GatewayOutcome::declined: return "declined";
        case GatewayOutcome::requires_action: return "requires action";
        case GatewayOutcome::pending: return "pending";
        case GatewayOutcome::unknown: return "unknown";
        case GatewayOutcome::not_found: return "not found";
        case GatewayOutcome::canceled: return "canceled";
        case GatewayOutcome::refused: return "refused";
    }
    return "";
}

GatewayResult refused(std::string code) {
    return {.outcome = GatewayOutcome::refused, .failure = {std::move(code), "The provider refused."}};
}

std::string name_of(const GatewayRequest& request) {
    return "payment " + tail(request.payment_id.to_string()) + " of order " +
           tail(request.order_id.to_string());
}

GatewayResult answer_of(const Charge& charge) {
    return {.outcome = charge.outcome,
            .provider_reference = charge.reference,
            .failure = charge.failure,
            .captured_minor = charge.captured_minor,
            .refunded_minor = charge.refunded_minor};
}

}  // namespace

Provider::Provider(Stage& stage, std::uint64_t seed, Notify notify)
    : stage_(stage), dice_(seed, Prng::Stream::provider), notify_(std::move(notify)) {}

template <class Work>
GatewayResult Provider::once(const std::string& operation, const GatewayRequest& request, Work work) {
    tried_.insert(request.idempotency_key);
    const std::string asked = operation + " " + std::to_string(request.amount.minor) + " " +
                              request.payment_method + " " + request.provider_reference;
    if (const auto found = answers_.find(request.idempotency_key);
        found != answers_.end() && stage_.clock.now() - found->second.at < keys_are_remembered_for) {
        if (found->second.operation == asked) return found->second.result;
        throw Violation{"a key asks for one thing only", "under " + request.idempotency_key + " first " +
                                                             found->second.operation + ", then " + asked};
    }
    GatewayResult result = work();
    stage_.history.note("provider: " + operation + " of " + std::to_string(request.amount.minor) + " for " +
                        name_of(request) + ": " + std::string(to_string(result.outcome)));
    answers_.insert_or_assign(request.idempotency_key, Answered{asked, result, stage_.clock.now()});
    return result;
}

Charge* Provider::find(const GatewayRequest& request) {
    if (!request.provider_reference.empty()) {
        const auto found = charges_.find(request.provider_reference);
        return found == charges_.end() ? nullptr : &found->second;
    }
    // Who has no reference asks by what the request was marked with.
    for (auto& [reference, charge] : charges_) {
        if (charge.payment_id == request.payment_id) return &charge;
    }
    return nullptr;
}

void Provider::take(Charge& charge, std::int64_t amount_minor) {
    charge.outcome = GatewayOutcome::succeeded;
    charge.captured_minor = amount_minor;
    charge.authorized_minor = 0;
    if (charge.is_odd) return;
    for (const auto& [reference, other] : charges_) {
        if (&other == &charge || other.captured_minor == 0 || other.is_odd) continue;
        if (other.payment_id == charge.payment_id) {
            throw Violation{"a payment is captured once", "payment " + charge.payment_id.to_string() +
                                                              " was captured twice, as " + reference +
                                                              " and as " + charge.reference};
        }
        if (other.order_id == charge.order_id && other.captured_minor > other.refunded_minor) {
            throw Violation{"an order is paid once",
                            "order " + charge.order_id.to_string() +
                                " was captured again while the provider still holds " +
                                std::to_string(other.captured_minor - other.refunded_minor) + " for it"};
        }
    }
}

void Provider::tell(const Charge& charge) {
    notify_({"notice-" + std::to_string(next_notice_++), charge.payment_id});
}

GatewayResult Provider::authorize(const GatewayRequest& request, bool capture) {
    const std::string operation = capture ? "charge" : "authorization";
    return once(operation, request, [&] {
        const std::string reference =
            "ref-" + std::to_string(charges_.size() + 1) + "-" + request.idempotency_key;
        Charge& charge = charges_[reference];
        charge = {.payment_id = request.payment_id,
                  .order_id = request.order_id,
                  .reference = reference,
                  .currency = request.amount.currency};
        const std::string& method = request.payment_method;
        charge.amount_minor = request.amount.minor;
        charge.captures = capture;
        const bool later_pays = method == decides_later_and_pays;
        if (method == "pm_card_visa" || method == "pm_card_mastercard") {
            charge.outcome = GatewayOutcome::succeeded;
            charge.authorized_minor = request.amount.minor;
            if (capture) take(charge, request.amount.minor);
        } else if (later_pays || method == decides_later_and_declines) {
            charge.outcome = GatewayOutcome::pending;
            decide_later(charge.reference, later_pays, capture, request.amount.minor);
        } else if (method == "pm_card_authenticationRequired") {
            charge.outcome = GatewayOutcome::requires_action;
            charge.failure = {"authentication_required", "The bank asks for an authentication."};
        } else {
            charge.outcome = GatewayOutcome::declined;
            charge.failure = {"card_declined", "The card was declined."};
        }
        tell(charge);
        return answer_of(charge);
    });
}

void Provider::decide_later(const std::string& reference, bool pays, bool capture,
                            std::int64_t amount_minor) {
    stage_.queue.after(dice_.milliseconds(500, 90'000), [this, reference, pays, capture, amount_minor] {
        Charge& charge = charges_.at(reference);
        if (charge.outcome != GatewayOutcome::pending) return;
        stage_.history.note("provider: decides on " + tail(charge.payment_id.to_string()) +
                            (pays ? ": succeeded" : ": declined"));
        if (!pays) {
            charge.outcome = GatewayOutcome::declined;
            charge.failure = {"card_declined", "The card was declined in the end."};
        } else {
            charge.outcome = GatewayOutcome::succeeded;
            charge.authorized_minor = amount_minor;
            if (capture) take(charge, amount_minor);
        }
        tell(charge);
    });
}

GatewayResult Provider::capture(const GatewayRequest& request) {
    return once("capture", request, [&] {
        Charge* charge = find(request);
        if (charge == nullptr) return refused("no_such_payment");
        if (charge->authorized_minor == 0) return answer_of(*charge);
        if (request.amount.minor > charge->authorized_minor) return refused("capture_refused");
        take(*charge, request.amount.minor);
        tell(*charge);
        return answer_of(*charge);
    });
}

GatewayResult Provider::refund(const GatewayRequest& request) {
    return once("refund", request, [&] {
        Charge* charge = find(request);
        const std::int64_t left = charge == nullptr ? 0 : charge->captured_minor - charge->refunded_minor;
        // What went back elsewhere nobody had to know.
        if (charge != nullptr && charge->refunded_elsewhere && request.amount.minor > left) {
            return refused("charge_already_refunded");
        }
        if (request.amount.minor > left) {
            throw Violation{"no more is asked back than was taken",
                            "a refund of " + std::to_string(request.amount.minor) + " for " +
                                name_of(request) + " was asked for, of which " + std::to_string(left) +
                                " are left"};
        }
        charge->refunded_minor += request.amount.minor;
        tell(*charge);
        return GatewayResult{.outcome = GatewayOutcome::succeeded,
                             .provider_reference = charge->reference,
                             .refunded_minor = request.amount.minor,
                             .all_refunded_minor = charge->refunded_minor};
    });
}

GatewayResult Provider::cancel(const GatewayRequest& request) {
    // Without a key: a payment is canceled once at the most, whoever asks how often.
    Charge* charge = find(request);
    if (charge == nullptr) return GatewayResult{.outcome = GatewayOutcome::not_found};
    const bool can_be = charge->outcome != GatewayOutcome::pending &&
                        charge->outcome != GatewayOutcome::canceled && charge->captured_minor == 0;
    if (can_be) close(*charge, "cancellation of");
    return answer_of(*charge);
}

void Provider::close(Charge& charge, std::string_view what) {
    stage_.history.note("provider: " + std::string(what) + " payment " + tail(charge.payment_id.to_string()));
    charge.outcome = GatewayOutcome::canceled;
    if (charge.failure.code.empty()) charge.failure = {"canceled", "The payment was canceled."};
    charge.authorized_minor = 0;
    tell(charge);
}

void Provider::confirm(Charge& charge) {
    stage_.history.note("the customer confirms payment " + tail(charge.payment_id.to_string()) + " late");
    charge.outcome = GatewayOutcome::succeeded;
    charge.failure = {};
    charge.authorized_minor = charge.amount_minor;
    if (charge.captures) take(charge, charge.amount_minor);
    tell(charge);
}

void Provider::meddle() {
    if (charges_.empty()) return;
    auto at = charges_.begin();
    std::advance(
        at, static_cast<std::ptrdiff_t>(dice_.between(0, static_cast<std::int64_t>(charges_.size()) - 1)));
    Charge& charge = at->second;
    const bool is_open =
        charge.outcome == GatewayOutcome::declined || charge.outcome == GatewayOutcome::requires_action;
    const std::int64_t left = charge.captured_minor - charge.refunded_minor;
    if (is_open) {
        confirm(charge);
    } else if (charge.outcome == GatewayOutcome::canceled && dice_.chance(25)) {
        charge.is_odd = true;
        charge.captures = true;
        confirm(charge);
    } else if (charge.authorized_minor > 0 && dice_.chance(50)) {
        close(charge, "somebody at the dashboard cancels");
    } else if (charge.authorized_minor > 0) {
        stage_.history.note("somebody at the dashboard captures payment " +
                            tail(charge.payment_id.to_string()));
        take(charge, charge.authorized_minor);
        tell(charge);
    } else if (left > 0 && dice_.chance(30)) {
        const std::int64_t amount = dice_.between(1, left);
        stage_.history.note("somebody at the dashboard refunds " + std::to_string(amount) + " of payment " +
                            tail(charge.payment_id.to_string()));
        charge.refunded_minor += amount;
        charge.refunded_elsewhere = true;
        tell(charge);
    }
}

GatewayResult Provider::look_up(const GatewayRequest& request) {
    const Charge* charge = find(request);
    GatewayResult result =
        charge == nullptr ? GatewayResult{.outcome = GatewayOutcome::not_found} : answer_of(*charge);
    stage_.history.note("provider: look-up of " + name_of(request) + ": " +
                        std::string(to_string(result.outcome)));
    return result;
}

GatewayResult Provider::look_up_refund(const GatewayRequest& request) {
    // A refund is marked with its key, which outlives the time for which the key itself is remembered.
    const auto found = answers_.find(request.idempotency_key);
    GatewayResult result{.outcome = GatewayOutcome::not_found};
    if (found != answers_.end() && found->second.result.outcome == GatewayOutcome::succeeded) {
        result = found->second.result;
    }
    if (const Charge* charge = find(request)) result.all_refunded_minor = charge->refunded_minor;
    stage_.history.note("provider: look-up of a refund for " + name_of(request) + ": " +
                        std::string(to_string(result.outcome)));
    return result;
}

payments::ChargePage Provider::list_charges() const {
    payments::ChargePage page{.readable = true};
    for (const auto& [reference, charge] : charges_) {
        const std::int64_t held = charge.captured_minor > 0 ? charge.captured_minor - charge.refunded_minor
                                                            : charge.authorized_minor;
        page.charges.push_back({charge.payment_id, reference, {held, charge.currency}});
    }
    return page;
}

GatewayResult Provider::refuse(const std::string& operation, const GatewayRequest& request) {
    return once(operation, request, [&] { return refused("refused_by_bank"); });
}

void SimGateway::authorize(const GatewayRequest& request, bool capture, GatewayDone done) {
    call(
        capture ? "charge" : "authorization", request, true,
        [=](Provider& provider) { return provider.authorize(request, capture); }, std::move(done));
}

void SimGateway::capture(const GatewayRequest& request, GatewayDone done) {
    call(
        "capture", request, true, [=](Provider& provider) { return provider.capture(request); },
        std::move(done));
}

void SimGateway::refund(const GatewayRequest& request, GatewayDone done) {
    call(
        "refund", request, true, [=](Provider& provider) { return provider.refund(request); },
        std::move(done));
}

void SimGateway::cancel(const GatewayRequest& request, GatewayDone done) {
    call(
        "cancellation", request, false, [=](Provider& provider) { return provider.cancel(request); },
        std::move(done));
}

void SimGateway::look_up(const GatewayRequest& request, GatewayDone done) {
    call(
        "look-up", request, false, [=](Provider& provider) { return provider.look_up(request); },
        std::move(done));
}

void SimGateway::look_up_refund(const GatewayRequest& request, GatewayDone done) {
    call(
        "refund's look-up", request, false,
        [=](Provider& provider) { return provider.look_up_refund(request); }, std::move(done));
}

void SimGateway::list_charges(Timestamp /*since*/, const std::string& /*all is one page*/,
                              payments::ChargesDone done) {
    done(provider_.list_charges());
}

void SimGateway::call(std::string_view what, const GatewayRequest& request, bool may_refuse, Apply apply,
                      GatewayDone done) {
    const auto fault = stage_.faults.pass(Border::call, process_);
    stage_.history.note("process " + std::to_string(process_) + " asks the provider for a " +
                        std::string(what) + " for " + name_of(request) + " under " +
                        tail(request.idempotency_key) + (fault ? ": " + std::string(to_string(*fault)) : ""));
    Journey journey{std::move(apply), dice_.milliseconds(1, 40), dice_.milliseconds(1, 40)};
    if (fault == FaultKind::crash_before_call) throw Crash{process_};
    if (fault == FaultKind::provider_outage) stage_.provider_away_until = stage_.clock.now() + outage;
    if (fault == FaultKind::day_long_provider_outage)
        stage_.provider_away_until = stage_.clock.now() + long_outage;
    if (fault == FaultKind::lost_call || stage_.clock.now() < stage_.provider_away_until)
        journey.apply = nullptr;
    if (fault == FaultKind::slow_call) journey.there = dice_.milliseconds(1'000, 50'000);
    if (fault == FaultKind::slow_answer) journey.back = dice_.milliseconds(20'000, 200'000);
    if (fault == FaultKind::timed_out_call) journey.heard = false;
    if (fault == FaultKind::late_call && journey.apply != nullptr) {
        ++stage_.late_calls;
        stage_.queue.after(dice_.milliseconds(30'000, 2'400'000),
                           [&stage = stage_, &provider = provider_, late = std::move(journey.apply)] {
                               --stage.late_calls;
                               late(provider);
                           });
        journey.apply = nullptr;
    }
    // A refusal that the provider does not store: it says nothing about an earlier try. Where there was none,
    // this one loses its answer, and the next is refused.
    bool refuses = provider_.repetitions_to_refuse().erase(request.idempotency_key) > 0;
    if (fault == FaultKind::refused_repetition && may_refuse) {
        if (provider_.was_tried(request)) {
            refuses = true;
        } else {
            journey.heard = false;
            provider_.repetitions_to_refuse().insert(request.idempotency_key);
        }
    }
    if (refuses && may_refuse && journey.apply != nullptr)
        journey.apply = [](Provider&) { return refused("refused_this_time"); };
    if (fault == FaultKind::refused_call && may_refuse && !provider_.was_tried(request)) {
        journey.apply = [request, operation = std::string(what)](Provider& provider) {
            return provider.refuse(operation, request);
        };
    }
    if (journey.apply == nullptr || !journey.heard) journey.back = dice_.milliseconds(1'000, 30'000);
    travel(std::move(journey), std::move(done));
    if (fault == FaultKind::crash_after_call) throw Crash{process_};
}

void SimGateway::travel(Journey journey, GatewayDone done) {
    const milliseconds there = journey.there;
    stage_.queue.after(there, [&stage = stage_, &provider = provider_, alive = alive_,
                               journey = std::move(journey), done = std::move(done)]() mutable {
        GatewayResult result;
        if (journey.apply) result = journey.apply(provider);
        if (!journey.heard) result = {};
        stage.queue.after(journey.back, [alive = std::move(alive), result = std::move(result),
                                         done = std::move(done)]() mutable {
            if (*alive) done(std::move(result));
        });
    });
}

}  // namespace quittance::sim
