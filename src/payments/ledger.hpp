// Double entry: what a change of a payment's money posts to which account. Decides only; does no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "payments/payment.hpp"

namespace quittance::payments {

/// Whose balance grows with a positive amount (a debit) and shrinks with a negative one (a credit).
enum class Account {
    provider_clearing,  ///< What the provider holds for us.
    sales,              ///< What customers paid; grows by credits.
    refunds,            ///< What went back to them.
};

enum class Movement { capture, refund };

[[nodiscard]] std::string_view to_string(Account account);
[[nodiscard]] std::string_view to_string(Movement movement);
[[nodiscard]] std::optional<Account> parse_account(std::string_view text);
[[nodiscard]] std::optional<Movement> parse_movement(std::string_view text);

/// One side of a movement. The postings of one movement of one payment at one version sum to zero.
struct Posting {
    PaymentId payment_id;
    std::int64_t payment_version = 1;
    Movement movement = Movement::capture;
    Account account = Account::provider_clearing;
    Money amount;  ///< Never 0.
    Timestamp posted_at;

    bool operator==(const Posting&) const = default;
};

/// What the step from one state of a payment to a later one posts: nothing when no money moved. So the sums
/// of a payment's postings are its captured and refunded amounts, whatever way it took. Throws
/// std::logic_error when money vanished that was captured or refunded before.
[[nodiscard]] std::vector<Posting> postings(const Payment& before, const Payment& after);

}  // namespace quittance::payments
