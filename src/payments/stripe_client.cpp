#include "payments/stripe_client.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/thread_name.hpp"
#include "http/http_date.hpp"
#include "telemetry/log.hpp"

namespace quittance::payments {

namespace {

/// A pause that Stripe asks for; longer ones are cut, and the payment is looked up later anyway.
constexpr std::chrono::seconds longest_retry_after{10};

/// As many at once as in one second: Stripe counts by the second.
TokenBucket bucket_of(double per_second) {
    return {per_second, std::max(1.0, per_second)};
}

std::optional<std::chrono::seconds> seconds_of(std::string_view text) {
    int seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (failure != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
    return std::min(std::chrono::seconds(seconds), longest_retry_after);
}

StripeAnswer answer_of(const http::ClientOutcome& outcome) {
    if (!outcome.response) return {.too_long = outcome.too_long};
    const http::ClientResponse& response = *outcome.response;
    StripeAnswer answer = read_answer(response.status, response.body);
    answer.replayed = response.header("idempotent-replayed") == "true";
    answer.retry_after = seconds_of(response.header("retry-after"));
    answer.closed = answer.spoke() && answer.status == 403;
    answer.provider_time = http::parse_http_date(response.header("date"));
    const std::string_view should_retry = response.header("stripe-should-retry");
    if (should_retry == "true" || should_retry == "false") answer.should_retry = should_retry == "true";
    return answer;
}

/// For a metric: few values.
std::string_view kind_of(const StripeAnswer& answer) {
    if (answer.too_long) return "too_long";
    if (answer.status == 0) return "none";
    if (!answer.spoke()) return "not_stripe";
    if (answer.good()) return "good";
    if (answer.status == 402) return "declined";
    if (answer.closed) return "forbidden";
    if (answer.status == 429) return "rate_limited";
    return answer.status >= 500 ? "server_error" : "refused";
}

}  // namespace

StripeClient::StripeClient(StripeClientOptions options, Random& random, telemetry::Metrics& metrics)
    : StripeClient(
          std::move(options),
          [client = std::make_shared<http::Client>()](http::ClientRequest request, http::ClientDone done) {
              client->send(std::move(request), std::move(done));
          },
          random, metrics) {}

StripeClient::StripeClient(StripeClientOptions options, Carrier carrier, Random& random,
                           telemetry::Metrics& metrics)
    : options_(std::move(options)),
      random_(random),
      metrics_(metrics),
      delayed_(
          metrics.counter("stripe_requests_delayed_total", "Requests that our own rate limit made wait.")),
      refused_(metrics.counter("stripe_requests_refused_total",
                               "Requests that were not sent: the circuit breaker was open, the endpoint is "
                               "forbidden, too many waited, or they waited too long.")),
      breaker_open_(std::make_shared<std::atomic<double>>(0)),
      waiting_now_(std::make_shared<std::atomic<double>>(0)),
      breaker_(options_.failures_to_open, options_.open_for),
      carrier_(std::move(carrier)) {
    metrics.gauge("stripe_circuit_breaker_open", "1 while Stripe is left alone after failures.", {},
                  [open = breaker_open_] { return open->load(); });
    metrics.gauge("stripe_requests_waiting", "Requests that wait for their turn or for their next try.", {},
                  [waiting = waiting_now_] { return waiting->load(); });
    timer_ = std::thread([this] { run_timer(); });
}

StripeClient::~StripeClient() {
    stop();
}

void StripeClient::stop() {
    std::multimap<Time, ExchangePtr> left;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        left.swap(waiting_);
    }
    changed_.notify_all();
    if (timer_.joinable()) timer_.join();
    for (const auto& [due, exchange] : left)
        end(exchange, {});
}

void StripeClient::send(StripeRequest request, Done done) {
    enqueue(std::make_shared<Exchange>(Exchange{.request = std::move(request),
                                                .done = std::move(done),
                                                .asked_at = std::chrono::steady_clock::now()}),
            {});
}

void StripeClient::enqueue(const ExchangePtr& exchange, std::chrono::milliseconds pause) {
    switch (place(exchange, pause)) {
        case Place::at_once: return carry(exchange);
        case Place::later: return changed_.notify_one();
        case Place::none: return end(exchange, {});
    }
}

StripeClient::Place StripeClient::place(const ExchangePtr& exchange, std::chrono::milliseconds pause) {
    const std::lock_guard lock(mutex_);
    if (stopped_ || waiting_.size() >= options_.max_waiting) {
        refused_.add();
        return Place::none;
    }
    const Time now = std::chrono::steady_clock::now();
    Time due = now + pause;
    exchange->has_turn = pause.count() == 0;
    if (exchange->has_turn) {
        TokenBucket& bucket = endpoint_of(*exchange).bucket;
        if (bucket.next(now) > exchange->asked_at + options_.max_age) {
            refused_.add();
            return Place::none;
        }
        due = bucket.take(now);
        if (due <= now) return Place::at_once;
        delayed_.add();
    }
    waiting_.emplace(due, exchange);
    waiting_now_->store(static_cast<double>(waiting_.size()));
    return Place::later;
}

StripeClient::Endpoint& StripeClient::endpoint_of(const Exchange& exchange) {
    const auto [at, is_new] = endpoints_.try_emplace(
        exchange.request.endpoint,
        Endpoint{bucket_of(options_.requests_per_second), CircuitBreaker(1, options_.open_for)});
    return at->second;
}

void StripeClient::carry(const ExchangePtr& exchange) {
    const Passage passage = passage_of(*exchange);
    if (passage != Passage::open) {
        refused_.add();
        return end(exchange, {.closed = passage == Passage::forbidden});
    }
    exchange->tries += 1;
    carrier_(http_request(exchange->request),
             [this, exchange](const http::ClientOutcome& outcome) { answered(exchange, outcome); });
}

StripeClient::Passage StripeClient::passage_of(const Exchange& exchange) {
    const std::lock_guard lock(mutex_);
    const Time now = std::chrono::steady_clock::now();
    if (stopped_ || now > exchange.asked_at + options_.max_age) return Passage::shut;
    if (!endpoint_of(exchange).forbidden.lets_through(now)) return Passage::forbidden;
    return breaker_.lets_through(now) ? Passage::open : Passage::shut;
}

void StripeClient::answered(const ExchangePtr& exchange, const http::ClientOutcome& outcome) {
    StripeAnswer answer = answer_of(outcome);
    exchange->earlier_unanswered = exchange->earlier_unanswered || outcome.sent_again;
    if (!answer.spoke()) {
        log::warning(
            answer.status == 0 ? "Stripe did not answer" : "Something else answered instead of Stripe",
            {{"call", exchange->request.endpoint},
             {"failure", outcome.failure},
             {"status", answer.status},
             {"try", exchange->tries}});
    }
    metrics_
        .counter(
            "stripe_requests_total", "Requests to Stripe, by what became of each try.",
            {{"call", std::string(exchange->request.endpoint)}, {"answer", std::string(kind_of(answer))}})
        .add();
    judge(*exchange, answer);
    if (exchange->tries < options_.max_tries && is_worth_repeating(answer)) {
        exchange->earlier_unanswered = exchange->earlier_unanswered || leaves_open(answer);
        return enqueue(exchange, pause_after(exchange->tries, answer));
    }
    end(exchange, std::move(answer));
}

void StripeClient::end(const ExchangePtr& exchange, StripeAnswer answer) {
    answer.earlier_unanswered = exchange->earlier_unanswered;
    exchange->done(std::move(answer));
}

void StripeClient::judge(const Exchange& exchange, const StripeAnswer& answer) {
    const std::lock_guard lock(mutex_);
    const Time now = std::chrono::steady_clock::now();
    Endpoint& endpoint = endpoint_of(exchange);
    if (answer.closed) {
        endpoint.forbidden.trip(now);
        log::error("Stripe forbids our key this call; the others go on",
                   {{"call", exchange.request.endpoint}, {"error", error_message(answer)}});
    } else if (answer.spoke()) {
        endpoint.forbidden.succeeded();
    }
    if (answer.spoke() && answer.status == 401) {
        breaker_.trip(now);
        log::error("Stripe refuses our key; payments wait until that is mended",
                   {{"status", answer.status}, {"error", error_message(answer)}});
    } else if (!answer.too_long && (!answer.spoke() || (answer.status >= 500 && !answer.replayed))) {
        const bool was_open = breaker_.is_open();
        breaker_.failed(now);
        if (breaker_.is_open() && !was_open)
            log::error("Stripe does not answer; it is left alone for a while");
    } else {
        if (breaker_.is_open()) log::info("Stripe answers again");
        breaker_.succeeded();
    }
    breaker_open_->store(breaker_.is_open() ? 1 : 0);
}

std::chrono::milliseconds StripeClient::pause_after(int tries, const StripeAnswer& answer) {
    const auto doubled = options_.first_pause * (1 << std::min(tries - 1, 10));
    const auto pause = std::min<std::chrono::milliseconds>(doubled, options_.longest_pause);
    // Half of it at least, so that those who failed together do not come again together.
    const auto half = static_cast<std::uint64_t>(pause.count() / 2);
    const std::chrono::milliseconds jittered(static_cast<std::int64_t>(half + random_.below(half + 1)));
    return std::max<std::chrono::milliseconds>(jittered,
                                               answer.retry_after.value_or(std::chrono::seconds(0)));
}

http::ClientRequest StripeClient::http_request(const StripeRequest& request) const {
    http::ClientRequest sent{.method = request.posts ? http::Method::post : http::Method::get,
                             .url = options_.base_url + request.path,
                             .headers = {{"Stripe-Version", std::string(stripe_api_version)}},
                             .bearer_token = options_.api_key,
                             .body = request.form,
                             .timeout = options_.timeout,
                             .max_response_bytes = request.max_answer_bytes};
    if (request.posts) sent.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    if (!request.idempotency_key.empty()) {
        sent.headers.emplace_back("Idempotency-Key", request.idempotency_key);
    }
    return sent;
}

void StripeClient::run_timer() {
    name_this_thread("q-stripe");
    std::unique_lock lock(mutex_);
    while (!stopped_) {
        if (waiting_.empty()) {
            changed_.wait(lock);
            continue;
        }
        const Time due = waiting_.begin()->first;
        if (due > std::chrono::steady_clock::now()) {
            changed_.wait_until(lock, due);
            continue;
        }
        const auto first = waiting_.extract(waiting_.begin());
        waiting_now_->store(static_cast<double>(waiting_.size()));
        lock.unlock();
        const ExchangePtr& exchange = first.mapped();
        if (exchange->has_turn) {
            carry(exchange);
        } else {
            enqueue(exchange, {});
        }
        lock.lock();
    }
}

}  // namespace quittance::payments
