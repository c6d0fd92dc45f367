#include "payments/stripe_gateway.hpp"

#include <algorithm>
#include <utility>

#include "payments/payment.hpp"
#include "payments/stripe_messages.hpp"
#include "telemetry/log.hpp"

namespace quittance::payments {

static_assert(stripe_request_max_age + stripe_timeout < not_found_is_final_after,
              "nothing is under way any more when \"not found\" becomes final");

namespace {

/// Stripe finds by a search what is older than a minute, as a rule; we give it five.
constexpr std::chrono::minutes search_usual_lag{5};
/// "Up to an hour behind during outages", says https://docs.stripe.com/search; we give it more.
constexpr std::chrono::minutes search_worst_lag{90};
/// Nobody makes that many refunds of one payment; if somebody did, we would not know.
constexpr int most_refunds = 2'000;

/// How thoroughly a payment is sought before it counts as not found.
struct Thoroughness {
    std::chrono::minutes search_lag;
    std::chrono::minutes clock_skew;  ///< By how much our clock and Stripe's may differ.
    int most_objects;
};
/// When the same key is sent next, which finds what this has missed.
constexpr Thoroughness cursory{search_usual_lag, std::chrono::minutes(1), 1'000};
/// When "not found" is the last word. A shop that makes more payments in the time that is listed has to wait
/// for the search.
constexpr Thoroughness thorough{search_worst_lag, std::chrono::minutes(10), 20'000};

/// Nothing was done under this key, and nothing will be.
GatewayResult provider_error() {
    return {.outcome = GatewayOutcome::refused,
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
    return {.outcome = GatewayOutcome::refused, .failure = {"amount_not_supported", error.detail}};
}

bool is_uncaptured(const GatewayResult& payment) {
    return payment.outcome == GatewayOutcome::succeeded && payment.captured_minor == 0;
}

/// The same page in fewer objects, when it was too long; false when it cannot be made shorter.
bool shorten(StripePage& page) {
    if (page.limit == 1) return false;
    page.limit = std::max(1, page.limit / 10);
    return true;
}

/// The page after `page`, of more objects again where it was shortened.
StripePage next_page(const StripePage& page, const std::string& after) {
    return {after, std::min(stripe_page_size, page.limit * 10)};
}

}  // namespace

StripeGateway::StripeGateway(StripeClientOptions client, const Clock& clock, Random& random,
                             telemetry::Metrics& metrics, StripeGatewayOptions options)
    : clock_(clock), options_(options), client_(std::move(client), random, metrics) {}

void StripeGateway::authorize(const GatewayRequest& request, bool capture, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    client_.send(create_intent(request, *amount, capture),
                 [this, request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     if (answer.is_stored_error()) return settle_charge(request, std::move(done));
                     log_our_fault(answer, "authorize", request);
                     GatewayResult result = intent_result(answer, request.amount.currency, clock_.now());
                     const bool is_old = answer.replayed || result.outcome == GatewayOutcome::unknown;
                     if (is_old && !result.provider_reference.empty()) {
                         return retrieve(request, result.provider_reference, std::move(done));
                     }
                     done(std::move(result));
                 });
}

void StripeGateway::capture(const GatewayRequest& request, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    client_.send(capture_intent(request, *amount),
                 [this, request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     if (answer.is_stored_error())
                         return settle_capture(request, provider_error(), std::move(done));
                     GatewayResult result = intent_result(answer, request.amount.currency, clock_.now());
                     // The bank did not give what it had authorized, and the authorization still stands.
                     if (!answer.good() && !answer.earlier_unanswered && is_uncaptured(result)) {
                         result.outcome = GatewayOutcome::refused;
                         result.failure = failure_of(answer);
                     }
                     if (answer.replayed || is_unexpected_state(answer)) {
                         return settle_capture(request, std::move(result), std::move(done));
                     }
                     log_our_fault(answer, "capture", request);
                     done(std::move(result));
                 });
}

void StripeGateway::cancel(const GatewayRequest& request, GatewayDone done) {
    client_.send(cancel_intent(request),
                 [this, request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     if (is_unexpected_state(answer)) {
                         return retrieve(request, request.provider_reference, std::move(done));
                     }
                     log_our_fault(answer, "cancel", request);
                     done(intent_result(answer, request.amount.currency, clock_.now()));
                 });
}

void StripeGateway::refund(const GatewayRequest& request, GatewayDone done) {
    const auto amount = to_stripe_amount(request.amount);
    if (!amount) return done(refused(amount.error()));
    client_.send(create_refund(request, *amount),
                 [this, request, done = std::move(done)](const StripeAnswer& answer) mutable {
                     if (answer.is_stored_error()) return settle_refund(request, std::move(done));
                     if (answer.replayed && answer.good()) return look_up_refund(request, std::move(done));
                     log_our_fault(answer, "refund", request);
                     done(refund_result(answer, request.amount.currency));
                 });
}

void StripeGateway::look_up(const GatewayRequest& request, GatewayDone done) {
    if (!request.provider_reference.empty()) {
        return retrieve(request, request.provider_reference, std::move(done));
    }
    find(begin_search(request, request.may_be_sent_until <= clock_.now(), std::move(done)));
}

StripeGateway::SearchPtr StripeGateway::begin_search(const GatewayRequest& request, bool certain,
                                                     GatewayDone done) const {
    const Thoroughness& way = certain ? thorough : cursory;
    const Timestamp begun = begun_at(request.payment_id);
    const Timestamp searchable = clock_.now() - way.search_lag;
    // What can only have arrived long ago is found by a search, if there is anything.
    const Timestamp last_sent = std::max(begun, request.may_be_sent_until);
    return std::make_unique<Search>(
        Search{.request = request,
               .done = std::move(done),
               .certain = certain,
               .since = std::max(begun, searchable) - way.clock_skew,
               .everything = begun - thorough.clock_skew,
               .objects_left = way.most_objects,
               .search_suffices = last_sent + not_found_is_final_after < searchable - way.clock_skew});
}

void StripeGateway::retrieve(const GatewayRequest& request, const std::string& intent_id, GatewayDone done) {
    SearchPtr search = begin_search(request, true, std::move(done));
    search->request.provider_reference = intent_id;
    retrieve(std::move(search), intent_id);
}

void StripeGateway::find(SearchPtr search) {
    // The list since its beginning has a young payment, if anything has.
    const bool is_young = begun_at(search->request.payment_id) >= clock_.now() - search_usual_lag;
    if (is_young) return list(std::move(search), {});
    this->search(std::move(search));
}

void StripeGateway::search(SearchPtr search) {
    StripeRequest asked = search_intents(search->request.payment_id);
    client_.send(std::move(asked), [this, search = std::move(search)](const StripeAnswer& answer) mutable {
        search->may_search = false;
        // Not every account may search: https://docs.stripe.com/search. Then the list has to do.
        if (answer.closed || is_refusal(answer)) {
            search->since = search->everything;
            if (search->may_list) return list(std::move(search), {});
            return give_up(*search, std::move(search->done));
        }
        IntentPage page = find_intent(answer, search->request, clock_.now());
        if (!page.readable) return search->done({});
        if (page.found) {
            const std::string reference = page.found->provider_reference;
            search->seen = std::move(page.found);
            // What a search shows may be old.
            if (search->may_retrieve) return retrieve(std::move(search), reference);
            return give_up(*search, std::move(search->done));
        }
        if (search->may_list && !search->search_suffices) return list(std::move(search), {});
        // A cursory look need not be certain.
        const bool is_known = !search->request.provider_reference.empty();
        if (!is_known && (search->search_suffices || !search->certain)) {
            return search->done(
                {.outcome = GatewayOutcome::not_found, .provider_time = answer.provider_time});
        }
        give_up(*search, std::move(search->done));
    });
}

void StripeGateway::list(SearchPtr search, StripePage page) {
    StripeRequest asked = list_intents(search->since, page);
    client_.send(std::move(asked), [this, page = std::move(page),
                                    search = std::move(search)](const StripeAnswer& answer) mutable {
        if (answer.closed) {
            search->may_list = false;
            if (search->may_search) return this->search(std::move(search));
            return give_up(*search, std::move(search->done));
        }
        if (answer.too_long && shorten(page)) return list(std::move(search), std::move(page));
        IntentPage read = find_intent(answer, search->request, clock_.now());
        if (!read.readable) return search->done({});
        if (read.found) return search->done(*std::move(read.found));
        search->objects_left -= page.limit;
        const bool end = read.next.empty();
        const bool enough = search->objects_left <= 0;
        if (!end && !enough) return list(std::move(search), next_page(page, read.next));
        // One that was there once does not vanish from a list.
        const bool is_known = search->seen || !search->request.provider_reference.empty();
        if (is_known || (!end && search->certain)) return give_up(*search, std::move(search->done));
        search->done({.outcome = GatewayOutcome::not_found, .provider_time = answer.provider_time});
    });
}

void StripeGateway::retrieve(SearchPtr search, const std::string& intent_id) {
    StripeRequest asked = retrieve_intent(intent_id);
    client_.send(std::move(asked), [this, search = std::move(search)](const StripeAnswer& answer) mutable {
        if (answer.closed) {
            search->may_retrieve = false;
            search->since = search->everything;
            if (search->may_list) return list(std::move(search), {});
            if (search->may_search && !search->seen) return this->search(std::move(search));
            return give_up(*search, std::move(search->done));
        }
        log_our_fault(answer, "look_up", search->request);
        search->done(look_up_result(answer, search->request.amount.currency, clock_.now()));
    });
}

void StripeGateway::give_up(const Search& search, GatewayDone done) {
    done(search.seen.value_or(GatewayResult{}));
}

void StripeGateway::settle_charge(const GatewayRequest& request, GatewayDone done) {
    const bool settled = clock_.now() - begun_at(request.payment_id) >= options_.stored_error_settles_after;
    find(
        begin_search(request, settled,
                     [settled, id = request.payment_id, done = std::move(done)](GatewayResult found) mutable {
                         if (found.outcome != GatewayOutcome::not_found) return done(std::move(found));
                         if (!settled) return done({});
                         log::warning("Stripe failed to charge and will not under this key",
                                      {{"paymentId", id.to_string()}});
                         done(provider_error());
                     }));
}

void StripeGateway::settle_capture(const GatewayRequest& request, GatewayResult answer, GatewayDone done) {
    retrieve(request, request.provider_reference,
             [answer = std::move(answer), done = std::move(done)](GatewayResult payment) mutable {
                 const bool was_refused = answer.outcome == GatewayOutcome::refused && is_uncaptured(payment);
                 done(was_refused ? std::move(answer) : std::move(payment));
             });
}

void StripeGateway::settle_refund(const GatewayRequest& request, GatewayDone done) {
    look_up_refund(request, [done = std::move(done)](GatewayResult found) mutable {
        if (found.outcome != GatewayOutcome::not_found) return done(std::move(found));
        GatewayResult failed = provider_error();
        failed.all_refunded_minor = found.all_refunded_minor;
        done(std::move(failed));
    });
}

/// What the pages of a payment's refunds have told so far.
struct StripeGateway::RefundSearch {
    GatewayRequest request;
    GatewayDone done;
    int refunds_left = most_refunds;
    std::int64_t refunded_minor = 0;
    std::optional<GatewayResult> found;
};

void StripeGateway::look_up_refund(const GatewayRequest& request, GatewayDone done) {
    find_refund(std::make_unique<RefundSearch>(RefundSearch{.request = request, .done = std::move(done)}),
                {});
}

void StripeGateway::find_refund(RefundSearchPtr search, StripePage page) {
    StripeRequest asked = list_refunds(search->request.provider_reference, page);
    client_.send(std::move(asked), [this, page = std::move(page),
                                    search = std::move(search)](const StripeAnswer& answer) mutable {
        if (answer.too_long && shorten(page)) return find_refund(std::move(search), std::move(page));
        log_our_fault(answer, "look_up_refund", search->request);
        RefundPage read =
            read_refunds(answer, search->request.idempotency_key, search->request.amount.currency);
        if (!read.readable) return search->done(search->found.value_or(GatewayResult{}));
        if (read.found) search->found = std::move(read.found);
        search->refunded_minor += read.refunded_minor;
        search->refunds_left -= page.limit;
        if (!read.next.empty() && search->refunds_left > 0) {
            return find_refund(std::move(search), next_page(page, read.next));
        }
        const bool complete = read.next.empty();
        GatewayResult result;
        if (search->found) {
            result = *std::move(search->found);
        } else if (complete) {
            result = {.outcome = GatewayOutcome::not_found, .provider_time = answer.provider_time};
        }
        if (complete) result.all_refunded_minor = search->refunded_minor;
        search->done(std::move(result));
    });
}

void StripeGateway::list_charges(Timestamp since, const std::string& after, ChargesDone done) {
    list_charges_of(since - thorough.clock_skew, {.after = after}, std::move(done));
}

void StripeGateway::list_charges_of(Timestamp since, StripePage page, ChargesDone done) {
    StripeRequest asked = list_intents(since, page);
    client_.send(std::move(asked), [this, since, page = std::move(page),
                                    done = std::move(done)](const StripeAnswer& answer) mutable {
        if (answer.too_long && shorten(page)) return list_charges_of(since, std::move(page), std::move(done));
        done(read_charges(answer));
    });
}

}  // namespace quittance::payments
