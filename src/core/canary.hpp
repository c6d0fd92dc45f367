// Bugs that can be planted to see whether the simulator finds them. The product is built without any: there
// `planted` is false at compile time, and nothing is left of what it guards.
#pragma once

namespace quittance {

enum class Canary {
    none,
    ack_before_commit,           ///< An event is acknowledged before its effect is committed.
    delete_before_publish,       ///< The relay removes a row before the broker has it.
    inbox_skipped,               ///< Events are not recorded as received.
    new_provider_key_on_resume,  ///< A charge is repeated under another key.
    refund_without_reservation,  ///< Refunds under way may ask for more than is left.
    refusal_is_always_final,  ///< A refusal counts as "nothing was done", whatever became of earlier tries.
    not_found_is_final_at_once,   ///< "Not found" counts although a charge may still be on its way.
    cancel_concerns_one_attempt,  ///< A cancellation leaves the other attempts to pay the order as they are.
    news_unheeded_after_failure,  ///< The provider's news of a payment that is called failed is dropped.
    declined_stays_open,          ///< A declined payment is not closed at the provider.
    late_money_is_refused,        ///< Money of a payment that was ended cannot be stored.
    connection_outlives_failure,  ///< A connection to a database is kept, whatever failed on it.
    unknown_error_is_final,       ///< An error of the database that is not known counts as the data's fault.
};

#ifdef QUITTANCE_CANARIES
/// Of the program `sim_canary`, which chooses it before anything runs.
extern Canary planted_canary;

[[nodiscard]] inline bool planted(Canary canary) {
    return planted_canary == canary;
}
#else
[[nodiscard]] constexpr bool planted(Canary) {
    return false;
}
#endif

}  // namespace quittance
