#include "users/user_service.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "telemetry/lane_report.hpp"
#include "telemetry/log.hpp"

namespace quittance::users {

namespace {

/// Of 24 random bytes each: 192 bits, far beyond guessing.
constexpr std::size_t refresh_part_bytes = 24;
constexpr std::size_t refresh_part_length = refresh_part_bytes * 4 / 3;

constexpr std::chrono::minutes purge_interval{10};

constexpr std::string_view password_alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
constexpr std::size_t generated_password_length = 20;
static_assert(generated_password_length >= min_password_characters);

Error email_taken() {
    return Error{ErrorCode::conflict, "This e-mail address is registered already.", {}, 0};
}

Error wrong_credentials() {
    return Error{ErrorCode::unauthenticated, "The e-mail address or the password is wrong.", {}, 0};
}

Error bad_refresh_token() {
    return Error{ErrorCode::unauthenticated, "The refresh token is not valid any more: log in again.", {}, 0};
}

Error too_many_failures(std::chrono::milliseconds delay) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(delay).count();
    return Error{ErrorCode::rate_limited,
                 "Too many log-ins to this account have failed.",
                 {},
                 static_cast<int>(seconds)};
}

Result<Registration> checked(Registration registration) {
    registration.email = normalize_email(registration.email);
    registration.password = normalize_password(registration.password);
    auto faults = registration_faults(registration);
    if (faults.empty()) return registration;
    return Error{ErrorCode::invalid, "The registration is not acceptable.", std::move(faults), 0};
}

template <class Requests, class Key>
std::vector<std::string> distinct(const Requests& requests, Key key) {
    std::set<std::string> keys;
    for (const auto& request : requests)
        keys.insert(key(request));
    return {keys.begin(), keys.end()};
}

/// Ties a batch function of the service to a lane.
template <class Service, class Request, class Response>
auto batch_of(Service* service,
              std::vector<Result<Response>> (Service::*run)(db::Session&, std::span<Request>) const) {
    return [service, run](db::Session& session, std::span<Request> requests) {
        return (service->*run)(session, requests);
    };
}

}  // namespace

UserService::UserService(db::Scheduler& writers, db::Scheduler& readers, const db::Dialect& dialect,
                         PasswordHasher& hasher, const TokenIssuer& issuer, IdGenerator& ids, Random& random,
                         const Clock& clock, telemetry::Metrics& metrics)
    : store_(dialect),
      hasher_(hasher),
      issuer_(issuer),
      ids_(ids),
      random_(random),
      clock_(clock),
      registered_(metrics.counter("users_registered_total", "Users that registered.")),
      logins_succeeded_(metrics.counter("logins_total", "Log-ins tried.", {{"outcome", "succeeded"}})),
      logins_failed_(metrics.counter("logins_total", "Log-ins tried.", {{"outcome", "failed"}})),
      logins_delayed_(metrics.counter("logins_total", "Log-ins tried.", {{"outcome", "delayed"}})),
      refresh_reuses_(
          metrics.counter("refresh_token_reuses_total", "Log-ins ended because a token came twice.")),
      register_lane_(writers, {}, batch_of(this, &UserService::register_batch),
                     telemetry::LaneReport(metrics, "user_register")),
      lookup_lane_(readers, {}, batch_of(this, &UserService::lookup_batch),
                   telemetry::LaneReport(metrics, "user_lookup")),
      outcome_lane_(writers, {}, batch_of(this, &UserService::outcome_batch),
                    telemetry::LaneReport(metrics, "user_login")),
      refresh_lane_(writers, {}, batch_of(this, &UserService::refresh_batch),
                    telemetry::LaneReport(metrics, "user_refresh")),
      logout_lane_(writers, {}, batch_of(this, &UserService::logout_batch),
                   telemetry::LaneReport(metrics, "user_logout")),
      find_lane_(readers, {}, batch_of(this, &UserService::find_batch),
                 telemetry::LaneReport(metrics, "user_find")),
      purge_lane_(
          writers, {},
          [this](db::Session& session, std::span<Purge> requests) { return purge_batch(session, requests); },
          telemetry::LaneReport(metrics, "user_purge")) {}

void UserService::register_user(Registration registration, Completion<User> done) {
    auto accepted = checked(std::move(registration));
    if (!accepted) return done(std::move(accepted).error());
    User user{ids_.generate<UserId>(), std::move(accepted->name), std::move(accepted->email), Role::customer,
              clock_.now()};
    hasher_.hash(std::move(accepted->password),
                 [this, user = std::move(user), done = std::move(done)](Result<std::string> hash) mutable {
                     if (!hash) return done(std::move(hash).error());
                     register_lane_.submit({std::move(user), std::move(*hash)}, std::move(done));
                 });
}

void UserService::login(LoginRequest request, Completion<Tokens> done) {
    std::string email = normalize_email(request.email);
    LoginKeys keys = login_keys(email, request.network);
    LoginLookup who{std::move(email), std::move(keys)};
    Secret password = normalize_password(request.password);
    std::optional<Secret> as_typed;
    if (password.reveal() != request.password.reveal()) as_typed = std::move(request.password);
    Login login{who, std::move(password), std::move(as_typed), attempts_.begin(who.keys.source),
                std::move(done)};
    lookup_lane_.submit(std::move(who), [this, login = std::move(login)](Result<LoginState> state) mutable {
        if (!state) return login.done(std::move(state).error());
        check_delay(std::move(login), std::move(*state));
    });
}

void UserService::check_delay(Login login, LoginState state) {
    const auto delay = login_delay(state.of_source, state.of_account, login.attempt.others(), clock_.now());
    if (delay.count() > 0) {
        logins_delayed_.add();
        login.attempt.end();
        return login.done(too_many_failures(delay));
    }
    Secret password = login.password;
    check_password(std::move(login), std::move(password), std::move(state.user));
}

void UserService::check_password(Login login, Secret password, std::optional<StoredUser> user) {
    const bool as_typed = login.as_typed && password.reveal() == login.as_typed->reveal();
    std::optional<std::string> stored_hash;
    if (user) stored_hash = user->password_hash;
    hasher_.verify(std::move(password), std::move(stored_hash),
                   [this, login = std::move(login), user = std::move(user),
                    as_typed](Result<PasswordCheck> check) mutable {
                       if (!check) return login.done(std::move(check).error());
                       password_checked(std::move(login), std::move(user), *check, as_typed);
                   });
}

void UserService::password_checked(Login login, std::optional<StoredUser> user, const PasswordCheck& check,
                                   bool as_typed) {
    if (!check.matches || !user) {
        if (as_typed || !login.as_typed) return fail(std::move(login));
        // For unknown accounts as well: they cost the same time.
        Secret typed = *login.as_typed;
        return check_password(std::move(login), std::move(typed), std::move(user));
    }
    const Principal principal{user->user.id, user->user.role};
    if (check.needs_rehash || as_typed) return replace_password_hash(std::move(login), principal);
    succeed(std::move(login), principal, {});
}

void UserService::replace_password_hash(Login login, Principal principal) {
    Secret password = login.password;
    hasher_.hash(std::move(password),
                 [this, login = std::move(login), principal](Result<std::string> hash) mutable {
                     // A busy hasher is no reason to refuse the log-in; the next one tries again.
                     succeed(std::move(login), principal, hash ? std::move(*hash) : std::string());
                 });
}

void UserService::succeed(Login login, const Principal& principal, std::string new_password_hash) {
    const std::string family = random_.token(refresh_part_bytes);
    const std::string refresh_token = family + random_.token(refresh_part_bytes);
    const Timestamp now = clock_.now();
    const StoredFamily stored{hash_for_storage(family),
                              {hash_for_storage(refresh_token), now + refresh_token_lifetime},
                              principal,
                              now};
    LoginOutcome outcome{login.who.keys, LoginSuccess{stored, std::move(new_password_hash)}};
    outcome_lane_.submit(std::move(outcome), [this, login = std::move(login),
                                              tokens = make_tokens(principal, Secret(refresh_token))](
                                                 Result<Done> stored_outcome) mutable {
        login.attempt.end();
        if (!stored_outcome) return login.done(std::move(stored_outcome).error());
        logins_succeeded_.add();
        login.done(std::move(tokens));
    });
}

void UserService::fail(Login login) {
    LoginOutcome outcome{login.who.keys, std::nullopt};
    outcome_lane_.submit(std::move(outcome),
                         [this, login = std::move(login)](Result<Done> stored_outcome) mutable {
                             login.attempt.end();
                             if (!stored_outcome) return login.done(std::move(stored_outcome).error());
                             logins_failed_.add();
                             login.done(wrong_credentials());
                         });
}

Tokens UserService::make_tokens(const Principal& principal, Secret refresh_token) const {
    return {issuer_.issue(principal), access_token_lifetime, std::move(refresh_token)};
}

void UserService::refresh(const Secret& refresh_token, Completion<Tokens> done) {
    const std::string& text = refresh_token.reveal();
    if (text.size() != 2 * refresh_part_length) return done(bad_refresh_token());
    std::string family = text.substr(0, refresh_part_length);
    std::string family_hash = hash_for_storage(family);
    refresh_lane_.submit({std::move(family_hash), hash_for_storage(text), std::move(family)},
                         [this, done = std::move(done)](Result<Refreshed> refreshed) mutable {
                             if (!refreshed) return done(std::move(refreshed).error());
                             done(make_tokens(refreshed->principal, std::move(refreshed->token)));
                         });
}

void UserService::logout(const Secret& refresh_token, Completion<Done> done) {
    const std::string family = refresh_token.reveal().substr(0, refresh_part_length);
    logout_lane_.submit({hash_for_storage(family), {}, {}}, std::move(done));
}

void UserService::find(UserId id, Completion<User> done) {
    find_lane_.submit(id, std::move(done));
}

void UserService::step() {
    const auto now = clock_.steady_now();
    if (now < next_purge_ && !has_more_to_purge_.exchange(false)) return;
    next_purge_ = now + purge_interval;
    purge_lane_.submit({}, [](const Result<Done>&) {});
}

std::vector<Result<User>> UserService::register_batch(db::Session& session,
                                                      std::span<StoredUser> users) const {
    db::Transaction transaction(session);
    const std::vector<bool> is_stored = store_.insert(session, users);
    std::vector<Result<User>> results;
    results.reserve(users.size());
    for (std::size_t i = 0; i < users.size(); ++i) {
        results.push_back(is_stored[i] ? Result<User>(users[i].user) : Result<User>(email_taken()));
    }
    transaction.commit(
        [&]() noexcept { registered_.add(static_cast<double>(std::ranges::count(is_stored, true))); });
    return results;
}

std::vector<Result<UserService::LoginState>> UserService::lookup_batch(db::Session& session,
                                                                       std::span<LoginLookup> lookups) const {
    const auto emails = distinct(lookups, [](const LoginLookup& lookup) { return lookup.email; });
    std::set<std::string> keys;
    for (const LoginLookup& lookup : lookups)
        keys.insert({lookup.keys.account, lookup.keys.source});
    const auto users = store_.find_by_email(session, emails);
    const auto failures = store_.login_failures(session, std::vector<std::string>(keys.begin(), keys.end()));
    const auto failures_of = [&](const std::string& key) {
        const auto found = failures.find(key);
        return found == failures.end() ? LoginFailures{} : found->second;
    };
    std::vector<Result<LoginState>> results;
    results.reserve(lookups.size());
    for (const LoginLookup& lookup : lookups) {
        LoginState state;
        if (const auto found = users.find(lookup.email); found != users.end()) state.user = found->second;
        state.of_source = failures_of(lookup.keys.source);
        state.of_account = failures_of(lookup.keys.account);
        results.emplace_back(std::move(state));
    }
    return results;
}

std::vector<Result<Done>> UserService::outcome_batch(db::Session& session,
                                                     std::span<LoginOutcome> outcomes) const {
    const Timestamp now = clock_.now();
    std::vector<StoredFamily> families;
    std::vector<std::pair<UserId, std::string>> password_hashes;
    for (const LoginOutcome& outcome : outcomes) {
        if (!outcome.success) continue;
        const LoginSuccess& success = *outcome.success;
        families.push_back(success.family);
        if (!success.new_password_hash.empty()) {
            password_hashes.emplace_back(success.family.principal.user_id, success.new_password_hash);
        }
    }
    db::Transaction transaction(session);
    count_failures(session, outcomes, now);
    if (!families.empty()) store_.insert_families(session, families);
    if (!password_hashes.empty()) store_.set_password_hashes(session, password_hashes);
    std::vector<Result<Done>> results(outcomes.size(), Done{});
    transaction.commit();
    return results;
}

void UserService::count_failures(db::Session& session, std::span<const LoginOutcome> outcomes,
                                 Timestamp now) const {
    std::set<std::string> keys;
    std::set<std::string> counted;
    for (const LoginOutcome& outcome : outcomes) {
        keys.insert({outcome.keys.account, outcome.keys.source});
        if (!outcome.success) counted.insert({outcome.keys.account, outcome.keys.source});
    }
    UserStore::Failures failures =
        store_.lock_login_failures(session, std::vector<std::string>(keys.begin(), keys.end()),
                                   std::vector<std::string>(counted.begin(), counted.end()));
    for (const LoginOutcome& outcome : outcomes) {
        const auto source = failures.find(outcome.keys.source);
        const auto account = failures.find(outcome.keys.account);
        if (source == failures.end() || account == failures.end()) continue;
        if (outcome.success) {
            // The owner's own mistakes are forgiven; failures from elsewhere stay counted.
            account->second.count = std::max(account->second.count - source->second.count, 0);
            source->second.count = 0;
        } else {
            account->second = with_login_failure(account->second, now);
            source->second = with_login_failure(source->second, now);
        }
    }
    std::vector<std::string> cleared;
    for (const auto& [key, failed] : failures) {
        if (failed.count == 0) cleared.push_back(key);
    }
    for (const std::string& key : cleared)
        failures.erase(key);
    if (!failures.empty()) store_.put_login_failures(session, failures);
    if (!cleared.empty()) store_.clear_login_failures(session, cleared);
}

std::vector<Result<UserService::Refreshed>> UserService::refresh_batch(db::Session& session,
                                                                       std::span<RefreshToken> tokens) const {
    const Timestamp now = clock_.now();
    db::Transaction transaction(session);
    auto families = store_.lock_families(
        session, distinct(tokens, [](const RefreshToken& token) { return token.family_hash; }));
    std::map<std::string, StoredFamily> rotated;
    std::vector<std::string> revoked;
    std::vector<UserId> robbed;
    std::vector<Result<Refreshed>> results;
    results.reserve(tokens.size());
    for (const RefreshToken& token : tokens) {
        const auto found = families.find(token.family_hash);
        const auto verdict = found == families.end()
                                 ? RefreshVerdict::expire
                                 : judge_refresh(found->second.family, token.token_hash, now);
        if (verdict == RefreshVerdict::rotate) {
            Secret next(token.family + random_.token(refresh_part_bytes));
            found->second.family = {hash_for_storage(next.reveal()), now + refresh_token_lifetime};
            rotated.insert_or_assign(token.family_hash, found->second);
            results.emplace_back(Refreshed{found->second.principal, std::move(next)});
            continue;
        }
        if (verdict == RefreshVerdict::revoke) {
            revoked.push_back(token.family_hash);
            robbed.push_back(found->second.principal.user_id);
            rotated.erase(token.family_hash);
            families.erase(found);
        }
        results.emplace_back(bad_refresh_token());
    }
    std::vector<StoredFamily> updates;
    for (auto& [hash, family] : rotated)
        updates.push_back(std::move(family));
    if (!updates.empty()) store_.update_families(session, updates);
    if (!revoked.empty()) store_.remove_families(session, revoked);
    transaction.commit([&]() noexcept {
        for (const UserId& id : robbed) {
            log::warning("a refresh token came twice; its log-in is ended", {{"user_id", id.to_string()}});
            refresh_reuses_.add();
        }
    });
    return results;
}

std::vector<Result<Done>> UserService::logout_batch(db::Session& session,
                                                    std::span<RefreshToken> tokens) const {
    db::Transaction transaction(session);
    store_.remove_families(session,
                           distinct(tokens, [](const RefreshToken& token) { return token.family_hash; }));
    std::vector<Result<Done>> results(tokens.size(), Done{});
    transaction.commit();
    return results;
}

std::vector<Result<User>> UserService::find_batch(db::Session& session, std::span<UserId> ids) const {
    const auto found = store_.find(session, ids);
    std::vector<Result<User>> results;
    results.reserve(ids.size());
    for (const UserId& id : ids) {
        const auto user = found.find(id);
        if (user != found.end()) {
            results.emplace_back(user->second);
        } else {
            results.emplace_back(Error{ErrorCode::not_found, "There is no such user.", {}, 0});
        }
    }
    return results;
}

std::vector<Result<Done>> UserService::purge_batch(db::Session& session, std::span<Purge> requests) {
    db::Transaction transaction(session);
    const bool more = store_.purge(session, clock_.now());
    std::vector<Result<Done>> results(requests.size(), Done{});
    transaction.commit();
    if (more) has_more_to_purge_ = true;
    return results;
}

std::int64_t unlock_user(db::Session& session, std::string_view email) {
    db::Transaction transaction(session);
    const auto sources = UserStore(session.dialect()).forget_login_failures(session, normalize_email(email));
    transaction.commit();
    return sources;
}

Secret generate_password(Random& random) {
    std::string text;
    text.reserve(generated_password_length);
    while (text.size() < generated_password_length) {
        text.push_back(password_alphabet[random.below(password_alphabet.size())]);
    }
    return Secret(std::move(text));
}

Result<CreatedUser> create_user(db::Session& session, const PasswordHasher& hasher, IdGenerator& ids,
                                Random& random, const Clock& clock, NewUser user) {
    std::optional<Secret> generated;
    if (user.password.empty()) generated = generate_password(random);
    auto accepted = checked({std::move(user.name), std::move(user.email), generated.value_or(user.password)});
    if (!accepted) return std::move(accepted).error();
    const UserStore store(session.dialect());
    // Looked at first because a hash is dear, and `--demo` asks for the same user at every start.
    if (!store.find_by_email(session, std::span(&accepted->email, 1)).empty()) return email_taken();
    auto hash = hasher.hash_now(accepted->password);
    if (!hash) return std::move(hash).error();
    const StoredUser stored{{ids.generate<UserId>(), std::move(accepted->name), std::move(accepted->email),
                             user.role, clock.now()},
                            std::move(*hash)};
    db::Transaction transaction(session);
    const std::vector<bool> is_stored = store.insert(session, std::span(&stored, 1));
    transaction.commit();
    if (!is_stored.front()) return email_taken();
    return CreatedUser{stored.user, std::move(generated)};
}

}  // namespace quittance::users
