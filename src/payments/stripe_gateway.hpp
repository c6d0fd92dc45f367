// Stripe as the payment provider: PaymentIntents and refunds (https://docs.stripe.com/api).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "payments/gateway.hpp"
#include "payments/stripe_client.hpp"

namespace quittance::payments {

struct StripeGatewayOptions {
    /// An error of Stripe's that is stored under a key means that this key will never charge. When the
    /// payment still cannot be found this long after it was begun, it was not made.
    std::chrono::milliseconds stored_error_settles_after{30'000};
};

/// Every call that moves money sends its key, so that a repetition does nothing more. What Stripe replays for
/// such a repetition is how the payment stood then, so its present state is retrieved; after an error that
/// leaves the outcome open it is looked for at once where that can tell, and is `unknown` otherwise. Which
/// answers say "no": docs/decisions/0018-who-may-say-no.md. How a payment is found whose first answer was
/// lost: docs/decisions/0008-finding-a-payment-at-stripe.md.
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
    /// A look-up on its way, from one endpoint and one page to the next. An endpoint that is forbidden to our
    /// key is left out, and the others are used instead.
    struct Search {
        GatewayRequest request;
        GatewayDone done;
        bool certain = false;
        Timestamp since;               ///< What is listed was created since then.
        Timestamp everything;          ///< The same for a list that holds the payment, if there is one.
        int objects_left = 0;          ///< To be listed at the most.
        bool search_suffices = false;  ///< What a search does not find does not exist.
        bool may_retrieve = true;
        bool may_list = true;
        bool may_search = true;
        std::optional<GatewayResult> seen;  ///< By a search, which may show an old state.
    };
    using SearchPtr = std::unique_ptr<Search>;
    struct RefundSearch;
    using RefundSearchPtr = std::unique_ptr<RefundSearch>;

    [[nodiscard]] SearchPtr begin_search(const GatewayRequest& request, bool certain, GatewayDone done) const;
    /// Seeks a payment whose reference is not known. Where it need not be certain that it is not there, less
    /// is looked through.
    void find(SearchPtr search);
    void search(SearchPtr search);
    void list(SearchPtr search, StripePage page);
    void retrieve(SearchPtr search, const std::string& intent_id);
    /// Neither what was tried nor another way is left.
    static void give_up(const Search& search, GatewayDone done);
    /// The present state of the payment with this reference.
    void retrieve(const GatewayRequest& request, const std::string& intent_id, GatewayDone done);
    void settle_charge(const GatewayRequest& request, GatewayDone done);
    /// After a capture whose answer is not how the payment stands: `answer` where it was refused and is not
    /// captured otherwise, else the payment.
    void settle_capture(const GatewayRequest& request, GatewayResult answer, GatewayDone done);
    void settle_refund(const GatewayRequest& request, GatewayDone done);
    void find_refund(RefundSearchPtr search, StripePage page);
    void list_charges_of(Timestamp since, StripePage page, ChargesDone done);

    const Clock& clock_;
    const StripeGatewayOptions options_;
    StripeClient client_;  // Last, so that the answers which its end brings find all else alive.
};

}  // namespace quittance::payments
