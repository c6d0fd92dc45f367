// Decides over a batch of events or of answers and writes the outcome: the one place where payments change.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/expected_versions.hpp"
#include "core/ids.hpp"
#include "messaging/inbox.hpp"
#include "messaging/outbox.hpp"
#include "payments/ledger_store.hpp"
#include "payments/payment.hpp"
#include "payments/payment_store.hpp"
#include "payments/refund_store.hpp"

namespace quittance::payments {

/// An event from topic `payment-events`.
struct BeginRequest {
    std::string event_id;
    contracts::PaymentEvent event;
    std::string traceparent;
};

/// What the gateway answered for a payment, or for one of its refunds.
struct FinishRequest {
    PaymentId id;
    std::optional<RefundId> refund;
    Asked asked;
    GatewayResult answer;
    bool put_off = false;  ///< The answer could not be stored: only plan when to ask again.
};

/// What an administrator asks for.
struct CapturePayment {
    std::optional<std::int64_t> amount_minor;  ///< All of it when not set.
};
struct VoidPayment {};
struct CommandRequest {
    PaymentId id;
    std::variant<CapturePayment, VoidPayment> command;
    ExpectedVersions expected_versions = {};  ///< `precondition_failed` when the payment has another.
    UserId requested_by = {};                 ///< Whose the key is.
    std::string idempotency_key = {};         ///< Empty: none.
    std::string fingerprint = {};  ///< Equal for equal requests; compared when the key was used before.
};

/// A payment as it is stored now, and what to ask of the gateway next.
struct Step {
    Payment payment;
    GatewayCall call = GatewayCall::none;
    std::optional<Refund> refund;  ///< The one that the call is for.
    bool repeated = false;         ///< The event was recorded before, or the command was given before.
    bool is_first_try = false;     ///< The call was never made before under its key.
};

/// Works inside the caller's transaction; the results stand in the order of the requests. Each function
/// appends to `published` the events that the relay must store in the same transaction. Throws the storage
/// failures of db/database.hpp. Thread safe.
class PaymentWriter {
public:
    /// `provider` is the gateway's name; it must outlive the writer.
    PaymentWriter(const db::Dialect& dialect, std::string_view provider, CaptureMode mode, IdGenerator& ids,
                  Random& random, const Clock& clock);

    /// Records the events and begins, or takes up again, what they ask for. Idempotent: a repeated event
    /// finds its payment and publishes nothing, but for the outcome of a refund that is over. A new attempt
    /// ends the ones before it, and is charged when each of them is over. `unavailable` for the refund of a
    /// payment that is not stored yet.
    [[nodiscard]] std::vector<Result<Step>> begin(db::Session& session,
                                                  std::span<const BeginRequest> requests,
                                                  std::vector<messaging::OutboxRow>& published) const;

    /// Takes in the gateway's answers. An answer that was applied before changes nothing.
    [[nodiscard]] std::vector<Result<Step>> finish(db::Session& session,
                                                   std::span<const FinishRequest> requests,
                                                   std::vector<messaging::OutboxRow>& published) const;

    /// Begins captures and voids. `not_found`, `precondition_failed`, or `conflict` when the payment's state
    /// does not allow it. Keys are not looked at: see `command_under_keys`.
    [[nodiscard]] std::vector<Result<Step>> command(db::Session& session,
                                                    std::span<const CommandRequest> requests,
                                                    std::vector<messaging::OutboxRow>& published) const;

    [[nodiscard]] bool any_due(db::Session& session) const;
    /// Payments of this provider and their refunds that are due to be taken up again, at most `limit` of
    /// each. Those of another one wait for an instance that asks that one. Each comes out once: the next time
    /// is `stale_after` from now, unless an answer says otherwise.
    [[nodiscard]] std::vector<Step> claim_due(db::Session& session, std::int64_t limit) const;

    /// Keeps what was claimed from being taken up again: its call is still under way.
    void prolong_claims(db::Session& session, std::span<const PaymentId> payments,
                        std::span<const RefundId> refunds) const;

    /// Forgets events that the broker can no longer deliver again.
    [[nodiscard]] bool purge_inbox(db::Session& session) const;

    [[nodiscard]] const PaymentStore& store() const { return store_; }
    [[nodiscard]] const RefundStore& refunds() const { return refunds_; }
    [[nodiscard]] const LedgerStore& ledger() const { return ledger_; }

private:
    class Batch;

    [[nodiscard]] Batch load(db::Session& session, std::vector<Payment> payments,
                             const std::vector<RefundId>& refunds) const;
    Result<Step> decide(Batch& batch, const BeginRequest& request) const;
    Result<Step> refund(Batch& batch, const contracts::RefundRequested& event,
                        const std::string& traceparent) const;
    Result<Step> apply(Batch& batch, const FinishRequest& request) const;
    /// Adds the other attempts to pay the orders of those in the batch that have any.
    void load_other_attempts(db::Session& session, Batch& batch, std::span<const PaymentId> ids) const;
    /// Of the attempts to pay an order one pays, and one is charged at a time.
    void settle_attempts(Batch& batch, const PaymentId& changed) const;

    void claim_due_payments(db::Session& session, std::int64_t limit, std::vector<Step>& steps) const;
    void claim_due_refunds(db::Session& session, std::int64_t limit, std::vector<Step>& steps) const;

    Result<Step> charge(Batch& batch, const contracts::PaymentRequested& event,
                        const std::string& traceparent) const;
    Result<Step> cancel(Batch& batch, const contracts::OrderCanceled& event,
                        const std::string& traceparent) const;
    void write(db::Session& session, const Batch& batch, std::vector<messaging::OutboxRow>& published) const;
    void publish(const Batch& batch, std::vector<messaging::OutboxRow>& published) const;

    const PaymentStore store_;
    const RefundStore refunds_;
    const LedgerStore ledger_;
    const messaging::Inbox inbox_;
    const std::string_view provider_;
    const CaptureMode mode_;
    IdGenerator& ids_;
    const Clock& clock_;
};

}  // namespace quittance::payments
