// The payment provider and its books, which survive every crash of ours; and the way there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "payments/gateway.hpp"
#include "payments/provider_notices.hpp"
#include "tests/sim/prng.hpp"
#include "tests/sim/stage.hpp"

namespace quittance::sim {

/// Methods whose outcome the provider decides later, and tells by webhook.
inline constexpr std::string_view decides_later_and_pays = "pm_sim_decidesLater";
inline constexpr std::string_view decides_later_and_declines = "pm_sim_decidesLaterAndDeclines";

/// One payment, as the provider sees it.
struct Charge {
    PaymentId payment_id;
    OrderId order_id;
    std::string reference;
    Currency currency;
    payments::GatewayOutcome outcome = payments::GatewayOutcome::unknown;
    contracts::Failure failure;
    std::int64_t amount_minor = 0;
    bool captures = true;               ///< At once when it is confirmed.
    bool is_odd = false;                ///< Something happened that the provider calls impossible.
    bool refunded_elsewhere = false;    ///< At its dashboard.
    std::int64_t authorized_minor = 0;  ///< Held, and neither taken nor released.
    std::int64_t captured_minor = 0;
    std::int64_t refunded_minor = 0;
};

/// Keeps the books and the first answer under each idempotency key. Throws Violation when money is taken
/// twice for a payment or an order, or more is asked back than was taken.
class Provider {
public:
    using Notify = std::function<void(const payments::ProviderNotice&)>;

    Provider(Stage& stage, std::uint64_t seed, Notify notify);

    payments::GatewayResult authorize(const payments::GatewayRequest& request, bool capture);
    payments::GatewayResult capture(const payments::GatewayRequest& request);
    payments::GatewayResult refund(const payments::GatewayRequest& request);
    payments::GatewayResult cancel(const payments::GatewayRequest& request);
    payments::GatewayResult look_up(const payments::GatewayRequest& request);
    payments::GatewayResult look_up_refund(const payments::GatewayRequest& request);
    [[nodiscard]] payments::ChargePage list_charges() const;
    /// A customer or somebody at the dashboard does something to one of the payments.
    void meddle();
    /// Whether a call under this key has ever arrived.
    [[nodiscard]] bool was_tried(const payments::GatewayRequest& request) const {
        return tried_.contains(request.idempotency_key);
    }
    /// Idempotency keys whose next call is refused, once.
    [[nodiscard]] std::set<std::string>& repetitions_to_refuse() { return repetitions_to_refuse_; }
    /// Answers with a refusal, which holds for this key from now on.
    payments::GatewayResult refuse(const std::string& operation, const payments::GatewayRequest& request);

    [[nodiscard]] const std::map<std::string, Charge>& charges() const { return charges_; }

private:
    template <class Work>
    payments::GatewayResult once(const std::string& operation, const payments::GatewayRequest& request,
                                 Work work);
    void decide_later(const std::string& reference, bool pays, bool capture, std::int64_t amount_minor);
    void take(Charge& charge, std::int64_t amount_minor);
    void tell(const Charge& charge);
    void confirm(Charge& charge);
    void close(Charge& charge, std::string_view what);
    [[nodiscard]] Charge* find(const payments::GatewayRequest& request);

    struct Answered {
        std::string operation;
        payments::GatewayResult result;
        Timestamp at;
    };

    Stage& stage_;
    Prng dice_;
    Notify notify_;
    std::map<std::string, Answered> answers_;  ///< By idempotency key.
    std::map<std::string, Charge> charges_;    ///< By reference.
    std::set<std::string> tried_;              ///< Idempotency keys.
    std::set<std::string> repetitions_to_refuse_;
    int next_notice_ = 1;
};

/// The product's port to the provider, for one life of one process.
class SimGateway final : public payments::Gateway {
public:
    /// `alive` becomes false when the process goes: answers then find nobody.
    SimGateway(Stage& stage, Provider& provider, Prng& dice, int process, std::shared_ptr<const bool> alive)
        : stage_(stage), provider_(provider), dice_(dice), process_(process), alive_(std::move(alive)) {}

    [[nodiscard]] std::string_view name() const override { return "simulator"; }
    void authorize(const payments::GatewayRequest& request, bool capture,
                   payments::GatewayDone done) override;
    void capture(const payments::GatewayRequest& request, payments::GatewayDone done) override;
    void refund(const payments::GatewayRequest& request, payments::GatewayDone done) override;
    void cancel(const payments::GatewayRequest& request, payments::GatewayDone done) override;
    void look_up(const payments::GatewayRequest& request, payments::GatewayDone done) override;
    void look_up_refund(const payments::GatewayRequest& request, payments::GatewayDone done) override;
    void list_charges(Timestamp since, const std::string& after, payments::ChargesDone done) override;

private:
    using Apply = std::function<payments::GatewayResult(Provider&)>;
    /// How one call goes; without `apply` it never reaches the provider.
    struct Journey {
        Apply apply;
        milliseconds there{0};
        milliseconds back{0};
        bool heard = true;  ///< Whether the answer says what happened.
    };

    void call(std::string_view what, const payments::GatewayRequest& request, bool may_refuse, Apply apply,
              payments::GatewayDone done);
    void travel(Journey journey, payments::GatewayDone done);

    Stage& stage_;
    Provider& provider_;
    Prng& dice_;
    int process_;
    std::shared_ptr<const bool> alive_;
};

}  // namespace quittance::sim
