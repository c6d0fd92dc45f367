#include "payments/stripe_gateway.hpp"
#include "telemetry/metrics.hpp"
#include "tests/conformance/gateway_conformance.hpp"
#include "tests/support/stripe_server.hpp"

namespace quittance::payments {

namespace {

/// What the gateway refers to, and the gateway.
class Stripe final : public Gateway {
public:
    explicit Stripe(const std::string& faults) {
        test_support::StripeServer::shared().control("faults", faults);
    }
    [[nodiscard]] std::string_view name() const override { return gateway_.name(); }
    void authorize(const GatewayRequest& request, bool capture, GatewayDone done) override {
        gateway_.authorize(request, capture, std::move(done));
    }
    void capture(const GatewayRequest& request, GatewayDone done) override {
        gateway_.capture(request, std::move(done));
    }
    void refund(const GatewayRequest& request, GatewayDone done) override {
        gateway_.refund(request, std::move(done));
    }
    void cancel(const GatewayRequest& request, GatewayDone done) override {
        gateway_.cancel(request, std::move(done));
    }
    void look_up(const GatewayRequest& request, GatewayDone done) override {
        gateway_.look_up(request, std::move(done));
    }
    void look_up_refund(const GatewayRequest& request, GatewayDone done) override {
        gateway_.look_up_refund(request, std::move(done));
    }
    void list_charges(Timestamp since, const std::string& after, ChargesDone done) override {
        gateway_.list_charges(since, after, std::move(done));
    }

private:
    static StripeClientOptions patient() {
        auto options = test_support::StripeServer::shared().client_options();
        // The faults come at random; twelve in a row do not.
        options.max_tries = 12;
        options.failures_to_open = 1000;
        return options;
    }

    SystemClock clock_;
    SystemRandom random_;
    telemetry::Metrics metrics_;
    StripeGateway gateway_{patient(), clock_, random_, metrics_};
};

GatewayCandidate stripe(std::string name, std::string faults) {
    return {.name = std::move(name),
            .make = [faults = std::move(faults)] { return std::make_unique<Stripe>(faults); },
            .good_method = "pm_card_visa",
            .declined_method = "pm_card_chargeDeclinedInsufficientFunds",
            .declined_code = "insufficient_funds",
            .action_method = "pm_card_authenticationRequired"};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Stripe, GatewayConformance,
                         testing::Values(stripe("Sound", "{}"),
                                         stripe("Faulty",
                                                R"({"seed":5,"lost_response":0.2,"lost_request":0.1,)"
                                                R"("rate_limited":0.1,"locked":0.05,"unavailable":0.1})")),
                         [](const auto& candidate) { return candidate.param.name; });

}  // namespace quittance::payments
