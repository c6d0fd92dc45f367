// Decides over a batch of events or of answers and writes the outcome: the one place where payments change.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/events.hpp"
#include "core/clock.hpp"
#include "core/ids.hpp"
#include "messaging/inbox.hpp"
#include "messaging/outbox.hpp"
#include "payments/payment.hpp"
#include "payments/payment_store.hpp"

namespace quittance::payments {

/// An event from topic `payment-events`.
struct BeginRequest {
    std::string event_id;
    contracts::PaymentEvent event;
    std::string traceparent;
};

/// What the gateway answered for a payment.
struct FinishRequest {
    PaymentId id;
    Asked asked;
    GatewayResult answer;
};

/// A payment as it is stored now, and what to ask of the gateway next.
struct Step {
    Payment payment;
    GatewayCall call = GatewayCall::none;
    bool repeated = false;  ///< The event was recorded before.
};

/// Works inside the caller's transaction; the results stand in the order of the requests. Each function
/// appends to `published` the events that the relay must store in the same transaction. Throws the storage
/// failures of db/database.hpp. Thread safe.
class PaymentWriter {
public:
    /// `provider` is the gateway's name; it must outlive the writer.
    PaymentWriter(const db::Dialect& dialect, std::string_view provider, IdGenerator& ids, Random& random,
                  const Clock& clock);

    /// Records the events and begins, or takes up again, what they ask for. Idempotent: a repeated event
    /// finds its payment and publishes nothing. `conflict` when the order has another payment that was made,
    /// `unavailable` while it has one that may yet be made.
    [[nodiscard]] std::vector<Result<Step>> begin(db::Session& session,
                                                  std::span<const BeginRequest> requests,
                                                  std::vector<messaging::OutboxRow>& published) const;

    /// Applies the gateway's answers. An answer that was applied before changes nothing. `internal` when an
    /// answer cannot be true; the payment is then left as it was.
    [[nodiscard]] std::vector<Result<Step>> finish(db::Session& session,
                                                   std::span<const FinishRequest> requests,
                                                   std::vector<messaging::OutboxRow>& published) const;

    /// Payments that are due to be taken up again, at most `limit`. Each comes out once: the next time is
    /// `stale_after` from now, unless an answer says otherwise.
    [[nodiscard]] std::vector<Step> claim_due(db::Session& session, std::int64_t limit) const;

    /// Forgets events that the broker can no longer deliver again.
    void purge_inbox(db::Session& session) const;

    [[nodiscard]] const PaymentStore& store() const { return store_; }

private:
    class Batch;

    Result<Step> charge(Batch& batch, const contracts::PaymentRequested& event,
                        const std::string& traceparent) const;
    Result<Step> cancel(Batch& batch, const contracts::OrderCanceled& event,
                        const std::string& traceparent) const;
    void write(db::Session& session, Batch& batch, std::vector<messaging::OutboxRow>& published) const;

    const PaymentStore store_;
    const messaging::Inbox inbox_;
    const std::string_view provider_;
    IdGenerator& ids_;
    const Clock& clock_;
};

}  // namespace quittance::payments
