#include "payments/ledger.hpp"

#include <array>

namespace quittance::payments {

namespace {

constexpr std::array all_accounts{Account::provider_clearing, Account::sales, Account::refunds};
constexpr std::array all_movements{Movement::capture, Movement::refund};

void post(std::vector<Posting>& all, const Payment& payment, Movement movement, Account debit, Account credit,
          std::int64_t amount_minor) {
    ensure(amount_minor >= 0, "captured and refunded amounts never shrink");
    if (amount_minor == 0) return;
    const Currency currency = payment.amount.currency;
    all.push_back(
        {payment.id, payment.version, movement, debit, {amount_minor, currency}, payment.updated_at});
    all.push_back(
        {payment.id, payment.version, movement, credit, {-amount_minor, currency}, payment.updated_at});
}

}  // namespace

std::string_view to_string(Account account) {
    switch (account) {
        case Account::provider_clearing: return "provider_clearing";
        case Account::sales: return "sales";
        case Account::refunds: return "refunds";
    }
    return "";
}

std::string_view to_string(Movement movement) {
    switch (movement) {
        case Movement::capture: return "CAPTURE";
        case Movement::refund: return "REFUND";
    }
    return "";
}

std::optional<Account> parse_account(std::string_view text) {
    for (const Account account : all_accounts) {
        if (to_string(account) == text) return account;
    }
    return std::nullopt;
}

std::optional<Movement> parse_movement(std::string_view text) {
    for (const Movement movement : all_movements) {
        if (to_string(movement) == text) return movement;
    }
    return std::nullopt;
}

std::vector<Posting> postings(const Payment& before, const Payment& after) {
    ensure(before.id == after.id, "a movement is of one payment");
    std::vector<Posting> all;
    post(all, after, Movement::capture, Account::provider_clearing, Account::sales,
         after.captured_minor - before.captured_minor);
    post(all, after, Movement::refund, Account::refunds, Account::provider_clearing,
         after.refunded_minor - before.refunded_minor);
    return all;
}

}  // namespace quittance::payments
