#include "payments/simulator_gateway.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/thread_name.hpp"

namespace quittance::payments {

namespace {

struct Decline {
    std::string_view method_suffix;
    std::string_view code;
    std::string_view detail;
};

constexpr std::string_view decline_prefix = "chargeDeclined";
constexpr std::array<Decline, 7> declines{{
    {"", "card_declined", "The card was declined."},
    {"InsufficientFunds", "insufficient_funds", "The card has insufficient funds."},
    {"LostCard", "lost_card", "The card was reported lost."},
    {"StolenCard", "stolen_card", "The card was reported stolen."},
    {"ExpiredCard", "expired_card", "The card has expired."},
    {"IncorrectCvc", "incorrect_cvc", "The card's security code is incorrect."},
    {"ProcessingError", "processing_error", "The card could not be processed; try again later."},
}};

GatewayResult declined(std::string_view code, std::string detail) {
    return {.outcome = GatewayOutcome::declined, .failure = {std::string(code), std::move(detail)}};
}

GatewayResult refused(const GatewayRequest& request, std::string_view code, std::string detail) {
    return {.outcome = GatewayOutcome::refused,
            .provider_reference = request.provider_reference,
            .failure = {std::string(code), std::move(detail)}};
}

/// What becomes of a charge with this method; a pure function, so that it holds over restarts.
GatewayResult outcome_of(std::string_view method) {
    if (method == "pm_card_visa" || method == "pm_card_mastercard") {
        return {.outcome = GatewayOutcome::succeeded};
    }
    for (const std::string_view prefix : {"pm_card_visa_", "pm_card_"}) {
        if (!method.starts_with(prefix)) continue;
        std::string_view rest = method.substr(prefix.size());
        if (rest == "authenticationRequired") {
            return {.outcome = GatewayOutcome::requires_action,
                    .failure = {"authentication_required", "The card's bank asks for an authentication."}};
        }
        if (!rest.starts_with(decline_prefix)) continue;
        rest.remove_prefix(decline_prefix.size());
        const auto* found = std::ranges::find(declines, rest, &Decline::method_suffix);
        if (found != declines.end()) return declined(found->code, std::string(found->detail));
    }
    return declined("unknown_payment_method",
                    "The simulator knows no payment method of this name; "
                    "pm_card_visa is one that succeeds.");
}

constexpr std::string_view refund_operation = "refund";

std::string reference_of(const GatewayRequest& request) {
    return "sim_" + request.idempotency_key;
}

/// Forgets the oldest entries until `limit` remain.
template <class Map>
void forget_oldest(Map& map, std::deque<std::string>& age, std::size_t limit) {
    while (age.size() > limit) {
        map.erase(age.front());
        age.pop_front();
    }
}

}  // namespace

SimulatorGateway::SimulatorGateway(SimulatorOptions options) : options_(options) {
    if (options_.latency.count() > 0) timer_ = std::thread([this] { run_timer(); });
}

SimulatorGateway::~SimulatorGateway() {
    if (!timer_.joinable()) return;
    {
        const std::lock_guard lock(timer_mutex_);
        stopping_ = true;
    }
    timer_changed_.notify_all();
    timer_.join();
    for (auto& [due, waiting] : waiting_) {
        waiting.done(GatewayResult{.outcome = GatewayOutcome::unknown});
    }
}

void SimulatorGateway::authorize(const GatewayRequest& request, bool capture, GatewayDone done) {
    answer_once(capture ? "charge" : "authorize", request, std::move(done),
                [&] { return authorize_locked(request, capture); });
}

void SimulatorGateway::capture(const GatewayRequest& request, GatewayDone done) {
    answer_once("capture", request, std::move(done), [&] { return capture_locked(request); });
}

void SimulatorGateway::refund(const GatewayRequest& request, GatewayDone done) {
    answer_once(std::string(refund_operation), request, std::move(done),
                [&] { return refund_locked(request); });
}

void SimulatorGateway::cancel(const GatewayRequest& request, GatewayDone done) {
    answer_once("cancel", request, std::move(done), [&] { return cancel_locked(request); });
}

void SimulatorGateway::look_up(const GatewayRequest& request, GatewayDone done) {
    GatewayResult result;
    {
        const std::lock_guard lock(mutex_);
        result = look_up_locked(request);
    }
    deliver(std::move(done), std::move(result));
}

void SimulatorGateway::look_up_refund(const GatewayRequest& request, GatewayDone done) {
    GatewayResult result{.outcome = GatewayOutcome::not_found};
    {
        const std::lock_guard lock(mutex_);
        const auto found = answers_.find(request.idempotency_key);
        if (found != answers_.end()) result = found->second.result;
        result.all_refunded_minor = all_refunded(request.provider_reference);
    }
    deliver(std::move(done), std::move(result));
}

void SimulatorGateway::list_charges(Timestamp /*knows no time*/, const std::string& /*all is one page*/,
                                    ChargesDone done) {
    ChargePage page{.readable = true};
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [reference, charge] : charges_) {
            const std::int64_t held = charge.captured_minor > 0
                                          ? charge.captured_minor - charge.refunded_minor
                                          : charge.authorized_minor;
            page.charges.push_back({charge.payment_id, reference, {held, charge.currency}});
        }
    }
    done(std::move(page));
}

int SimulatorGateway::captures(const std::string& idempotency_key) const {
    const std::lock_guard lock(mutex_);
    const auto found = answers_.find(idempotency_key);
    return found == answers_.end() ? 0 : found->second.captures;
}

std::int64_t SimulatorGateway::total_captures() const {
    const std::lock_guard lock(mutex_);
    return total_captures_;
}

std::int64_t SimulatorGateway::total_refunds() const {
    const std::lock_guard lock(mutex_);
    return total_refunds_;
}

template <class Work>
void SimulatorGateway::answer_once(std::string operation, const GatewayRequest& request, GatewayDone done,
                                   Work work) {
    operation +=
        " " + to_string(request.amount) + " " + request.payment_method + " " + request.provider_reference;
    GatewayResult result;
    {
        const std::lock_guard lock(mutex_);
        const auto found = answers_.find(request.idempotency_key);
        if (found == answers_.end()) {
            const std::int64_t captures_before = total_captures_;
            result = work();
            // As Stripe: a refusal has done nothing under its key, and is none the next time if all is well
            // then.
            if (result.outcome != GatewayOutcome::refused) {
                remember(request.idempotency_key,
                         {std::move(operation), result, static_cast<int>(total_captures_ - captures_before)});
            }
        } else if (found->second.operation == operation) {
            result = as_it_stands(found->second);
        } else {
            // Used for another request, whose outcome only a look-up tells.
            result = {.outcome = GatewayOutcome::unknown};
        }
    }
    deliver(std::move(done), std::move(result));
}

void SimulatorGateway::remember(const std::string& key, Answered answered) {
    answers_.emplace(key, std::move(answered));
    answer_age_.push_back(key);
    forget_oldest(answers_, answer_age_, options_.remembered_answers);
}

void SimulatorGateway::remember_charge(const std::string& reference, Charge charge) {
    const auto [at, is_new] = charges_.insert_or_assign(reference, std::move(charge));
    if (is_new) charge_age_.push_back(at->first);
    forget_oldest(charges_, charge_age_, options_.remembered_answers);
}

GatewayResult SimulatorGateway::authorize_locked(const GatewayRequest& request, bool capture) {
    GatewayResult result = outcome_of(request.payment_method);
    result.provider_reference = reference_of(request);
    const bool good = result.outcome == GatewayOutcome::succeeded;
    Charge charge{.payment_id = request.payment_id,
                  .currency = request.amount.currency,
                  .outcome = result.outcome,
                  .failure = result.failure};
    if (good) charge.authorized_minor = request.amount.minor;
    if (good && capture) {
        charge.captured_minor = request.amount.minor;
        ++total_captures_;
    }
    result.captured_minor = charge.captured_minor;
    remember_charge(result.provider_reference, std::move(charge));
    return result;
}

GatewayResult SimulatorGateway::capture_locked(const GatewayRequest& request) {
    const auto found = charges_.find(request.provider_reference);
    if (found != charges_.end()) {
        Charge& charge = found->second;
        if (charge.outcome != GatewayOutcome::succeeded || charge.captured_minor > 0) {
            return snapshot(found->first, charge);
        }
        if (request.amount.minor > charge.authorized_minor) {
            return refused(request, "capture_refused", "That much is not authorized.");
        }
        charge.captured_minor = request.amount.minor;
    }
    ++total_captures_;
    return {.outcome = GatewayOutcome::succeeded,
            .provider_reference = request.provider_reference,
            .captured_minor = request.amount.minor};
}

GatewayResult SimulatorGateway::refund_locked(const GatewayRequest& request) {
    GatewayResult refund{.outcome = GatewayOutcome::succeeded,
                         .provider_reference = request.provider_reference,
                         .refunded_minor = request.amount.minor};
    const auto found = charges_.find(request.provider_reference);
    if (found != charges_.end()) {
        Charge& charge = found->second;
        if (request.amount.minor > charge.captured_minor - charge.refunded_minor) {
            GatewayResult refusal =
                refused(request, "refund_refused", "That much is not captured, or refunded before.");
            refusal.all_refunded_minor = charge.refunded_minor;
            return refusal;
        }
        charge.refunded_minor += request.amount.minor;
        refund.all_refunded_minor = charge.refunded_minor;
    }
    ++total_refunds_;
    return refund;
}

GatewayResult SimulatorGateway::cancel_locked(const GatewayRequest& request) {
    const contracts::Failure failure{"canceled", "The payment was canceled."};
    const auto found = charges_.find(request.provider_reference);
    if (found == charges_.end()) {
        return {.outcome = GatewayOutcome::canceled,
                .provider_reference = request.provider_reference,
                .failure = failure};
    }
    Charge& charge = found->second;
    if (charge.captured_minor == 0) {
        charge.outcome = GatewayOutcome::canceled;
        // One that was declined still says why.
        if (charge.failure.code.empty()) charge.failure = failure;
        charge.authorized_minor = 0;
    }
    return snapshot(found->first, charge);
}

GatewayResult SimulatorGateway::look_up_locked(const GatewayRequest& request) const {
    const std::string reference =
        request.provider_reference.empty() ? reference_of(request) : request.provider_reference;
    const auto found = charges_.find(reference);
    if (found == charges_.end()) return {.outcome = GatewayOutcome::not_found};
    return snapshot(reference, found->second);
}

GatewayResult SimulatorGateway::snapshot(const std::string& reference, const Charge& charge) {
    return {.outcome = charge.outcome,
            .provider_reference = reference,
            .failure = charge.failure,
            .captured_minor = charge.captured_minor,
            .refunded_minor = charge.refunded_minor};
}

std::optional<std::int64_t> SimulatorGateway::all_refunded(const std::string& reference) const {
    const auto found = charges_.find(reference);
    if (found == charges_.end()) return std::nullopt;
    return found->second.refunded_minor;
}

GatewayResult SimulatorGateway::as_it_stands(const Answered& answered) const {
    const auto found = charges_.find(answered.result.provider_reference);
    if (found == charges_.end()) return answered.result;
    if (!answered.operation.starts_with(refund_operation)) return snapshot(found->first, found->second);
    GatewayResult refund = answered.result;
    refund.all_refunded_minor = found->second.refunded_minor;
    return refund;
}

void SimulatorGateway::deliver(GatewayDone done, GatewayResult result) {
    if (!timer_.joinable()) return done(std::move(result));
    {
        const std::lock_guard lock(timer_mutex_);
        waiting_.emplace(std::chrono::steady_clock::now() + options_.latency,
                         Waiting{std::move(done), std::move(result)});
    }
    timer_changed_.notify_one();
}

void SimulatorGateway::run_timer() {
    name_this_thread("q-simulator");
    std::unique_lock lock(timer_mutex_);
    while (!stopping_) {
        if (waiting_.empty()) {
            timer_changed_.wait(lock);
            continue;
        }
        const auto due = waiting_.begin()->first;
        if (due > std::chrono::steady_clock::now()) {
            timer_changed_.wait_until(lock, due);
            continue;
        }
        auto first = waiting_.extract(waiting_.begin());
        lock.unlock();
        first.mapped().done(std::move(first.mapped().result));
        lock.lock();
    }
}

}  // namespace quittance::payments
