// Whatever Stripe, or something in its way, answers: no payment takes in what breaks its invariants, and what
// cannot be read is never taken for a "no" or for money.
#include <array>

#include "core/manual_clock.hpp"
#include "payments/payment.hpp"
#include "payments/stripe_answers.hpp"
#include "payments/stripe_messages.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::payments {
namespace {

using fuzz::require;

const ManualClock manual_clock;
const PaymentId some_payment = *PaymentId::parse("01890a5d-ac96-774b-bcce-b302099a8057");
const RefundId spare = *RefundId::parse("01890a5d-ac96-774b-bcce-b302099a8059");
constexpr std::array<int, 14> statuses{200, 0, 400, 401, 402, 404, 409, 429, 500, 503, 201, 302, 403, 408};

Payment pending(Currency currency, bool cancel_requested) {
    contracts::PaymentRequested event{.order_id = *OrderId::parse("01890a5d-ac96-774b-bcce-b302099a8058"),
                                      .amount = {1250, currency},
                                      .payment_method = "pm_card_visa"};
    Payment payment =
        begin_payment(some_payment, event, "stripe", CaptureMode::automatic, manual_clock.now());
    payment.cancel_requested = cancel_requested;
    if (cancel_requested) payment.cancel_requested_at = manual_clock.now();
    return payment;
}

void take_in(const Payment& payment, GatewayCall call, const GatewayResult& result) {
    require(result.captured_minor >= 0 && result.refunded_minor >= 0, "no amount is less than nothing");
    const Transition taken =
        apply_answer(payment, {call, payment.idempotency_key}, result, spare, manual_clock.now());
    ensure_invariants(taken.after);
    require(taken.after.amount == payment.amount && taken.after.id == payment.id,
            "an answer does not change what a payment is");
    if (result.outcome == GatewayOutcome::unknown) {
        require(taken.after.captured_minor == payment.captured_minor &&
                    taken.after.status != contracts::PaymentStatus::failed,
                "of an answer that cannot be read nothing is believed");
    }
}

void try_answer(const StripeAnswer& answer, Currency currency, bool cancel_requested) {
    const Payment payment = pending(currency, cancel_requested);
    const GatewayResult charged = intent_result(answer, currency, manual_clock.now());
    require(charged.outcome == GatewayOutcome::unknown || answer.spoke(), "only Stripe says anything");
    require(charged.outcome != GatewayOutcome::refused || (is_refusal(answer) && !answer.earlier_unanswered),
            "nothing is refused but by an invalid request whose tries were all answered");
    require(charged.outcome == GatewayOutcome::refused || charged.outcome == GatewayOutcome::unknown ||
                !charged.provider_reference.empty(),
            "a snapshot is of an intent");
    take_in(payment, GatewayCall::authorize, charged);

    const GatewayResult found = look_up_result(answer, currency, manual_clock.now());
    require(
        found.outcome == GatewayOutcome::unknown || answer.good() || (answer.spoke() && answer.status == 404),
        "a question that was refused says nothing of the payment");
    take_in(payment, GatewayCall::look_up, found);

    const GatewayResult refunded = refund_result(answer, currency);
    require(refunded.outcome == GatewayOutcome::unknown || answer.spoke(), "nor of a refund");
    require(refunded.outcome != GatewayOutcome::refused || !answer.earlier_unanswered,
            "a refund is not refused after a try that may have made it");
    require(refunded.outcome != GatewayOutcome::succeeded || (answer.good() && refunded.refunded_minor > 0),
            "a refund that succeeded gave something back");
    const RefundPage refunds = read_refunds(answer, "refund-1", currency);
    require(!refunds.readable || answer.good(), "a list that was refused is none");
    require(refunds.refunded_minor >= 0, "nobody gives back less than nothing");

    const GatewayRequest request{.payment_id = some_payment, .amount = payment.amount};
    const IntentPage page = find_intent(answer, request, manual_clock.now());
    require(page.readable || (!page.found && page.next.empty()), "an unreadable page has nothing");
    require(!page.found || page.next.empty(), "who is found is not looked for any further");
    const ChargePage listed = read_charges(answer);
    require(listed.readable || (listed.charges.empty() && listed.next.empty()), "nor an unreadable list");
    for (const ListedCharge& charge : listed.charges)
        require(charge.held.minor >= 0, "nobody holds less than nothing");
    require(error_code(answer).empty() || answer.status >= 400, "an answer without an error has no code");
    require(!answer.good() || (!is_our_fault(answer) && !is_unexpected_state(answer)),
            "all is well when all is well");
    require(error_message(answer).empty() || answer.status >= 400, "nor a message");
    require(!answer.good() || !is_worth_repeating(answer), "what succeeded is not repeated");
    require(answer.spoke() || (leaves_open(answer) && !is_refusal(answer)), "a stranger refuses nothing");
}

void try_amount(std::string_view text, Currency currency) {
    std::int64_t minor = 0;
    for (const char c : text.substr(0, 16))
        minor = (minor * 257 + static_cast<unsigned char>(c)) % (max_amount_minor + 1);
    const auto amount = to_stripe_amount({minor, currency});
    if (amount) require(from_stripe_amount(*amount, currency) == minor, "an amount comes back as it went");
}

/// A form's fields, however they are filled, stay apart.
void try_form(std::string_view text) {
    const std::string form = encode_form({{"first", std::string(text)}, {"second", "2"}});
    for (const char c : form)
        require(c > ' ' && c < '\x7f', "a form is plain ASCII");
    require(form.ends_with("&second=2") && form.find('&') == form.size() - 9, "a value cannot begin another");
}

}  // namespace
}  // namespace quittance::payments

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance;
    using namespace quittance::payments;
    fuzz::Input input(data, size);
    static constexpr std::array<std::string_view, 6> currencies{"EUR", "JPY", "KWD", "ISK", "UGX", "XAF"};
    const auto currency = *Currency::parse(currencies.at(input.choice(currencies.size())));
    const unsigned flags = input.choice(8);
    const int status = statuses.at(input.choice(statuses.size()));
    StripeAnswer answer = read_answer(status, input.rest());
    answer.replayed = (flags & 1U) != 0;
    answer.earlier_unanswered = (flags & 4U) != 0;
    try_answer(answer, currency, (flags & 2U) != 0);
    try_amount(input.rest(), currency);
    try_form(input.rest());
    return 0;
}
