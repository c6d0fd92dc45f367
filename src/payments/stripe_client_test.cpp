#include "payments/stripe_client.hpp"

#include <atomic>
#include <deque>
#include <future>
#include <vector>

#include <gtest/gtest.h>

namespace quittance::payments {

namespace {

using namespace std::chrono_literals;

/// What the carrier answers next, and what it was given to carry.
class Wire {
public:
    StripeClient::Carrier carrier() {
        return [this](http::ClientRequest request, http::ClientDone done) {
            http::ClientOutcome outcome;
            {
                const std::lock_guard lock(mutex_);
                carried_.push_back(std::move(request));
                times_.push_back(std::chrono::steady_clock::now());
                if (!next_.empty()) {
                    outcome.response = std::move(next_.front());
                    next_.pop_front();
                } else {
                    outcome.response = http::ClientResponse{.status = 200, .body = spoken(200)};
                }
            }
            outcome.sent_again = !outcome.response->header("sent-again").empty();
            if (outcome.response->status == 0) outcome = {.failure = "nobody there"};
            if (outcome.response && outcome.response->status == too_long) outcome = {.too_long = true};
            done(std::move(outcome));
        };
    }
    static constexpr int too_long = -1;

    /// As Stripe, or `too_long`, or 0 for no answer.
    void answer_next(int status, std::vector<http::HeaderField> headers = {}) {
        next_.push_back({.status = status, .headers = std::move(headers), .body = spoken(status)});
    }
    /// As something in between.
    void answer_next_as_a_stranger(int status) {
        next_.push_back({.status = status, .body = "<html>Go away.</html>"});
    }
    [[nodiscard]] std::vector<http::ClientRequest> carried() {
        const std::lock_guard lock(mutex_);
        return carried_;
    }
    [[nodiscard]] std::chrono::steady_clock::duration between(std::size_t first, std::size_t second) {
        const std::lock_guard lock(mutex_);
        return times_.at(second) - times_.at(first);
    }

private:
    static std::string spoken(int status) {
        return status < 400 ? R"({"object":"test"})" : R"({"error":{"type":"invalid_request_error"}})";
    }

    std::mutex mutex_;
    std::deque<http::ClientResponse> next_;
    std::vector<http::ClientRequest> carried_;
    std::vector<std::chrono::steady_clock::time_point> times_;
};

class StripeClientTest : public testing::Test {
protected:
    StripeClientTest() {
        options.base_url = "http://stripe.test";
        options.api_key = Secret("sk_test_secret");
        options.first_pause = 2ms;
        options.longest_pause = 4ms;
        options.requests_per_second = 10'000;
    }

    StripeAnswer ask(std::string key = "key-1", std::string_view endpoint = "test.post") {
        if (!client) client = std::make_unique<StripeClient>(options, wire.carrier(), random_, metrics);
        std::promise<StripeAnswer> promise;
        auto future = promise.get_future();
        client->send({.endpoint = endpoint,
                      .posts = true,
                      .path = "/v1/test",
                      .form = "a=b",
                      .idempotency_key = std::move(key)},
                     [&](StripeAnswer answer) { promise.set_value(std::move(answer)); });
        return future.get();
    }
    [[nodiscard]] bool exposes(const std::string& line) {
        return metrics.expose().find(line) != std::string::npos;
    }

    StripeClientOptions options;
    telemetry::Metrics metrics;
    Wire wire;
    std::unique_ptr<StripeClient> client;

    SystemRandom random_;
};

TEST_F(StripeClientTest, SendsWhatStripeWants) {
    EXPECT_EQ(ask().status, 200);
    const auto sent = wire.carried().at(0);
    EXPECT_EQ(sent.url, "http://stripe.test/v1/test");
    EXPECT_EQ(sent.method, http::Method::post);
    EXPECT_EQ(sent.body, "a=b");
    EXPECT_EQ(sent.bearer_token.reveal(), "sk_test_secret");
    const std::vector<http::HeaderField> headers{{"Stripe-Version", std::string(stripe_api_version)},
                                                 {"Content-Type", "application/x-www-form-urlencoded"},
                                                 {"Idempotency-Key", "key-1"}};
    EXPECT_EQ(sent.headers, headers);
    EXPECT_TRUE(exposes(R"(stripe_requests_total{answer="good",call="test.post"} 1)"));
}

TEST_F(StripeClientTest, RepeatsUnderTheSameKeyWhatMayStillSucceed) {
    wire.answer_next(0);
    wire.answer_next(429);
    wire.answer_next(200, {{"idempotent-replayed", "true"}});
    const auto answer = ask();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.replayed);
    EXPECT_TRUE(answer.good());
    const auto sent = wire.carried();
    ASSERT_EQ(sent.size(), 3U);
    for (const auto& request : sent)
        EXPECT_EQ(request.headers, sent.front().headers);
}

TEST_F(StripeClientTest, GivesUpAfterTheLastTry) {
    for (int i = 0; i < 5; ++i)
        wire.answer_next(0);
    EXPECT_EQ(ask().status, 0);
    EXPECT_EQ(wire.carried().size(), 3U);
}

TEST_F(StripeClientTest, DoesNotRepeatWhatStripeSaysIsFinal) {
    wire.answer_next(500, {{"stripe-should-retry", "false"}});
    EXPECT_EQ(ask().status, 500);
    wire.answer_next(402);
    EXPECT_EQ(ask().status, 402);
    EXPECT_EQ(wire.carried().size(), 2U);
}

TEST_F(StripeClientTest, RepeatsWhatStripeAsksToRepeatAndWaitsAsLongAsItSays) {
    wire.answer_next(400, {{"stripe-should-retry", "true"}, {"retry-after", "1"}});
    EXPECT_EQ(ask().status, 200);
    ASSERT_EQ(wire.carried().size(), 2U);
    EXPECT_GE(wire.between(0, 1), 1s);
}

TEST_F(StripeClientTest, KeepsToItsRate) {
    options.requests_per_second = 5;
    for (int i = 0; i < 7; ++i)
        ask();
    EXPECT_GE(wire.between(0, 6), 350ms) << "a second's worth goes at once, then one every 200 ms";
    EXPECT_FALSE(exposes("stripe_requests_delayed_total 0"));
}

TEST_F(StripeClientTest, LeavesStripeAloneAfterFailuresAndTriesAgainLater) {
    options.max_tries = 1;
    options.failures_to_open = 3;
    options.open_for = 1s;
    for (int i = 0; i < 3; ++i)
        wire.answer_next(503);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(ask().status, 503);
    EXPECT_TRUE(exposes("stripe_circuit_breaker_open 1"));
    EXPECT_EQ(ask().status, 0);
    EXPECT_EQ(wire.carried().size(), 3U) << "nothing was sent";
    std::this_thread::sleep_for(1100ms);
    EXPECT_EQ(ask().status, 200);
    EXPECT_TRUE(exposes("stripe_circuit_breaker_open 0"));
    EXPECT_EQ(ask().status, 200);
}

TEST_F(StripeClientTest, LeavesStripeAloneAtOnceWhenItsKeyIsRefused) {
    wire.answer_next(401);
    EXPECT_EQ(ask().status, 401);
    EXPECT_EQ(ask().status, 0);
    EXPECT_EQ(wire.carried().size(), 1U);
}

TEST_F(StripeClientTest, stranger_that_answers_is_no_answer_and_proves_nothing_afterwards) {
    for (const int status : {404, 407, 408, 413, 424, 200, 403, 401}) {
        wire.answer_next_as_a_stranger(status);
        wire.answer_next(400);
        const auto answer = ask();
        EXPECT_EQ(answer.status, 400) << "Stripe was asked again after " << status;
        EXPECT_TRUE(answer.earlier_unanswered);
    }
    EXPECT_EQ(wire.carried().size(), 16U);
    EXPECT_TRUE(exposes(R"(stripe_requests_total{answer="not_stripe",call="test.post"} 8)"));
}

TEST_F(StripeClientTest, only_tries_that_may_have_done_something_leave_the_outcome_open) {
    wire.answer_next(429);
    wire.answer_next(400);
    EXPECT_FALSE(ask().earlier_unanswered);
    wire.answer_next(0);
    wire.answer_next(400);
    EXPECT_TRUE(ask().earlier_unanswered);
    wire.answer_next(500);
    wire.answer_next(400);
    EXPECT_TRUE(ask().earlier_unanswered);
    wire.answer_next(400);
    EXPECT_FALSE(ask().earlier_unanswered) << "of another exchange";
    wire.answer_next(400, {{"sent-again", "true"}});
    EXPECT_TRUE(ask().earlier_unanswered) << "a connection broke, and it was sent over another";
}

TEST_F(StripeClientTest, strangers_open_the_breaker_as_silence_does) {
    options.max_tries = 1;
    options.failures_to_open = 3;
    options.open_for = 1h;
    for (int i = 0; i < 3; ++i)
        wire.answer_next_as_a_stranger(404);
    for (int i = 0; i < 3; ++i)
        EXPECT_FALSE(ask().spoke());
    EXPECT_TRUE(exposes("stripe_circuit_breaker_open 1"));
}

TEST_F(StripeClientTest, endpoint_that_is_forbidden_is_left_alone_and_the_others_go_on) {
    options.open_for = 300ms;
    wire.answer_next(403);
    auto answer = ask("key-1", "test.search");
    EXPECT_EQ(answer.status, 403);
    EXPECT_TRUE(answer.closed);
    answer = ask("key-1", "test.search");
    EXPECT_EQ(answer.status, 0);
    EXPECT_TRUE(answer.closed) << "for the caller to use another";
    EXPECT_EQ(wire.carried().size(), 1U);
    EXPECT_EQ(ask("key-1", "test.list").status, 200);
    EXPECT_TRUE(exposes("stripe_circuit_breaker_open 0"));
    std::this_thread::sleep_for(350ms);
    EXPECT_EQ(ask("key-1", "test.search").status, 200) << "the right was granted meanwhile";
    EXPECT_EQ(ask("key-1", "test.search").status, 200);
}

TEST_F(StripeClientTest, answer_that_is_too_long_is_no_failure_and_is_not_asked_for_again) {
    options.failures_to_open = 1;
    wire.answer_next(Wire::too_long);
    EXPECT_TRUE(ask().too_long);
    EXPECT_EQ(wire.carried().size(), 1U);
    EXPECT_TRUE(exposes("stripe_circuit_breaker_open 0"));
    EXPECT_EQ(ask().status, 200);
}

TEST_F(StripeClientTest, request_that_would_wait_too_long_for_its_turn_is_not_sent) {
    options.requests_per_second = 2;
    options.max_age = 700ms;
    client = std::make_unique<StripeClient>(options, wire.carrier(), random_, metrics);
    std::atomic<int> sent = 0;
    std::atomic<int> left_out = 0;
    constexpr int asked = 8;
    for (int i = 0; i < asked; ++i) {
        client->send({.endpoint = "test.get", .path = "/v1/test"},
                     [&](const StripeAnswer& answer) { answer.spoke() ? ++sent : ++left_out; });
    }
    EXPECT_EQ(left_out, 5) << "two go at once, one after half a second";
    for (int waited = 0; waited < 200 && sent + left_out < asked; ++waited)
        std::this_thread::sleep_for(10ms);
    EXPECT_EQ(sent, 3);
    EXPECT_EQ(wire.carried().size(), 3U);
}

TEST_F(StripeClientTest, retry_that_comes_too_late_is_not_sent) {
    options.first_pause = options.longest_pause = 100ms;
    options.max_age = 20ms;
    wire.answer_next(0);
    EXPECT_EQ(ask().status, 0);
    EXPECT_EQ(wire.carried().size(), 1U);
}

TEST_F(StripeClientTest, time_at_the_provider_is_told) {
    wire.answer_next(200, {{"date", "Sun, 29 Nov 2026 10:00:00 GMT"}});
    EXPECT_EQ(to_rfc3339(ask().provider_time.value()), "2026-11-29T10:00:00.000Z");
    wire.answer_next(200, {{"date", "yesterday"}});
    EXPECT_FALSE(ask().provider_time);
}

TEST_F(StripeClientTest, request_says_how_long_an_answer_it_takes) {
    (void)ask();
    EXPECT_EQ(wire.carried().at(0).max_response_bytes, stripe_object_bytes);
}

TEST_F(StripeClientTest, AnswersWhatWaitsWhenItIsStopped) {
    options.first_pause = options.longest_pause = 1h;
    wire.answer_next(0);
    std::promise<StripeAnswer> promise;
    auto future = promise.get_future();
    SystemRandom random;
    StripeClient stopped(options, wire.carrier(), random, metrics);
    stopped.send({.endpoint = "test.get", .path = "/v1/test"},
                 [&](StripeAnswer answer) { promise.set_value(std::move(answer)); });
    EXPECT_EQ(future.wait_for(20ms), std::future_status::timeout);
    stopped.stop();
    ASSERT_EQ(future.wait_for(0ms), std::future_status::ready);
    EXPECT_EQ(future.get().status, 0);
}

TEST_F(StripeClientTest, CarriesNothingAfterItWasStopped) {
    EXPECT_EQ(ask().status, 200);
    client->stop();
    EXPECT_EQ(ask().status, 0);
    EXPECT_EQ(wire.carried().size(), 1U);
}

}  // namespace

}  // namespace quittance::payments
