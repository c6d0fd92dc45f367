// Registration, log-in, refresh and log-out.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/random.hpp"
#include "core/secret.hpp"
#include "db/scheduler.hpp"
#include "telemetry/metrics.hpp"
#include "users/login_attempts.hpp"
#include "users/password_hasher.hpp"
#include "users/tokens.hpp"
#include "users/user.hpp"
#include "users/user_store.hpp"

namespace quittance::users {

struct LoginRequest {
    std::string email;  ///< In any case, with or without white space around it.
    Secret password;
    std::string network = {};  ///< Where it comes from, as http::network_text writes it.
};

/// What a log-in or a refresh gives.
struct Tokens {
    std::string access_token;
    std::chrono::seconds expires_in;  ///< Of the access token.
    Secret refresh_token;             ///< Good once, for `refresh_token_lifetime`.
};

/// Thread safe. Every call returns at once; `done` runs exactly once, on a database or hashing thread (or on
/// the caller's) and must not block. Everybody registers as CUSTOMER. `writers` and `readers` may be the
/// same. Beside the errors named, each call knows `overloaded` and `unavailable`.
///
/// Whoever takes the service down stops the hasher and the workers before the service is destroyed.
class UserService {
public:
    template <class T>
    using Completion = absl::AnyInvocable<void(Result<T>)>;

    UserService(db::Scheduler& writers, db::Scheduler& readers, const db::Dialect& dialect,
                PasswordHasher& hasher, const TokenIssuer& issuer, IdGenerator& ids, Random& random,
                const Clock& clock, telemetry::Metrics& metrics);

    /// `invalid` with every fault, `conflict` when the e-mail address is taken. Normalizes the address.
    void register_user(Registration registration, Completion<User> done);

    /// `unauthenticated`, in the same words and after the same work, for an unknown address and for a wrong
    /// password; `rate_limited` with the time to wait, known address or not, after too many failures from the
    /// same network. See `login_delay`.
    void login(LoginRequest request, Completion<Tokens> done);

    /// Takes the refresh token and gives a new one. `unauthenticated` for any that is not good; one that was
    /// used before ends the log-in it came from.
    void refresh(const Secret& refresh_token, Completion<Tokens> done);

    /// Ends the log-in that the refresh token came from. Never tells whether there was one (RFC 7009).
    void logout(const Secret& refresh_token, Completion<Done> done);

    /// `not_found` when there is no such user.
    void find(UserId id, Completion<User> done);

    /// Starts housekeeping when it is due; returns at once. Call every few moments, from one thread.
    void step();

private:
    struct LoginLookup {
        std::string email;
        LoginKeys keys;
    };
    struct LoginState {
        std::optional<StoredUser> user;
        LoginFailures of_source;
        LoginFailures of_account;
    };
    struct LoginSuccess {
        StoredFamily family;
        std::string new_password_hash;  ///< Empty: the stored one stays.
    };
    struct LoginOutcome {
        LoginKeys keys;
        std::optional<LoginSuccess> success;
    };
    /// A log-in on its way through the threads.
    struct Login {
        LoginLookup who;
        Secret password;                 ///< Normalized.
        std::optional<Secret> as_typed;  ///< Where that is another text: an older version may have hashed it.
        LoginAttempts::Attempt attempt;
        Completion<Tokens> done;
    };
    struct RefreshToken {
        std::string family_hash;
        std::string token_hash;
        std::string family;  ///< The part that all tokens of the family share.
    };
    struct Refreshed {
        Principal principal;
        Secret token;
    };
    struct Purge {};

    void check_delay(Login login, LoginState state);
    void check_password(Login login, Secret password, std::optional<StoredUser> user);
    void password_checked(Login login, std::optional<StoredUser> user, const PasswordCheck& check,
                          bool as_typed);
    void replace_password_hash(Login login, Principal principal);
    void succeed(Login login, const Principal& principal, std::string new_password_hash);
    void fail(Login login);
    [[nodiscard]] Tokens make_tokens(const Principal& principal, Secret refresh_token) const;

    std::vector<Result<User>> register_batch(db::Session& session, std::span<StoredUser> users) const;
    std::vector<Result<LoginState>> lookup_batch(db::Session& session, std::span<LoginLookup> lookups) const;
    std::vector<Result<Done>> outcome_batch(db::Session& session, std::span<LoginOutcome> outcomes) const;
    void count_failures(db::Session& session, std::span<const LoginOutcome> outcomes, Timestamp now) const;
    std::vector<Result<Refreshed>> refresh_batch(db::Session& session, std::span<RefreshToken> tokens) const;
    std::vector<Result<Done>> logout_batch(db::Session& session, std::span<RefreshToken> tokens) const;
    std::vector<Result<User>> find_batch(db::Session& session, std::span<UserId> ids) const;
    std::vector<Result<Done>> purge_batch(db::Session& session, std::span<Purge> requests);

    const UserStore store_;
    PasswordHasher& hasher_;
    const TokenIssuer& issuer_;
    IdGenerator& ids_;
    Random& random_;
    const Clock& clock_;
    LoginAttempts attempts_;
    telemetry::Counter& registered_;
    telemetry::Counter& logins_succeeded_;
    telemetry::Counter& logins_failed_;
    telemetry::Counter& logins_delayed_;
    telemetry::Counter& refresh_reuses_;
    std::chrono::steady_clock::time_point next_purge_{};
    std::atomic<bool> has_more_to_purge_ = false;

    db::Lane<StoredUser, User> register_lane_;
    db::Lane<LoginLookup, LoginState> lookup_lane_;
    db::Lane<LoginOutcome, Done> outcome_lane_;
    db::Lane<RefreshToken, Refreshed> refresh_lane_;
    db::Lane<RefreshToken, Done> logout_lane_;
    db::Lane<UserId, User> find_lane_;
    db::Lane<Purge, Done> purge_lane_;
};

struct NewUser {
    std::string name;
    std::string email;
    Secret password;  ///< Empty: one is made.
    Role role = Role::customer;
};

struct CreatedUser {
    User user;
    std::optional<Secret> generated_password;
};

/// Stores a user of any role at once, on the caller's thread: for the command line and the demo. Errors as
/// `UserService::register_user`; throws what `db::Session` throws.
[[nodiscard]] Result<CreatedUser> create_user(db::Session& session, const PasswordHasher& hasher,
                                              IdGenerator& ids, Random& random, const Clock& clock,
                                              NewUser user);

/// Forgets the failed log-ins of an account, so that the next one need not wait, wherever it comes from;
/// returns from how many sources it had failed. For the command line; throws what `db::Session` throws.
std::int64_t unlock_user(db::Session& session, std::string_view email);

/// 20 letters and digits, none of which look alike: 114 bits.
[[nodiscard]] Secret generate_password(Random& random);

}  // namespace quittance::users
