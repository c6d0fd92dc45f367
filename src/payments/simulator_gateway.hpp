// A payment provider that lives in this process: answers like one, moves no money.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "payments/gateway.hpp"

namespace quittance::payments {

struct SimulatorOptions {
    /// Zero answers on the caller's thread, before the call returns; else a timer thread answers later.
    std::chrono::milliseconds latency{0};
    /// Answers remembered; the oldest are forgotten first.
    std::size_t remembered_answers = 16'384;
};

/// Decides by the payment method, with the names of Stripe's test methods (https://docs.stripe.com/testing):
/// `pm_card_visa` and `pm_card_mastercard` succeed; `pm_card_chargeDeclined`, `...InsufficientFunds`,
/// `...LostCard`, `...StolenCard`, `...ExpiredCard`, `...IncorrectCvc`, `...ProcessingError` are declined
/// (also as `pm_card_visa_chargeDeclined...`); `pm_card_authenticationRequired` requires an action; any other
/// name is declined with the code `unknown_payment_method`.
///
/// What is declined, or requires an action, stays open until it is canceled.
///
/// Nothing survives a restart, so answers and references follow from the request alone: the same key does
/// the same, remembered or not. `look_up` knows only what is remembered.
///
/// Thread safe. The destructor answers what is still waiting with `unknown`.
class SimulatorGateway final : public Gateway {
public:
    explicit SimulatorGateway(SimulatorOptions options = {});
    ~SimulatorGateway() override;
    SimulatorGateway(const SimulatorGateway&) = delete;
    SimulatorGateway& operator=(const SimulatorGateway&) = delete;

    static constexpr std::string_view own_name = "simulator";

    [[nodiscard]] std::string_view name() const override { return own_name; }
    void authorize(const GatewayRequest& request, bool capture, GatewayDone done) override;
    void capture(const GatewayRequest& request, GatewayDone done) override;
    void refund(const GatewayRequest& request, GatewayDone done) override;
    void cancel(const GatewayRequest& request, GatewayDone done) override;
    void look_up(const GatewayRequest& request, GatewayDone done) override;
    void look_up_refund(const GatewayRequest& request, GatewayDone done) override;
    void list_charges(Timestamp since, const std::string& after, ChargesDone done) override;

    /// How often money was taken under this idempotency key, as far as remembered: never more than once.
    [[nodiscard]] int captures(const std::string& idempotency_key) const;
    /// How often money was taken since the start, under any key.
    [[nodiscard]] std::int64_t total_captures() const;
    [[nodiscard]] std::int64_t total_refunds() const;

private:
    /// What the provider holds for one payment.
    struct Charge {
        PaymentId payment_id;
        Currency currency;
        GatewayOutcome outcome = GatewayOutcome::unknown;
        contracts::Failure failure;
        std::int64_t authorized_minor = 0;
        std::int64_t captured_minor = 0;
        std::int64_t refunded_minor = 0;
    };
    struct Answered {
        std::string operation;  ///< What was asked for, to notice a key that is used for something else.
        GatewayResult result;
        int captures = 0;
    };
    struct Waiting {
        GatewayDone done;
        GatewayResult result;
    };

    template <class Work>
    void answer_once(std::string operation, const GatewayRequest& request, GatewayDone done, Work work);
    void remember(const std::string& key, Answered answered);
    void remember_charge(const std::string& reference, Charge charge);
    void deliver(GatewayDone done, GatewayResult result);
    void run_timer();

    GatewayResult authorize_locked(const GatewayRequest& request, bool capture);
    GatewayResult capture_locked(const GatewayRequest& request);
    GatewayResult refund_locked(const GatewayRequest& request);
    GatewayResult cancel_locked(const GatewayRequest& request);
    [[nodiscard]] GatewayResult look_up_locked(const GatewayRequest& request) const;
    [[nodiscard]] static GatewayResult snapshot(const std::string& reference, const Charge& charge);
    [[nodiscard]] std::optional<std::int64_t> all_refunded(const std::string& reference) const;
    /// An answer that was given before: the payment may stand otherwise now.
    [[nodiscard]] GatewayResult as_it_stands(const Answered& answered) const;

    const SimulatorOptions options_;

    mutable std::mutex mutex_;
    std::unordered_map<std::string, Answered> answers_;  // By idempotency key.
    std::deque<std::string> answer_age_;                 // Oldest first.
    std::unordered_map<std::string, Charge> charges_;    // By provider reference.
    std::deque<std::string> charge_age_;
    std::int64_t total_captures_ = 0;
    std::int64_t total_refunds_ = 0;

    std::mutex timer_mutex_;
    std::condition_variable timer_changed_;
    std::multimap<std::chrono::steady_clock::time_point, Waiting> waiting_;
    bool stopping_ = false;
    std::thread timer_;
};

}  // namespace quittance::payments
