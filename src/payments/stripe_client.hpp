// Requests to Stripe with all that makes them bearable for both sides: a rate limit, repetitions with pauses,
// and a circuit breaker.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "core/secret.hpp"
#include "http/client.hpp"
#include "payments/stripe_answers.hpp"
#include "payments/stripe_limits.hpp"
#include "payments/stripe_messages.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::payments {

/// A request that waited longer for its turn is not sent any more: what asked for it may have changed since.
inline constexpr std::chrono::minutes stripe_request_max_age{10};
/// What Stripe's own clients wait for an answer; after it the request is repeated under its key.
inline constexpr std::chrono::seconds stripe_timeout{80};

struct StripeClientOptions {
    std::string base_url = "https://api.stripe.com";
    Secret api_key;
    /// For each endpoint; Stripe's own limit is 25 in test mode (https://docs.stripe.com/rate-limits).
    double requests_per_second = 25;
    /// Requests that wait for their turn; beyond it a request is answered with nothing at once.
    std::size_t max_waiting = 20'000;
    /// From `send` until a try is sent; one that would have to wait longer is answered with nothing.
    std::chrono::milliseconds max_age = stripe_request_max_age;
    std::chrono::milliseconds timeout = stripe_timeout;  ///< For each try.
    int max_tries = 3;
    /// Between the tries; doubles, with a random part (https://docs.stripe.com/error-low-level).
    std::chrono::milliseconds first_pause{500};
    std::chrono::milliseconds longest_pause{5'000};
    /// Failures in a row (no answer, or an error of the server) after which Stripe is left alone ...
    int failures_to_open = 10;
    /// ... for so long; then one request tries whether it is back. An endpoint that is forbidden to our key
    /// (403) is left alone for as long, and the others go on.
    std::chrono::milliseconds open_for{5'000};
};

/// Thread safe.
class StripeClient {
public:
    /// Carries one request, and answers what it still has when it is destroyed.
    using Carrier = absl::AnyInvocable<void(http::ClientRequest, http::ClientDone)>;
    /// Called exactly once, on any thread; must not block or throw.
    using Done = absl::AnyInvocable<void(StripeAnswer)>;

    /// Carries requests by a `http::Client` of its own.
    StripeClient(StripeClientOptions options, Random& random, telemetry::Metrics& metrics);
    StripeClient(StripeClientOptions options, Carrier carrier, Random& random, telemetry::Metrics& metrics);
    /// Answers what still waits with nothing.
    ~StripeClient();
    StripeClient(const StripeClient&) = delete;
    StripeClient& operator=(const StripeClient&) = delete;

    /// Returns at once; the answer comes after at most `max_tries` tries.
    void send(StripeRequest request, Done done);

    /// Carries nothing from now on; what waits is answered with nothing, and so is what comes later.
    void stop();

private:
    /// A request on its way.
    struct Exchange {
        StripeRequest request;
        Done done;
        std::chrono::steady_clock::time_point asked_at;
        int tries = 0;
        bool has_turn = false;            ///< The rate limit has let it through.
        bool earlier_unanswered = false;  ///< A try may have done something that its answer did not tell.
    };
    using ExchangePtr = std::shared_ptr<Exchange>;
    using Time = std::chrono::steady_clock::time_point;

    /// One of Stripe's, by its name, which is a literal.
    struct Endpoint {
        TokenBucket bucket;
        CircuitBreaker forbidden;
    };

    enum class Place { at_once, later, none };
    enum class Passage { open, shut, forbidden };

    void enqueue(const ExchangePtr& exchange, std::chrono::milliseconds pause);
    /// Where the limits put it; `later` has it among those that wait.
    [[nodiscard]] Place place(const ExchangePtr& exchange, std::chrono::milliseconds pause);
    /// The caller holds the lock.
    [[nodiscard]] Endpoint& endpoint_of(const Exchange& exchange);
    [[nodiscard]] Passage passage_of(const Exchange& exchange);
    void carry(const ExchangePtr& exchange);
    void answered(const ExchangePtr& exchange, const http::ClientOutcome& outcome);
    void end(const ExchangePtr& exchange, StripeAnswer answer);
    void judge(const Exchange& exchange, const StripeAnswer& answer);
    void run_timer();
    [[nodiscard]] http::ClientRequest http_request(const StripeRequest& request) const;
    [[nodiscard]] std::chrono::milliseconds pause_after(int tries, const StripeAnswer& answer);

    const StripeClientOptions options_;
    Random& random_;
    telemetry::Metrics& metrics_;
    telemetry::Counter& delayed_;
    telemetry::Counter& refused_;
    const std::shared_ptr<std::atomic<double>> breaker_open_;  // Outlives this, for the gauge.
    const std::shared_ptr<std::atomic<double>> waiting_now_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string_view, Endpoint> endpoints_;
    CircuitBreaker breaker_;
    std::multimap<Time, ExchangePtr> waiting_;
    bool stopped_ = false;
    std::thread timer_;
    Carrier carrier_;  // Last, so that the answers which its end brings find all else alive.
};

}  // namespace quittance::payments
