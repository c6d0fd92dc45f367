// Users: what makes a registration acceptable, and when a log-in or a refresh has to wait or fail. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/ids.hpp"
#include "core/principal.hpp"
#include "core/secret.hpp"

namespace quittance::users {

/// Limits in code points; the database holds the same ones as constraints.
inline constexpr std::size_t max_name_characters = 200;
/// RFC 5321 section 4.5.3.1.3, without the brackets. An address is ASCII.
inline constexpr std::size_t max_email_characters = 254;
inline constexpr std::size_t min_password_characters = 8;
inline constexpr std::size_t max_password_characters = 256;  ///< Far above the 64 that OWASP wants accepted.

struct User {
    UserId id;
    std::string name;
    std::string email;  ///< As `normalize_email` made it; unique.
    Role role = Role::customer;
    Timestamp created_at;

    bool operator==(const User&) const = default;
};

/// What somebody wants to be registered with.
struct Registration {
    std::string name;
    std::string email;
    Secret password;
};

/// Trims white space and folds ASCII letters to lower case: the form in which e-mail addresses are compared.
[[nodiscard]] std::string normalize_email(std::string_view text);

/// The form in which passwords are judged and hashed: NFC (RFC 8265 section 4.2), so that é is the same on
/// every keyboard. What is no UTF-8 stays as it is; `registration_faults` refuses it.
[[nodiscard]] Secret normalize_password(const Secret& password);

/// Every rule that the registration breaks, as JSON pointers `/name`, `/email`, `/password`; empty when it
/// is acceptable. The e-mail address and the password must be normalized. A valid address is what a browser
/// accepts (the HTML standard's "valid e-mail address"), within the lengths of RFC 5321. There are no
/// composition rules for passwords (OWASP), but the common, the trivial and the user's own address are
/// refused.
[[nodiscard]] std::vector<Fault> registration_faults(const Registration& registration);

/// Failed log-ins that were counted together: those of one account from one source, which is a network of
/// clients, or those of one account from anywhere.
struct LoginFailures {
    int count = 0;
    Timestamp last_at;
};

inline constexpr int free_login_failures = 4;  ///< Owners mistype; the fifth failure starts the delay.
inline constexpr std::chrono::seconds first_login_delay{1};
inline constexpr std::chrono::minutes longest_login_delay{15};
/// After this long without a failure the count starts again. An attacker who waits for it gains little (about
/// 300 guesses a day instead of 96), and the failures stored for invented addresses stay few.
inline constexpr std::chrono::hours login_failures_forgotten_after{1};
static_assert(longest_login_delay < login_failures_forgotten_after);

/// An account with this many failures, from all sources together, is under attack from many machines. A
/// source that has not failed may still try at once, so that the owner gets in, but no failure is free any
/// more: each machine has about seven guesses an hour.
inline constexpr int failures_of_an_attack = 50;
inline constexpr std::chrono::seconds first_login_delay_under_attack{60};
static_assert(first_login_delay_under_attack < longest_login_delay);

/// How long the next log-in from a source has to wait at `now`; zero when it may be tried. `source` are the
/// failures of the account from there, `account` those from anywhere. The delay doubles with each failure of
/// the source: failures of other sources never delay a source without failures. `in_flight` counts attempts
/// from the same source whose outcome is not known yet: each may turn out a failure, and those beyond the
/// free ones wait as if one had, so that guessing at the same time is no way around the delay.
[[nodiscard]] std::chrono::milliseconds login_delay(const LoginFailures& source, const LoginFailures& account,
                                                    int in_flight, Timestamp now);

/// The failures after one more at `now`.
[[nodiscard]] LoginFailures with_login_failure(const LoginFailures& failures, Timestamp now);

inline constexpr std::chrono::hours refresh_token_lifetime{30 * 24};

/// A line of refresh tokens that began with one log-in. Only its newest token is good.
struct RefreshFamily {
    std::string current_token_hash;
    Timestamp expires_at;  ///< Moves with each rotation.
};

enum class RefreshVerdict {
    rotate,  ///< Good: replace it by a new one.
    revoke,  ///< Used before: it was copied, and nobody knows by whom, so the whole family ends.
    expire,  ///< Too old.
};

/// Strict: a token that was rotated is never accepted again, not even within a short grace, because a grace
/// is all that a thief needs. A client whose answer was lost logs in again.
[[nodiscard]] RefreshVerdict judge_refresh(const RefreshFamily& family, std::string_view presented_token_hash,
                                           Timestamp now);

}  // namespace quittance::users
