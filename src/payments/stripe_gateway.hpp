// Stripe as the payment provider: PaymentIntents and refunds (https://docs.stripe.com/api).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "payments/gateway.hpp"
#include "payments/stripe_client.hpp"

namespace quittance::payments {

struct StripeGatewayOptions {
    /// An error of Stripe's that is stored under a key means that this key will never charge. When the
    /// payment still cannot be found this long after it was begun, it was not made.
    std::chrono::milliseconds stored_error_settles_after{30'000};
};

/// Every call sends its key, so that a repetition gets the first answer; what Stripe answers with an error
/// that leaves the outcome open is looked for at once where that can tell, and is `unknown` otherwise. How a
/// payment is found whose first answer was lost: docs/decisions/0008-finding-a-payment-at-stripe.md.
///
/// Thread safe. The destructor answers what is under way with `unknown`.
class StripeGateway final : public Gateway {
public:
    StripeGateway(StripeClientOptions client, const Clock& clock, Random& random, telemetry::Metrics& metrics,
                  StripeGatewayOptions options = {});

    [[nodiscard]] std::string_view name() const override { return "stripe"; }
    void authorize(const GatewayRequest& request, bool capture, GatewayDone done) override;
    void capture(const GatewayRequest& request, GatewayDone done) override;
    void refund(const GatewayRequest& request, GatewayDone done) override;
    void cancel(const GatewayRequest& request, GatewayDone done) override;
    void look_up(const GatewayRequest& request, GatewayDone done) override;
    void look_up_refund(const GatewayRequest& request, GatewayDone done) override;
    void list_charges(Timestamp since, const std::string& after, ChargesDone done) override;

private:
    /// What a search for a payment has to remember from page to page.
    struct Search {
        GatewayRequest request;
        Timestamp since;
        int pages_left = 0;
        bool certain = false;
        bool search_suffices = false;
        GatewayDone done;
    };

    /// `done`, or nothing when the same call is under way: then `done` gets its answer.
    [[nodiscard]] GatewayDone first_of(const std::string& call, GatewayDone done);
    /// Seeks a payment whose reference is not known. Where it need not be certain that it is not there, less
    /// is looked through.
    void find(const GatewayRequest& request, bool certain, GatewayDone done);
    void list(std::unique_ptr<Search> search, const std::string& after);
    void retrieve(const GatewayRequest& request, const std::string& intent_id, GatewayDone done);
    /// After a request whose effect its answer does not tell: `reached` judges the payment as it is now.
    void settle(const GatewayRequest& request, GatewayResult otherwise,
                absl::AnyInvocable<bool(const GatewayResult&)> reached, GatewayDone done);
    void settle_charge(const GatewayRequest& request, GatewayDone done);
    void settle_refund(const GatewayRequest& request, GatewayDone done);
    /// All of the charge went back before: under this key, or in the dashboard.
    void settle_refunded(const GatewayRequest& request, const StripeAnswer& refusal, GatewayDone done);
    void find_refund_of(const GatewayRequest& request, GatewayDone done);

    const Clock& clock_;
    const StripeGatewayOptions options_;

    std::mutex mutex_;
    std::unordered_map<std::string, std::vector<GatewayDone>> under_way_;
    StripeClient client_;  // Last, so that the answers which its end brings find all else alive.
};

}  // namespace quittance::payments
