#include "payments/stripe_limits.hpp"

#include <gtest/gtest.h>

namespace quittance::payments {

namespace {

using namespace std::chrono_literals;

const std::chrono::steady_clock::time_point start{1h};

TEST(TokenBucket, LetsABurstThroughAndThenSpacesTheRest) {
    TokenBucket bucket(10, 3);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(bucket.take(start), start);
    EXPECT_EQ(bucket.take(start), start + 100ms);
    EXPECT_EQ(bucket.take(start), start + 200ms);
}

TEST(TokenBucket, FillsUpAgainButNotBeyondTheBurst) {
    TokenBucket bucket(10, 3);
    for (int i = 0; i < 5; ++i)
        static_cast<void>(bucket.take(start));
    const auto later = start + 1h;
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(bucket.take(later), later);
    EXPECT_EQ(bucket.take(later), later + 100ms);
}

TEST(TokenBucket, KeepsItsRateOverTime) {
    TokenBucket bucket(25, 25);
    auto now = start;
    int through = 0;
    for (; now < start + 10s; now += 1ms) {
        if (bucket.take(now) > now + 1s) break;
        ++through;
    }
    EXPECT_LE(through, 25 + 25 + static_cast<int>((now - start) / 40ms) + 1);
}

TEST(CircuitBreaker, OpensAfterFailuresInARowOnly) {
    CircuitBreaker breaker(3, 5s);
    for (int round = 0; round < 5; ++round) {
        breaker.failed(start);
        breaker.failed(start);
        breaker.succeeded();
    }
    EXPECT_TRUE(breaker.lets_through(start));
    for (int i = 0; i < 3; ++i)
        breaker.failed(start);
    EXPECT_TRUE(breaker.is_open());
    EXPECT_FALSE(breaker.lets_through(start + 4s));
}

TEST(CircuitBreaker, LetsOneThroughAfterAWhileAndClosesWhenThatSucceeds) {
    CircuitBreaker breaker(1, 5s);
    breaker.failed(start);
    EXPECT_TRUE(breaker.lets_through(start + 5s));
    EXPECT_FALSE(breaker.lets_through(start + 5s)) << "one only";
    breaker.failed(start + 6s);
    EXPECT_FALSE(breaker.lets_through(start + 10s)) << "it failed, so the wait begins again";
    EXPECT_TRUE(breaker.lets_through(start + 11s));
    breaker.succeeded();
    EXPECT_TRUE(breaker.lets_through(start + 11s));
    EXPECT_TRUE(breaker.lets_through(start + 11s));
}

TEST(CircuitBreaker, OpensAtOnceForWhatRepeatingCannotMend) {
    CircuitBreaker breaker(3, 5s);
    breaker.trip(start);
    EXPECT_FALSE(breaker.lets_through(start));
}

}  // namespace

}  // namespace quittance::payments
