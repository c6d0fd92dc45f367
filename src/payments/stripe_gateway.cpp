#include "payments/stripe_gateway.hpp"

#include <algorithm>
#include <utility>

#include "payments/payment.hpp"
#include "payments/stripe_messages.hpp"
#include "telemetry/log.hpp"

namespace quittance::payments {

namespace {

/// Stripe finds by a search what is older than a minute, as a rule; we give it five.
constexpr std::chrono::minutes search_usual_lag{5};
/// "Up to an hour behind during outages", says https://docs.stripe.com/search; we give it more.
constexpr std::chrono::minutes search_worst_lag{90};

/// How thoroughly a payment is sought before it counts as not found.
struct Thoroughness {
    std::chrono::minutes search_lag;
    std::chrono::minutes clock_skew;  ///< By how much our clock and Stripe's may differ.
    int most_pages;
};
/// When the same key is sent next, which finds what this has missed.
constexpr Thoroughness cursory{search_usual_lag, std::chrono::minutes(1), 10};
/// When "not found" is the last word. A shop that makes more than 20 000 payments in the time that is listed
/// has to wait for the search.
constexpr Thoroughness thorough{search_worst_lag, std::chrono::minutes(10), 200};

GatewayResult provider_error() {
    return {.outcome = GatewayOutcome::declined,
            .failure = {"provider_error", "The payment provider could not carry out the request."}};
}

void log_our_fault(const StripeAnswer& answer, std::string_view call, const GatewayRequest& request) {
    if (!is_our_fault(answer)) return;
    log::error("Stripe refused a request", {{"call", call},
                                            {"paymentId", request.payment_id.to_string()},
                                            {"status", answer.status},
                                            {"code", error_code(answer)},
                                            {"error", error_message(answer)}});
}

/// A request that Stripe cannot express is refused before it is sent.
GatewayResult refused(const Error& error) {
    return {.outcome = GatewayOutcome::declined, .failure = {"amount_not_supported", error.detail}};
}

bool is_canceled(const GatewayResult& payment) {
    return payment.outcome == GatewayOutcome::declined && payment.failure.code == "canceled";
}

}  // namespace

StripeGateway::StripeGateway(StripeClientOptions client, const Clock& clock, Random& random,
                             telemetry::Metrics& metrics, StripeGatewayOptions options)
    : clock_(clock), options_(options), client_(std::move(client), random, metrics) {}

GatewayDone StripeGateway::first_of(const std::string& call, GatewayDone done) {
    const std::lock_guard lock(mutex_);
    const auto [at, is_first] = under_way_.try_emplace(call);
    at->second.push_back(std::move(done));
    if (!is_first) return {};
    return [this, call](const GatewayResult& result) {
        std::unique_lock answering(mutex_);
        const auto waiting = under_way_.extract(call);
        answering.unlock();
        for (GatewayDone& one : waiting.mapped())
            one(result);
    };
}

void StripeGateway::authorize(const GatewayRequest& request, bool capture, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    StripeRequest asked = create_intent(request, *amount, capture);
    done = first_of(asked.idempotency_key + " " + asked.form, std::move(done));
    if (!done) return;
    client_.send(std::move(asked), [this, request, done = std::move(done)](StripeAnswer answer) mutable {
        if (answer.is_stored_error()) return settle_charge(request, std::move(done));
        log_our_fault(answer, "authorize", request);
        done(intent_result(answer, request.amount.currency, clock_.now()));
    });
}

void StripeGateway::capture(const GatewayRequest& request, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    client_.send(capture_intent(request, *amount), [this, request,
                                                    done = std::move(done)](StripeAnswer answer) mutable {
        GatewayResult result = intent_result(answer, request.amount.currency, clock_.now());
        if (answer.is_stored_error() || is_unexpected_state(answer)) {
            GatewayResult otherwise = answer.is_stored_error() ? provider_error() : std::move(result);
            return settle(
                request, std::move(otherwise),
                [amount_minor = request.amount.minor](const GatewayResult& payment) {
                    return payment.outcome == GatewayOutcome::succeeded &&
                           payment.captured_minor == amount_minor;
                },
                std::move(done));
        }
        log_our_fault(answer, "capture", request);
        done(std::move(result));
    });
}

void StripeGateway::cancel(const GatewayRequest& request, GatewayDone done) {
    client_.send(cancel_intent(request),
                 [this, request, done = std::move(done)](StripeAnswer answer) mutable {
                     GatewayResult result = intent_result(answer, request.amount.currency, clock_.now());
                     if (is_canceled(result)) {
                         return done({.outcome = GatewayOutcome::succeeded,
                                      .provider_reference = std::move(result.provider_reference)});
                     }
                     if (is_unexpected_state(answer)) {
                         return settle(request, std::move(result), is_canceled, std::move(done));
                     }
                     log_our_fault(answer, "cancel", request);
                     // An answer that shows another state than the one that was asked for is none.
                     if (answer.good()) result = {};
                     done(std::move(result));
                 });
}

void StripeGateway::refund(const GatewayRequest& request, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    StripeRequest asked = create_refund(request, *amount);
    done = first_of(asked.idempotency_key + " " + asked.form, std::move(done));
    if (!done) return;
    client_.send(std::move(asked), [this, request, done = std::move(done)](StripeAnswer answer) mutable {
        if (answer.is_stored_error()) return settle_refund(request, std::move(done));
        if (is_refunded_already(answer)) return settle_refunded(request, answer, std::move(done));
        log_our_fault(answer, "refund", request);
        done(refund_result(answer, request.amount.currency));
    });
}

void StripeGateway::look_up(const GatewayRequest& request, GatewayDone done) {
    const bool certain = request.may_be_sent_until <= clock_.now();
    // After an outage many wait for their turn, some for longer than until they are asked for again.
    done = first_of((certain ? "certain look-up " : "look-up ") + request.payment_id.to_string(),
                    std::move(done));
    if (!done) return;
    if (request.provider_reference.empty()) return find(request, certain, std::move(done));
    retrieve(request, request.provider_reference, std::move(done));
}

void StripeGateway::look_up_refund(const GatewayRequest& request, GatewayDone done) {
    done = first_of("look-up " + request.idempotency_key, std::move(done));
    if (!done) return;
    find_refund_of(request, std::move(done));
}

void StripeGateway::list_charges(Timestamp since, const std::string& after, ChargesDone done) {
    client_.send(
        list_intents_with_charges(since - thorough.clock_skew, after),
        [done = std::move(done)](const StripeAnswer& answer) mutable { done(read_charges(answer)); });
}

void StripeGateway::retrieve(const GatewayRequest& request, const std::string& intent_id, GatewayDone done) {
    client_.send(retrieve_intent(intent_id),
                 [this, request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     log_our_fault(answer, "look_up", request);
                     done(look_up_result(answer, request.amount.currency, clock_.now()));
                 });
}

void StripeGateway::find(const GatewayRequest& request, bool certain, GatewayDone done) {
    const Thoroughness& way = certain ? thorough : cursory;
    const Timestamp now = clock_.now();
    const Timestamp begun = begun_at(request.payment_id);
    const Timestamp searchable = now - way.search_lag;
    auto search = std::make_unique<Search>(Search{.request = request,
                                                  .since = std::max(begun, searchable) - way.clock_skew,
                                                  .pages_left = way.most_pages,
                                                  .certain = certain,
                                                  .done = std::move(done)});
    // The list since its beginning has a young payment, if anything has.
    if (begun >= now - search_usual_lag) return list(std::move(search), {});
    // What can only have arrived long ago is found by a search, if there is anything.
    const Timestamp last_sent = std::max(begun, request.may_be_sent_until);
    search->search_suffices = last_sent + not_found_is_final_after < searchable - way.clock_skew;
    client_.send(search_intents(request.payment_id),
                 [this, everything = begun - way.clock_skew,
                  search = std::move(search)](const StripeAnswer& answer) mutable {
                     const IntentPage page = find_intent(answer, search->request.payment_id);
                     if (is_our_fault(answer)) {
                         // Not every account may search: https://docs.stripe.com/search. Then the list has to
                         // do.
                         search->since = everything;
                         return list(std::move(search), {});
                     }
                     if (!page.readable) return search->done({});
                     if (page.intent_id.empty() && search->search_suffices) {
                         return search->done({.outcome = GatewayOutcome::not_found});
                     }
                     if (page.intent_id.empty()) return list(std::move(search), {});
                     // What a search shows may be old, too.
                     retrieve(search->request, page.intent_id, std::move(search->done));
                 });
}

void StripeGateway::list(std::unique_ptr<Search> search, const std::string& after) {
    StripeRequest asked = list_intents(search->since, after);
    client_.send(std::move(asked), [this, search = std::move(search)](const StripeAnswer& answer) mutable {
        const IntentPage page = find_intent(answer, search->request.payment_id);
        if (!page.readable) return search->done({});
        if (!page.intent_id.empty()) {
            return retrieve(search->request, page.intent_id, std::move(search->done));
        }
        const bool end = page.next.empty();
        const bool enough = --search->pages_left == 0;
        if (end || (enough && !search->certain)) return search->done({.outcome = GatewayOutcome::not_found});
        if (enough) return search->done({});
        list(std::move(search), page.next);
    });
}

void StripeGateway::settle(const GatewayRequest& request, GatewayResult otherwise,
                           absl::AnyInvocable<bool(const GatewayResult&)> reached, GatewayDone done) {
    retrieve(request, request.provider_reference,
             [otherwise = std::move(otherwise), reached = std::move(reached),
              done = std::move(done)](GatewayResult payment) mutable {
                 if (payment.outcome == GatewayOutcome::unknown) return done({});
                 if (!reached(payment)) {
                     otherwise.provider_reference = std::move(payment.provider_reference);
                     return done(std::move(otherwise));
                 }
                 payment.outcome = GatewayOutcome::succeeded;
                 payment.failure = {};
                 done(std::move(payment));
             });
}

void StripeGateway::settle_charge(const GatewayRequest& request, GatewayDone done) {
    const bool settled = clock_.now() - begun_at(request.payment_id) >= options_.stored_error_settles_after;
    find(request, settled,
         [settled, id = request.payment_id, done = std::move(done)](GatewayResult found) mutable {
             if (found.outcome != GatewayOutcome::not_found) return done(std::move(found));
             if (!settled) return done({});
             log::warning("Stripe failed to charge and will not under this key",
                          {{"paymentId", id.to_string()}});
             done(provider_error());
         });
}

void StripeGateway::settle_refund(const GatewayRequest& request, GatewayDone done) {
    find_refund_of(request, [done = std::move(done)](GatewayResult found) mutable {
        if (found.outcome == GatewayOutcome::not_found) found = provider_error();
        done(std::move(found));
    });
}

void StripeGateway::settle_refunded(const GatewayRequest& request, const StripeAnswer& refusal,
                                    GatewayDone done) {
    GatewayResult otherwise = refund_result(refusal, request.amount.currency);
    find_refund_of(request, [this, request, otherwise = std::move(otherwise),
                             done = std::move(done)](GatewayResult found) mutable {
        if (found.outcome != GatewayOutcome::not_found) return done(std::move(found));
        // Somebody gave it back in the dashboard. With what went back under our keys it makes the whole, so
        // our refunds that were not made never exceed it.
        settle(
            request, std::move(otherwise),
            [](const GatewayResult& payment) {
                return payment.captured_minor > 0 && payment.refunded_minor == payment.captured_minor;
            },
            [amount_minor = request.amount.minor, done = std::move(done)](GatewayResult result) mutable {
                result.provider_reference.clear();
                if (result.outcome == GatewayOutcome::succeeded) result.refunded_minor = amount_minor;
                done(std::move(result));
            });
    });
}

void StripeGateway::find_refund_of(const GatewayRequest& request, GatewayDone done) {
    client_.send(list_refunds(request.provider_reference),
                 [request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     log_our_fault(answer, "look_up_refund", request);
                     done(find_refund(answer, request.idempotency_key, request.amount.currency));
                 });
}

}  // namespace quittance::payments
