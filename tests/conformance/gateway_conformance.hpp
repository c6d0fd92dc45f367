// What every adapter of the payment gateway's port has to do. An adapter instantiates the suite:
//     INSTANTIATE_TEST_SUITE_P(Simulator, GatewayConformance, testing::Values(candidate));
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "payments/gateway.hpp"

namespace quittance::payments {

/// An adapter under test, and the payment methods with which its provider answers in a known way.
struct GatewayCandidate {
    std::string name;
    std::function<std::unique_ptr<Gateway>()> make;
    std::string good_method;
    std::string declined_method;
    std::string declined_code;
    std::string action_method;
};

void PrintTo(const GatewayCandidate& candidate, std::ostream* out);

class GatewayConformance : public testing::TestWithParam<GatewayCandidate> {
protected:
    GatewayConformance();

    /// A new payment with a key of its own.
    [[nodiscard]] GatewayRequest payment_of(std::int64_t amount_minor, const std::string& method);
    /// The next request for the same payment.
    [[nodiscard]] GatewayRequest follow_up(const GatewayRequest& first, const GatewayResult& result,
                                           std::int64_t amount_minor);

    // Each waits for the answer and fails the test when it does not come, or comes twice.
    GatewayResult authorize(const GatewayRequest& request, bool capture);
    GatewayResult capture(const GatewayRequest& request);
    GatewayResult refund(const GatewayRequest& request);
    /// Asks again for as long as the answer is `unknown`.
    GatewayResult refusal_of_refund(const GatewayRequest& request);
    GatewayResult refusal_of_capture(const GatewayRequest& request);
    GatewayResult cancel(const GatewayRequest& request);
    GatewayResult look_up(const GatewayRequest& request);
    GatewayResult look_up_refund(const GatewayRequest& request);
    /// What is listed of one payment since it was made, on any page.
    std::vector<ListedCharge> listed_of(const GatewayRequest& request);

    std::unique_ptr<Gateway> gateway_;
    const Timestamp begun_ = SystemClock().now();

private:
    SystemClock clock_;
    SystemRandom random_;
    IdGenerator ids_{clock_, random_};
};

}  // namespace quittance::payments
