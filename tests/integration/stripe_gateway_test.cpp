// What Stripe's gateway makes of the faults that only Stripe has.
#include "payments/stripe_gateway.hpp"

#include <algorithm>
#include <future>
#include <memory>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/ids.hpp"
#include "core/random.hpp"
#include "telemetry/metrics.hpp"
#include "tests/support/stripe_server.hpp"

namespace quittance::payments {

namespace {

using namespace std::chrono_literals;

/// The system's, moved.
class MovedClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return system_.now() + by; }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
        return system_.steady_now();
    }
    std::chrono::milliseconds by{0};

private:
    SystemClock system_;
};

class StripeFaults : public testing::Test {
protected:
    StripeFaults() {
        server.control("faults", "{}");
        server.control("search", R"({"lagMs":60000})");
        server.control("forbid", "{}");
        make_gateway(0ms);
    }
    void make_gateway(std::chrono::milliseconds settles_after) {
        gateway = std::make_unique<StripeGateway>(server.client_options(), clock, random_, metrics_,
                                                  StripeGatewayOptions{settles_after});
    }
    [[nodiscard]] GatewayRequest payment() {
        const auto id = ids_.generate<PaymentId>();
        return {.payment_id = id,
                .order_id = ids_.generate<OrderId>(),
                .amount = {1000, *Currency::parse("EUR")},
                .payment_method = "pm_card_visa",
                .idempotency_key = "pay-" + id.to_string()};
    }
    [[nodiscard]] GatewayRequest then(GatewayRequest request, const GatewayResult& answer,
                                      std::int64_t amount_minor) {
        request.amount.minor = amount_minor;
        request.provider_reference = answer.provider_reference;
        request.idempotency_key = "next-" + ids_.generate<EventId>().to_string();
        return request;
    }
    template <class Ask>
    GatewayResult answer_of(Ask ask) {
        std::promise<GatewayResult> promise;
        auto future = promise.get_future();
        ask([&](GatewayResult result) { promise.set_value(std::move(result)); });
        return future.get();
    }
    GatewayResult charge(const GatewayRequest& request, bool capture = true) {
        return answer_of([&](auto done) { gateway->authorize(request, capture, std::move(done)); });
    }
    GatewayResult look_up(const GatewayRequest& request) {
        return answer_of([&](auto done) { gateway->look_up(request, std::move(done)); });
    }
    /// A later request may be refused for what an earlier one left in the breaker.
    void forbid(const std::string& calls) {
        server.control("forbid", calls);
        make_gateway(0ms);
    }
    void plan(const std::string& faults) { server.control("plan", faults); }
    /// What the server's books say of the order.
    [[nodiscard]] std::int64_t booked(const GatewayRequest& request, std::string_view what) {
        const auto books = boost::json::parse(server.control("books"));
        const auto* order = books.at("orders").as_object().if_contains(request.order_id.to_string());
        return order == nullptr ? 0 : order->at(what).as_int64();
    }

    test_support::StripeServer& server = test_support::StripeServer::shared();
    MovedClock clock;
    std::unique_ptr<StripeGateway> gateway;

private:
    SystemRandom random_;
    telemetry::Metrics metrics_;
    IdGenerator ids_{clock, random_};
};

TEST_F(StripeFaults, AChargeThatFailedAfterItWasMadeIsFound) {
    const auto request = payment();
    plan(R"(["error_after"])");
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::unknown) << "the first answer says nothing";
    const auto again = charge(request);
    EXPECT_EQ(again.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(again.captured_minor, 1000);
    EXPECT_EQ(booked(request, "captures"), 1);
}

TEST_F(StripeFaults, AChargeThatFailedBeforeItWasMadeIsRefusedOnceThatIsSure) {
    const auto request = payment();
    plan(R"(["error_before"])");
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::unknown);
    make_gateway(1h);
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::unknown) << "it may still turn up";
    make_gateway(0ms);
    const auto settled = charge(request);
    EXPECT_EQ(settled.outcome, GatewayOutcome::refused);
    EXPECT_EQ(settled.failure.code, "provider_error");
    EXPECT_EQ(booked(request, "intents"), 0);
}

TEST_F(StripeFaults, ALostAnswerIsAskedForAgain) {
    const auto request = payment();
    plan(R"(["lost_response","rate_limited"])");
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(booked(request, "captures"), 1);
}

TEST_F(StripeFaults, ARefundThatFailedAfterItWasMadeIsFoundAndOneBeforeIsRefused) {
    const auto request = payment();
    const auto charged = charge(request);
    for (const auto& [fault, outcome] : {std::pair{"error_after", GatewayOutcome::succeeded},
                                         std::pair{"error_before", GatewayOutcome::refused}}) {
        const auto refund = then(request, charged, 400);
        plan(std::string("[\"") + fault + "\"]");
        const auto ask = [&](auto done) { gateway->refund(refund, std::move(done)); };
        EXPECT_EQ(answer_of(ask).outcome, GatewayOutcome::unknown) << fault;
        EXPECT_EQ(answer_of(ask).outcome, outcome) << fault;
    }
    EXPECT_EQ(booked(request, "refunded"), 400);
}

TEST_F(StripeFaults, ARefundThatFailsAfterItSucceededIsSaidToHaveFailed) {
    const auto request = payment();
    const auto refund = then(request, charge(request), 400);
    const auto made = answer_of([&](auto done) { gateway->refund(refund, std::move(done)); });
    ASSERT_EQ(made.outcome, GatewayOutcome::succeeded);
    server.control("fail_refund", R"({"id":")" + made.provider_reference + R"("})");
    const auto found = answer_of([&](auto done) { gateway->look_up_refund(refund, std::move(done)); });
    EXPECT_EQ(found.outcome, GatewayOutcome::declined);
    EXPECT_EQ(found.failure.code, "lost_or_stolen_card");
}

TEST_F(StripeFaults, refund_above_what_the_dashboard_left_is_refused_and_the_sum_is_told) {
    const auto request = payment();
    const auto charged = charge(request);
    const auto refund = [&](const GatewayRequest& asked) {
        return answer_of([&](auto done) { gateway->refund(asked, std::move(done)); });
    };
    const auto all_refunded = [&] {
        const auto none = answer_of(
            [&](auto done) { gateway->look_up_refund(then(request, charged, 1), std::move(done)); });
        EXPECT_EQ(none.outcome, GatewayOutcome::not_found);
        return none.all_refunded_minor;
    };
    EXPECT_EQ(refund(then(request, charged, 400)).all_refunded_minor, 400);
    server.control("refund", R"({"id":")" + charged.provider_reference + R"(","amount":100})");
    EXPECT_EQ(refund(then(request, charged, 501)).outcome, GatewayOutcome::refused) << "more than is left";
    EXPECT_EQ(all_refunded(), 500);
    EXPECT_EQ(look_up(then(request, charged, 1000)).refunded_minor, 500);
    EXPECT_EQ(refund(then(request, charged, 500)).all_refunded_minor, 1000);
    const auto late = refund(then(request, charged, 100));
    EXPECT_EQ(late.outcome, GatewayOutcome::refused);
    EXPECT_EQ(late.failure.code, "charge_already_refunded");
    EXPECT_EQ(booked(request, "refunded"), 1000);
}

TEST_F(StripeFaults, payment_that_was_confirmed_late_or_canceled_by_hand_is_shown_as_it_stands) {
    auto request = payment();
    request.payment_method = "pm_card_chargeDeclined";
    const auto declined = charge(request);
    ASSERT_EQ(declined.outcome, GatewayOutcome::declined);
    server.control("confirm", R"({"id":")" + declined.provider_reference + R"("})");
    const auto again = charge(request);
    EXPECT_EQ(again.outcome, GatewayOutcome::succeeded) << "and not the decline that the key remembers";
    EXPECT_EQ(again.captured_minor, 1000);
    const auto kept =
        answer_of([&](auto done) { gateway->cancel(then(request, declined, 1000), std::move(done)); });
    EXPECT_EQ(kept.outcome, GatewayOutcome::succeeded) << "it cannot be canceled any more";
    EXPECT_EQ(kept.captured_minor, 1000);

    const auto other = payment();
    const auto authorized = charge(other, false);
    server.control("cancel", R"({"id":")" + authorized.provider_reference + R"("})");
    const auto capture = then(other, authorized, 600);
    EXPECT_EQ(answer_of([&](auto done) { gateway->capture(capture, std::move(done)); }).outcome,
              GatewayOutcome::canceled);
}

TEST_F(StripeFaults, ACaptureThatFailedAfterItWasMadeIsFoundAndOneBeforeIsRefused) {
    for (const auto& [fault, outcome] : {std::pair{"error_after", GatewayOutcome::succeeded},
                                         std::pair{"error_before", GatewayOutcome::refused}}) {
        const auto request = payment();
        const auto capture = then(request, charge(request, false), 600);
        plan(std::string("[\"") + fault + "\"]");
        const auto ask = [&](auto done) { gateway->capture(capture, std::move(done)); };
        EXPECT_EQ(answer_of(ask).outcome, GatewayOutcome::unknown) << fault;
        EXPECT_EQ(answer_of(ask).outcome, outcome) << fault;
    }
}

TEST_F(StripeFaults, ACancellationWhoseAnswerIsLostIsOne) {
    const auto request = payment();
    const auto release = then(request, charge(request, false), 1000);
    plan(R"(["lost_response"])");
    EXPECT_EQ(answer_of([&](auto done) { gateway->cancel(release, std::move(done)); }).outcome,
              GatewayOutcome::canceled);
    EXPECT_EQ(booked(request, "held"), 0);
}

TEST_F(StripeFaults, AnOldPaymentIsFoundBySearching) {
    const auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    clock.by = 1h;
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded)
        << "the search may be an hour behind, and the list has it";
    clock.by = 4h;
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::not_found) << "what is that old the search has";
    server.control("search", R"({"lagMs":0})");
    const auto found = look_up(request);
    EXPECT_EQ(found.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(found.captured_minor, 1000);
}

TEST_F(StripeFaults, AnAccountThatMayNotSearchIsSoughtThroughByTheList) {
    const auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    clock.by = 4h;
    server.control("search", R"({"lagMs":60000,"refused":true})");
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded);
}

TEST_F(StripeFaults, account_whose_key_may_not_search_is_sought_through_by_the_list) {
    const auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    const auto absent = payment();
    clock.by = 4h;
    forbid(R"({"GET v1/payment_intents/search":403})");
    for (int times = 0; times < 2; ++times) {
        EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded);
        EXPECT_EQ(look_up(absent).outcome, GatewayOutcome::not_found)
            << "the list goes back to its beginning";
    }
    EXPECT_EQ(charge(payment()).outcome, GatewayOutcome::succeeded) << "nothing else is closed";
}

TEST_F(StripeFaults, key_that_may_not_list_searches_and_is_certain_only_where_the_search_is) {
    const auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    auto absent = payment();
    forbid(R"({"GET v1/payment_intents":403})");
    server.control("search", R"({"lagMs":0})");
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded) << "young, and found by the search";
    EXPECT_EQ(look_up(absent).outcome, GatewayOutcome::unknown) << "the search may not have it yet";
    absent.may_be_sent_until = clock.now() + 1h;
    EXPECT_EQ(look_up(absent).outcome, GatewayOutcome::not_found) << "and the same key tells the rest";
    clock.by = 1h + 30min;
    absent.may_be_sent_until = {};
    EXPECT_EQ(look_up(absent).outcome, GatewayOutcome::unknown);
    clock.by = 4h;
    EXPECT_EQ(look_up(absent).outcome, GatewayOutcome::not_found);
}

TEST_F(StripeFaults, key_that_may_not_retrieve_finds_the_payment_in_the_list_or_by_a_search) {
    const auto request = payment();
    const auto charged = charge(request);
    const auto known = then(request, charged, 1000);
    answer_of([&](auto done) { gateway->refund(then(request, charged, 300), std::move(done)); });
    server.control("search", R"({"lagMs":0})");
    for (const char* calls : {R"({"GET v1/payment_intents/{id}":403})",
                              R"({"GET v1/payment_intents/{id}":403,"GET v1/payment_intents":403})",
                              R"({"GET v1/payment_intents/{id}":403,"GET v1/payment_intents/search":403})"}) {
        forbid(calls);
        for (int times = 0; times < 2; ++times) {
            const auto found = look_up(known);
            EXPECT_EQ(found.outcome, GatewayOutcome::succeeded) << calls;
            EXPECT_EQ(found.captured_minor, 1000) << calls;
            EXPECT_EQ(found.refunded_minor, 300) << calls;
        }
        EXPECT_EQ(look_up(request).refunded_minor, 300) << "without its reference, too " << calls;
    }
    forbid(R"({"GET v1/payment_intents/{id}":403,"GET v1/payment_intents":403,)"
           R"("GET v1/payment_intents/search":403})");
    EXPECT_EQ(look_up(known).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::unknown);
    EXPECT_EQ(charge(payment()).outcome, GatewayOutcome::succeeded);
}

TEST_F(StripeFaults, known_payment_that_the_list_does_not_show_is_unknown) {
    auto request = payment();
    const auto charged = charge(request);
    auto another = then(request, charged, 1000);
    another.provider_reference = "pi_of_another_account";
    EXPECT_EQ(look_up(another).outcome, GatewayOutcome::not_found);
    forbid(R"({"GET v1/payment_intents/{id}":403})");
    EXPECT_EQ(look_up(another).outcome, GatewayOutcome::unknown);
}

TEST_F(StripeFaults, key_that_may_not_refund_charges_and_looks_up) {
    const auto request = payment();
    const auto charged = charge(request);
    forbid(R"({"POST v1/refunds":403})");
    const auto refund = then(request, charged, 300);
    EXPECT_EQ(answer_of([&](auto done) { gateway->refund(refund, std::move(done)); }).outcome,
              GatewayOutcome::unknown);
    EXPECT_EQ(charge(payment()).outcome, GatewayOutcome::succeeded);
    const auto found = answer_of([&](auto done) { gateway->look_up_refund(refund, std::move(done)); });
    EXPECT_EQ(found.outcome, GatewayOutcome::not_found);
    EXPECT_EQ(found.all_refunded_minor, 0);
}

TEST_F(StripeFaults, key_that_may_not_charge_leaves_the_payment_unknown_and_refunds_go_on) {
    const auto request = payment();
    const auto charged = charge(request);
    forbid(R"({"POST v1/payment_intents":403})");
    EXPECT_EQ(charge(payment()).outcome, GatewayOutcome::unknown);
    const auto refund = then(request, charged, 300);
    EXPECT_EQ(answer_of([&](auto done) { gateway->refund(refund, std::move(done)); }).outcome,
              GatewayOutcome::succeeded);
}

TEST_F(StripeFaults, page_that_is_too_long_is_asked_for_in_parts) {
    const auto request = payment();
    const auto charged = charge(request);
    // A page of a hundred is 9 MB, with the copies that charges have.
    server.control("strangers", R"({"count":120,"metadataBytes":45000})");
    EXPECT_EQ(look_up(request).provider_reference, charged.provider_reference);
    EXPECT_EQ(look_up(payment()).outcome, GatewayOutcome::not_found);
    std::vector<ListedCharge> listed;
    std::string after;
    do {
        std::promise<ChargePage> promise;
        gateway->list_charges(begun_at(request.payment_id), after,
                              [&](ChargePage page) { promise.set_value(std::move(page)); });
        const ChargePage page = promise.get_future().get();
        ASSERT_TRUE(page.readable);
        listed.insert(listed.end(), page.charges.begin(), page.charges.end());
        after = page.next;
    } while (!after.empty());
    EXPECT_GT(listed.size(), 120U);
    EXPECT_EQ(std::ranges::count(listed, request.payment_id, &ListedCharge::payment_id), 1);
}

TEST_F(StripeFaults, refunds_beyond_a_page_are_found_and_summed) {
    auto request = payment();
    request.amount.minor = 100'000;
    const auto charged = charge(request);
    const auto first = then(request, charged, 7);
    answer_of([&](auto done) { gateway->refund(first, std::move(done)); });
    for (int others = 0; others < 130; ++others)
        server.control("refund", R"({"id":")" + charged.provider_reference + R"(","amount":1})");
    const auto found = answer_of([&](auto done) { gateway->look_up_refund(first, std::move(done)); });
    EXPECT_EQ(found.outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(found.refunded_minor, 7);
    EXPECT_EQ(found.all_refunded_minor, 137);
    const auto none =
        answer_of([&](auto done) { gateway->look_up_refund(then(request, charged, 1), std::move(done)); });
    EXPECT_EQ(none.outcome, GatewayOutcome::not_found);
    EXPECT_EQ(none.all_refunded_minor, 137);
}

TEST_F(StripeFaults, answers_tell_the_time_at_stripe) {
    const auto answer = look_up(payment());
    ASSERT_EQ(answer.outcome, GatewayOutcome::not_found);
    ASSERT_TRUE(answer.provider_time);
    EXPECT_LT(std::chrono::abs(*answer.provider_time - clock.now()), 5s);
}

TEST_F(StripeFaults, APaymentIsFoundThoughOurClockIsMinutesAhead) {
    clock.by = 5min;
    const auto request = payment();
    plan(R"(["error_after"])");
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::unknown);
    clock.by = 6min;
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded);
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded)
        << "the stored error does not make it a payment that was not made";
}

TEST_F(StripeFaults, WhereTheSameKeyIsSentNextLessIsLookedThrough) {
    clock.by = 5min;
    auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    request.may_be_sent_until = clock.now() + 1h;
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::not_found) << "the key tells the rest";
    request.may_be_sent_until = clock.now();
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded);
}

TEST_F(StripeFaults, APaymentIsFoundBehindManyOthers) {
    const auto request = payment();
    EXPECT_EQ(charge(request).outcome, GatewayOutcome::succeeded);
    for (int others = 0; others < 120; ++others)
        charge(payment());
    EXPECT_EQ(look_up(request).outcome, GatewayOutcome::succeeded);
}

TEST_F(StripeFaults, AnAmountThatStripeCannotChargeIsNotRounded) {
    auto request = payment();
    request.amount = {1234, *Currency::parse("JOD")};
    const auto refused = charge(request);
    EXPECT_EQ(refused.outcome, GatewayOutcome::refused);
    EXPECT_EQ(refused.failure.code, "amount_not_supported");
    EXPECT_EQ(booked(request, "intents"), 0);
}

TEST_F(StripeFaults, AKeyThatIsRefusedLeavesThePaymentUnknown) {
    auto options = server.client_options();
    options.api_key = Secret("sk_test_wrong");
    SystemRandom random;
    telemetry::Metrics metrics;
    gateway = std::make_unique<StripeGateway>(std::move(options), clock, random, metrics);
    EXPECT_EQ(charge(payment()).outcome, GatewayOutcome::unknown);
    gateway.reset();
}

TEST_F(StripeFaults, AnEndAnswersWhatIsUnderWay) {
    server.control("faults", R"({"delayMs":[2000,2000]})");
    std::promise<GatewayResult> promise;
    gateway->authorize(payment(), true, [&](GatewayResult result) { promise.set_value(std::move(result)); });
    gateway.reset();
    EXPECT_EQ(promise.get_future().get().outcome, GatewayOutcome::unknown);
}

}  // namespace

}  // namespace quittance::payments
