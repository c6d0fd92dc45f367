// The port to a payment provider.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/money.hpp"

namespace quittance::payments {

/// What the provider is asked to do. `idempotency_key` is stored before the call and sent again unchanged
/// with every repetition, so that a repetition can never move money twice.
struct GatewayRequest {
    PaymentId payment_id;
    OrderId order_id;
    Money amount;
    std::string payment_method;      ///< For `authorize`.
    std::string provider_reference;  ///< The provider's own id, for every call after the first.
    std::string idempotency_key;     ///< At most 255 characters.
    /// For `look_up`: until then the charge may be sent again under its key, which tells for sure what became
    /// of it. From then on "not found" is the last word and has to be certain.
    Timestamp may_be_sent_until{};
};

/// What one call told of the payment, or for `refund` and `look_up_refund`, of the refund. All but `refused`
/// and `unknown` are the provider's own object, as it stands: a snapshot.
enum class GatewayOutcome {
    succeeded,  ///< Authorized or captured: `captured_minor` tells. A refund: it is made.
    declined,   ///< The bank said no; until it is canceled, the customer may still confirm it with another
                ///< card. A refund: it came to nothing, and that is final.
    requires_action,  ///< The customer has to do something (3-D Secure), and may do so until it is canceled.
    pending,          ///< The provider has it and will decide later.
    canceled,         ///< Closed: nothing is held, and nothing will come of it.
    not_found,        ///< For look-ups: the provider has no such object; see `may_be_sent_until`.
    /// The provider itself refused this request, and has done nothing under its key: it answered this try and
    /// each one before it of the same call. `failure` says why.
    refused,
    /// Nobody who has a right to has said what happened: no answer, one that is not the provider's, or that
    /// the key is in use. Look it up; never charge again under another key.
    unknown,
};

inline constexpr std::size_t gateway_outcomes = 8;

struct GatewayResult {
    GatewayOutcome outcome = GatewayOutcome::unknown;
    std::string provider_reference;
    contracts::Failure failure;       ///< For `declined`, `requires_action`, `canceled` and `refused`.
    std::int64_t captured_minor = 0;  ///< What the provider has captured ...
    std::int64_t refunded_minor = 0;  ///< ... and given back, at whosever request; of a refund: its amount.
    /// For a refund: all that went back of its payment, at whosever request, where the answer tells.
    std::optional<std::int64_t> all_refunded_minor{};
    /// The provider's own clock when it answered, where the answer tells.
    std::optional<Timestamp> provider_time{};
};

/// Called exactly once, on any thread; must not block or throw.
using GatewayDone = absl::AnyInvocable<void(GatewayResult)>;

/// One charge in the provider's own list.
struct ListedCharge {
    std::optional<PaymentId>
        payment_id;  ///< The payment that it was made for; none where we did not make it.
    std::string provider_reference;
    Money held;  ///< Captured and not given back, or reserved; left at 0 where we did not make it.
};

struct ChargePage {
    bool readable = false;  ///< Else the provider did not answer.
    std::vector<ListedCharge> charges;
    std::string next;  ///< Pass as `after` for the next page; empty when there is none.
};

/// Called exactly once, on any thread; must not block or throw.
using ChargesDone = absl::AnyInvocable<void(ChargePage)>;

/// Every call returns at once and is idempotent by its key. Thread safe. Each adapter passes
/// tests/conformance/gateway_conformance.
class Gateway {
public:
    virtual ~Gateway() = default;
    /// Stored with each payment: "simulator", "stripe".
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// Reserves the amount, and takes it at once when `capture` is set.
    virtual void authorize(const GatewayRequest& request, bool capture, GatewayDone done) = 0;
    /// Takes up to the authorized amount. Answers with the payment as it then stands, or `refused`.
    virtual void capture(const GatewayRequest& request, GatewayDone done) = 0;
    /// Gives back up to the captured amount. Answers with the refund.
    virtual void refund(const GatewayRequest& request, GatewayDone done) = 0;
    /// Closes a payment that was not captured, and releases what it holds. Answers with the payment as it
    /// then stands: `canceled`, or what it was before when it cannot be canceled any more.
    virtual void cancel(const GatewayRequest& request, GatewayDone done) = 0;
    /// What the provider knows of this payment.
    virtual void look_up(const GatewayRequest& request, GatewayDone done) = 0;
    /// What became of the refund that was asked for under this key; `not_found` when the provider has none,
    /// with `all_refunded_minor` wherever it can tell.
    virtual void look_up_refund(const GatewayRequest& request, GatewayDone done) = 0;
    /// What the provider has charged since then by our clock, whether we know of it or not, and perhaps older
    /// charges, too. `after` is empty, or the `next` of the page before.
    virtual void list_charges(Timestamp since, const std::string& after, ChargesDone done) = 0;
};

}  // namespace quittance::payments
