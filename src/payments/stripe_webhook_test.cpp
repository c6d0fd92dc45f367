#include "payments/stripe_webhook.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "http/handler_testing.hpp"
#include "payments/payment_test_world.hpp"
#include "payments/stuck.hpp"

namespace quittance::payments {

namespace {

using testing::HasSubstr;

const Secret secret("whsec_of_the_tests");
const Timestamp now = timestamp_from_ms(1'795'000'000'500);

std::string hmac(const std::string& key, const std::string& text) {
    std::array<unsigned char, 32> digest{};
    unsigned int size = digest.size();
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
    std::string hex;
    for (const unsigned char byte : digest) {
        constexpr std::string_view digits = "0123456789abcdef";
        hex += digits[byte / 16];
        hex += digits[byte % 16];
    }
    return hex;
}

std::string signed_header(const std::string& body, std::int64_t seconds,
                          const std::string& key = secret.reveal()) {
    const std::string time = std::to_string(seconds);
    return "t=" + time + ",v1=" + hmac(key, time + "." + body);
}

std::int64_t seconds_at(Timestamp time) {
    return to_ms(time) / 1000;
}

std::string refusal_of(const std::string& header, const std::string& body) {
    const auto verified = verify_stripe_signature(header, body, secret, now);
    if (verified) return "accepted";
    EXPECT_EQ(verified.error().code, ErrorCode::malformed);
    return verified.error().detail;
}

// The header was made by `webhooks.generateTestHeaderString` of Stripe's own client, version 18.5.0.
TEST(StripeSignature, OfStripesOwnClientIsAccepted) {
    const std::string header =
        "t=1795000000,v1=925eba800cc0c4e2684ea73012009d962456400b604210b134a7f99fe07f81d3";
    EXPECT_EQ(refusal_of(header, R"({"id":"evt_1","object":"event"})"), "accepted");
}

TEST(StripeSignature, IsAcceptedWithinTheToleranceBothWays) {
    for (const int off : {-300, -1, 0, 1, 300})
        EXPECT_EQ(refusal_of(signed_header("{}", seconds_at(now) + off), "{}"), "accepted") << off;
    EXPECT_THAT(refusal_of(signed_header("{}", seconds_at(now) - 301), "{}"), HasSubstr("too old"));
    EXPECT_THAT(refusal_of(signed_header("{}", seconds_at(now) + 301), "{}"), HasSubstr("future"));
}

TEST(StripeSignature, MayBeAnyOfSeveral) {
    const std::string good = signed_header("{}", seconds_at(now));
    const std::string zeros(64, '0');
    EXPECT_EQ(refusal_of("v0=abc,v1=" + zeros + "," + good + ",v1=short", "{}"), "accepted");
}

TEST(StripeSignature, OfAnotherSecretOrAnotherTextIsRefused) {
    const std::int64_t seconds = seconds_at(now);
    EXPECT_THAT(refusal_of(signed_header("{}", seconds, "whsec_other"), "{}"), HasSubstr("another secret"));
    EXPECT_THAT(refusal_of(signed_header("{}", seconds), "{ }"), HasSubstr("another text"));
    std::string moved = signed_header("{}", seconds);
    moved.replace(2, 10, std::to_string(seconds + 1));
    EXPECT_THAT(refusal_of(moved, "{}"), HasSubstr("another text")) << "the time is signed as well";
}

TEST(StripeSignature, ThatIsNoneIsRefused) {
    const std::string good = signed_header("{}", seconds_at(now));
    EXPECT_THAT(refusal_of("", "{}"), HasSubstr("missing"));
    EXPECT_THAT(refusal_of("t=1795000000", "{}"), HasSubstr("no signature"));
    EXPECT_THAT(refusal_of(good.substr(good.find(',') + 1), "{}"), HasSubstr("no time"));
    EXPECT_THAT(refusal_of("t=99999999999999999999999,v1=00", "{}"), HasSubstr("no time"));
    EXPECT_THAT(refusal_of("t=1795000000x,v1=00", "{}"), HasSubstr("no time"));
    EXPECT_THAT(refusal_of(std::string(100'000, ','), "{}"), HasSubstr("no time"));
    std::string v0 = good;
    v0.replace(v0.find("v1"), 2, "v0");
    EXPECT_THAT(refusal_of(v0, "{}"), HasSubstr("no signature")) << "v0 is not for live events";
}

std::string event_of(const std::string& object, const std::string& id = "evt_1") {
    return R"({"id":")" + id + R"(","object":"event","type":"some.type","data":{"object":)" + object + "}}";
}

std::string intent_of(const std::string& payment_id) {
    return R"({"object":"payment_intent","status":"succeeded","metadata":{"payment_id":")" + payment_id +
           R"("}})";
}

TEST(StripeEvents, NameThePaymentOfTheirObject) {
    const std::string id = "0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa";
    for (const std::string kind : {"payment_intent", "charge", "refund"}) {
        const auto event = read_stripe_event(
            event_of(R"({"object":")" + kind + R"(","metadata":{"payment_id":")" + id + R"("}})"));
        ASSERT_TRUE(event) << kind;
        EXPECT_EQ(event->id, "evt_1");
        EXPECT_EQ(event->payment_id->to_string(), id) << kind;
    }
}

TEST(StripeEvents, NameTheRefundThatFailed) {
    const std::string id = "0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa";
    const auto read = [&](const std::string& kind, const std::string& status, const std::string& key) {
        return read_stripe_event(event_of(R"({"object":")" + kind + R"(","status":")" + status +
                                          R"(","metadata":{"payment_id":")" + id + R"(","refund_key":")" +
                                          key + R"("}})"))
            ->failed_refund;
    };
    EXPECT_EQ(read("refund", "failed", "refund-" + id), RefundId::parse(id));
    EXPECT_EQ(read("refund", "canceled", "refund-" + id), RefundId::parse(id));
    EXPECT_FALSE(read("refund", "succeeded", "refund-" + id));
    EXPECT_FALSE(read("charge", "failed", "refund-" + id));
    EXPECT_FALSE(read("refund", "failed", "nonsense"));
}

TEST(StripeEvents, OfOtherThingsNameNone) {
    for (const std::string object :
         {R"({"object":"payout","metadata":{"payment_id":"0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa"}})",
          R"({"object":"payment_intent"})", R"({"object":"payment_intent","metadata":{"payment_id":7}})",
          R"({"object":"payment_intent","metadata":{"payment_id":"nonsense"}})", "[]", "null"}) {
        const auto event = read_stripe_event(event_of(object));
        ASSERT_TRUE(event) << object;
        EXPECT_FALSE(event->payment_id) << object;
    }
}

const std::string some_id = "0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa";

/// Rightly signed JSON that concerns nothing of ours: Stripe has newer kinds of events each year.
std::vector<std::string> events_of_other_kinds() {
    return {
        "[]", "7", "{}", R"({"object":"event"})", R"({"object":"event","id":"evt_1"})",
        R"({"object":"charge","id":"ch_1","type":"x"})", R"({"object":"event","id":7,"type":"x"})",
        // https://docs.stripe.com/api/v2/core/events
        R"({"id":"evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0","object":"v2.core.event",)"
        R"("type":"v1.billing.meter.error_report_triggered","livemode":false,"created":"2026-09-17T06:20:52.246Z",)"
        R"("related_object":{"id":"mtr_test","type":"billing.meter","url":"/v1/billing/meters/mtr_test"}})",
        event_of(intent_of(some_id), std::string(201, 'x')), event_of(intent_of(some_id), "evt_\\u0000"),
        event_of(R"({"object":"payment_intent","metadata":{},"metadata":{}})"),
        event_of(std::string(200, '[') + std::string(200, ']'))};
}

TEST(StripeEvents, of_other_kinds_name_no_payment) {
    for (const std::string& body : events_of_other_kinds()) {
        const auto event = read_stripe_event(body);
        ASSERT_TRUE(event) << body;
        EXPECT_FALSE(event->payment_id) << body;
    }
}

TEST(StripeEvents, that_are_no_json_are_refused) {
    for (const std::string body : {"", "{", "no JSON", R"({"object":"event"}x)"})
        EXPECT_FALSE(read_stripe_event(body)) << body;
}

TEST(StripeEvents, name_their_payment_whatever_their_type) {
    std::string body = event_of(intent_of(some_id), std::string(200, 'x'));
    body.replace(body.find("some.type"), 9, std::string(5'000, 't'));
    EXPECT_EQ(read_stripe_event(body)->payment_id, PaymentId::parse(some_id));
    body.replace(body.find(R"("type":")"), 8, R"("kind":")");
    EXPECT_EQ(read_stripe_event(body)->payment_id, PaymentId::parse(some_id));
}

/// A webhook beside a payment service whose gateway obeys the test.
class StripeWebhookTest : public PaymentWorld {
protected:
    StripeWebhookTest() : notices_(process->writers, process->session.dialect(), random_, clock, metrics_) {
        add_stripe_webhook(router_, notices_, secret, clock, metrics_);
    }

    http::Response post(const std::string& body, std::optional<std::string> header = std::nullopt) {
        http::Request request;
        request.method = http::Method::post;
        request.path = "/webhooks/stripe";
        request.body = body;
        request.headers = {
            {"stripe-signature", header ? *header : signed_header(body, seconds_at(clock.now()))}};
        return http::answer_of(router_, std::move(request),
                               [this] { process->writers.step(process->session); });
    }
    [[nodiscard]] std::string event_about(PaymentId id, const std::string& event_id) {
        return event_of(intent_of(id.to_string()), event_id);
    }
    bool counts(const std::string& line) { return metrics_.expose().find(line) != std::string::npos; }
    void replay() {
        clock.advance(std::chrono::seconds(2));
        notices_.step();
        settle();
    }
    /// A payment whose charge was made, but whose answer was lost.
    Payment unknown_payment() {
        gateway.fates[GatewayCall::authorize] = {Fate::loses_answer};
        const auto event = created();
        publish(event);
        settle();
        return payment_of(event.order_id);
    }

    /// How often the provider was asked what became of this refund.
    std::ptrdiff_t look_ups_of(const Refund& refund) {
        return std::ranges::count_if(gateway.calls, [&](const ScriptedGateway::Call& call) {
            return call.call == GatewayCall::look_up && call.key == refund.idempotency_key;
        });
    }

    ProviderNotices& notices() { return notices_; }

private:
    SystemRandom random_;
    telemetry::Metrics metrics_;
    ProviderNotices notices_;
    http::Router router_;
};

TEST_F(StripeWebhookTest, ThePaymentIsLookedUpAtOnceAndTheLookUpDecides) {
    const Payment payment = unknown_payment();
    ASSERT_EQ(payment.status, contracts::PaymentStatus::unknown);
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    EXPECT_EQ(payment_of(payment.order_id).status, contracts::PaymentStatus::unknown)
        << "the event's own words change nothing";
    settle();
    EXPECT_EQ(gateway.calls.back().call, GatewayCall::look_up);
    EXPECT_EQ(payment_of(payment.order_id).status, contracts::PaymentStatus::captured);
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="taken_up"} 1)"));
}

TEST_F(StripeWebhookTest, TheSameEventAgainDoesNothing) {
    const Payment payment = unknown_payment();
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer, Fate::loses_answer};
    gateway.fates[GatewayCall::look_up] = {Fate::loses_answer, Fate::loses_answer};
    for (int times = 0; times < 3; ++times) {
        EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
        settle();
    }
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 2U);
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="repeated"} 2)"));
    EXPECT_EQ(post(event_about(payment.id, "evt_2")).status, 200);
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::authorize), 3U) << "another event is another hint";
}

TEST_F(StripeWebhookTest, ARefundThatWaitsIsLookedUpAtOnce) {
    const auto event = created();
    publish(event);
    settle();
    gateway.fates[GatewayCall::refund] = {Fate::loses_answer};
    publish(canceled(event));
    settle();
    const Payment payment = payment_of(event.order_id);
    ASSERT_EQ(payment.status, contracts::PaymentStatus::captured);
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    settle();
    EXPECT_EQ(look_ups_of(refunds_of(event.order_id).at(0)), 1);
    EXPECT_EQ(payment_of(event.order_id).status, contracts::PaymentStatus::refunded);
}

TEST_F(StripeWebhookTest, ARefundThatFailsAfterItSucceededStandsInTheListForAHuman) {
    const auto event = created();
    publish(event);
    settle();
    publish(refund_of(event, 250));
    settle();
    const Payment payment = payment_of(event.order_id);
    const Refund refund = refunds_of(event.order_id).at(0);
    ASSERT_EQ(refund.state, RefundState::succeeded);
    const auto failed = [&](const std::string& event_id) {
        return event_of(R"({"object":"refund","status":"failed","metadata":{"payment_id":")" +
                            payment.id.to_string() + R"(","refund_key":")" + refund.idempotency_key +
                            R"("}})",
                        event_id);
    };
    EXPECT_EQ(post(failed("evt_1")).status, 200);
    settle();
    EXPECT_EQ(look_ups_of(refund), 1);
    EXPECT_THAT(list_stuck(process->session, 10), testing::IsEmpty()) << "the provider knows nothing of it";

    gateway.fates[GatewayCall::look_up] = {Fate::works, Fate::declines};
    EXPECT_EQ(post(failed("evt_2")).status, 200);
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="taken_up"} 2)"));
    settle();
    const auto stuck = list_stuck(process->session, 10);
    ASSERT_EQ(stuck.size(), 1U);
    EXPECT_EQ(stuck.front().refund->id, refund.id);
    EXPECT_EQ(stuck.front().refund->failure->code, "refused");
    EXPECT_EQ(payment_of(event.order_id).refunded_minor, payment.refunded_minor);
    EXPECT_EQ(post(failed("evt_3")).status, 200);
    settle();
    EXPECT_EQ(look_ups_of(refund), 2) << "an operator knows";

    EXPECT_TRUE(retry_stuck(process->session, refund.id.bytes(), clock.now()));
    settle();
    EXPECT_EQ(look_ups_of(refund), 3);
    EXPECT_THAT(list_stuck(process->session, 10), testing::IsEmpty());
}

TEST_F(StripeWebhookTest, NewsOfARefundOfAnotherPaymentDoubtsNothing) {
    const auto event = created();
    publish(event);
    settle();
    publish(refund_of(event, 250));
    const auto other = created();
    publish(other);
    settle();
    const Refund refund = refunds_of(event.order_id).at(0);
    EXPECT_EQ(post(event_of(R"({"object":"refund","status":"failed","metadata":{"payment_id":")" +
                            payment_of(other.order_id).id.to_string() + R"(","refund_key":")" +
                            refund.idempotency_key + R"("}})"))
                  .status,
              200);
    settle();
    EXPECT_EQ(look_ups_of(refund), 0);
}

TEST_F(StripeWebhookTest, WhatWasLeftToAHumanIsTakenUpAgain) {
    const Payment payment = unknown_payment();
    process->session.run("UPDATE payments SET next_look_up_at = 0, stuck_since = 1");
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    settle();
    EXPECT_EQ(payment_of(payment.order_id).status, contracts::PaymentStatus::captured);
    EXPECT_FALSE(payment_of(payment.order_id).stuck_since);
}

TEST_F(StripeWebhookTest, AnAuthorizationThatTheProviderLetGoOfIsNotHeldHereEither) {
    const auto event = created("pm_card_chargeDeclined");
    publish(event);
    settle();
    process->session.run(
        "UPDATE payments SET status = 'AUTHORIZED', provider_state = 'AUTHORIZED', capture_at_once = 0, "
        "failure_code = '', failure_detail = ''");
    const PaymentId held = payment_of(event.order_id).id;
    EXPECT_EQ(post(event_about(held, "evt_1")).status, 200);
    settle();
    EXPECT_EQ(payment_of(event.order_id).status, contracts::PaymentStatus::failed);
    EXPECT_EQ(statuses_of(event.order_id).back(), contracts::PaymentStatus::failed);
}

TEST_F(StripeWebhookTest, NewsOfAPaymentThatWasGivenUpIsLookedUp) {
    const Payment payment = unknown_payment();
    process->session.run(
        "UPDATE payments SET status = 'CANCELED', provider_state = 'ABSENT', cancel_requested = 1, "
        "cancel_requested_at = 1, "
        "next_look_up_at = 0");
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    settle();
    EXPECT_EQ(payment_of(payment.order_id).status, contracts::PaymentStatus::refunded);
    EXPECT_EQ(gateway.provider.total_refunds(), 1);
}

TEST_F(StripeWebhookTest, news_that_says_what_is_known_asks_nothing) {
    const auto event = created();
    publish(event);
    settle();
    const std::string id = payment_of(event.order_id).id.to_string();
    const auto object = [&](const std::string& rest) {
        return event_of("{" + rest + R"(,"currency":"eur","metadata":{"payment_id":")" + id + R"("}})",
                        "evt_" + std::to_string(std::hash<std::string>()(rest)));
    };
    for (const char* known :
         {R"("object":"payment_intent","status":"requires_confirmation","amount_received":0)",
          R"("object":"payment_intent","status":"succeeded","amount_received":1250)",
          R"("object":"charge","disputed":false,"amount_captured":1250,"amount_refunded":0)"}) {
        EXPECT_EQ(post(object(known)).status, 200);
        settle();
        EXPECT_EQ(gateway.count(GatewayCall::look_up), 0U) << known;
    }
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="settled"} 3)"));
    std::size_t looks = 0;
    for (const char* news :
         {R"("object":"charge","disputed":false,"amount_captured":1250,"amount_refunded":1)",
          R"("object":"charge","disputed":true,"amount_captured":1250,"amount_refunded":0)",
          R"("object":"charge","amount_captured":1250,"amount_refunded":0)",
          R"("object":"refund","status":"succeeded","amount":1)"}) {
        EXPECT_EQ(post(object(news)).status, 200);
        settle();
        EXPECT_EQ(gateway.count(GatewayCall::look_up), ++looks) << news;
    }
}

TEST_F(StripeWebhookTest, a_settled_payment_is_looked_at_and_stays_as_it_is) {
    const auto event = created();
    publish(event);
    settle();
    const Payment payment = payment_of(event.order_id);
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::look_up), 1U);
    EXPECT_EQ(payment_of(event.order_id).captured_minor, payment.captured_minor);
    EXPECT_FALSE(payment_of(event.order_id).next_look_up_at.has_value());
    EXPECT_EQ(updates.size(), 1U);
}

TEST_F(StripeWebhookTest, AnEventOfAPaymentThatIsNotKnownIsKeptUntilItComes) {
    const Payment payment = unknown_payment();
    process->session.run("UPDATE payments SET id = '0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa'");
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="parked"} 1)"));
    EXPECT_EQ(post(event_about(payment.id, "evt_1")).status, 200);
    gateway.fates[GatewayCall::authorize] = {Fate::loses_answer, Fate::loses_answer, Fate::loses_answer};
    replay();
    EXPECT_TRUE(counts("payment_notices_parked 1"));
    EXPECT_TRUE(counts("payment_notices_replayed_total 0"));

    process->session.run("UPDATE payments SET next_look_up_at = 99999999999999, id = '" +
                         payment.id.to_string() + "'");
    const auto before = gateway.calls.size();
    replay();
    EXPECT_EQ(gateway.calls.size(), before + 1);
    EXPECT_TRUE(counts("payment_notices_replayed_total 1"));
    replay();
    EXPECT_TRUE(counts("payment_notices_parked 0"));
}

TEST_F(StripeWebhookTest, AnEventWhosePaymentNeverComesIsGivenUp) {
    EXPECT_EQ(post(event_about(PaymentId(UuidBytes{7}), "evt_1")).status, 200);
    clock.advance(parked_notices_live + std::chrono::seconds(1));
    replay();
    replay();
    EXPECT_TRUE(counts("payment_notices_dropped_total 1"));
    EXPECT_TRUE(counts("payment_notices_parked 0"));
}

TEST_F(StripeWebhookTest, OnlySoManyAreKept) {
    std::string rows;
    for (std::size_t i = 0; i < max_parked_notices; ++i) {
        rows += (rows.empty() ? "" : ",") + ("('old-" + std::to_string(i)) +
                "','0193530d-7d3c-7aaa-8aaa-aaaaaaaaaaaa'," + std::to_string(to_ms(clock.now())) + ")";
    }
    process->session.run("INSERT INTO parked_notices (event_id, payment_id, received_at) VALUES " + rows);
    const auto body = event_about(PaymentId(UuidBytes{7}), "evt_1");
    EXPECT_EQ(post(body).status, 200) << "an endpoint that refuses is turned off, for our payments as well";
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="dropped"} 1)"));
    process->session.run("DELETE FROM parked_notices");
    EXPECT_EQ(post(body).status, 200);
    EXPECT_TRUE(counts(R"(payment_notices_total{outcome="parked"} 1)")) << "the dropped one left no trace";
}

TEST_F(StripeWebhookTest, EventsOfOtherThingsAreAcceptedAndCounted) {
    EXPECT_EQ(post(event_of(R"({"object":"payout"})")).status, 200);
    EXPECT_TRUE(counts("stripe_webhooks_ignored_total 1"));
}

TEST_F(StripeWebhookTest, signed_events_of_other_kinds_are_accepted_and_counted) {
    const auto others = events_of_other_kinds();
    for (const std::string& body : others)
        EXPECT_EQ(post(body).status, 200) << body;
    EXPECT_TRUE(counts("stripe_webhooks_ignored_total " + std::to_string(others.size())));
    EXPECT_TRUE(counts("stripe_webhooks_refused_total 0"));
}

TEST_F(StripeWebhookTest, WhatIsNotSignedIsNotReadAndSaysWhy) {
    const Payment payment = unknown_payment();
    const std::string body = event_about(payment.id, "evt_1");
    for (const std::string& header : {std::string(), signed_header(body, seconds_at(clock.now()), "other"),
                                      signed_header(body, seconds_at(clock.now()) - 400)}) {
        const auto refused = post(body, header);
        EXPECT_EQ(refused.status, 400);
        EXPECT_THAT(refused.body, HasSubstr("The signature is not accepted"));
    }
    EXPECT_EQ(post("no JSON").status, 400);
    settle();
    EXPECT_EQ(gateway.count(GatewayCall::look_up), 0U);
    EXPECT_TRUE(counts("stripe_webhooks_refused_total 4"));
}

}  // namespace

}  // namespace quittance::payments
