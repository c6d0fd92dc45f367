// The tables users, refresh_tokens and login_failures; a batch at a time.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "db/database.hpp"
#include "users/user.hpp"

namespace quittance::users {

struct StoredUser {
    User user;
    std::string password_hash;  ///< In PHC form; never leaves this folder.
};

/// A line of refresh tokens as it is stored.
struct StoredFamily {
    std::string family_hash;
    RefreshFamily family;
    Principal principal;  ///< Its holder, with the role of this moment.
    Timestamp created_at;
};

/// The only form in which secrets and looked-for addresses are stored: SHA-256 in base64url. Enough for
/// refresh tokens because they are random; passwords go through `PasswordHasher`.
[[nodiscard]] std::string hash_for_storage(std::string_view text);

/// Under which keys the failed log-ins of an account are counted. Both begin with the same characters, by
/// which all keys of an account are found.
struct LoginKeys {
    std::string account;  ///< From wherever.
    std::string source;   ///< From one network of clients.
};

/// `email` is normalized, `network` as http::network_text writes it.
[[nodiscard]] LoginKeys login_keys(std::string_view email, std::string_view network);

/// Works inside the caller's transaction and throws what `db::Session` throws. `lock_...` keeps others from
/// changing the rows until that transaction ends. Thread safe: holds nothing but texts.
class UserStore {
public:
    explicit UserStore(const db::Dialect& dialect);

    /// Tells of each user whether it was stored; false: the e-mail address is taken, also by an earlier one
    /// of the same batch. Ids must be new.
    [[nodiscard]] std::vector<bool> insert(db::Session& session, std::span<const StoredUser> users) const;
    [[nodiscard]] std::map<UserId, User> find(db::Session& session, std::span<const UserId> ids) const;
    /// By e-mail address; addresses that nobody has are missing.
    [[nodiscard]] std::map<std::string, StoredUser> find_by_email(db::Session& session,
                                                                  std::span<const std::string> emails) const;
    void set_password_hashes(db::Session& session,
                             std::span<const std::pair<UserId, std::string>> password_hashes) const;

    /// By the texts of `LoginKeys`; keys without failures are missing.
    using Failures = std::map<std::string, LoginFailures>;
    [[nodiscard]] Failures login_failures(db::Session& session, std::span<const std::string> keys) const;
    /// As `login_failures`, but locked, and with an entry for each of `counted`, which are among `keys`.
    [[nodiscard]] Failures lock_login_failures(db::Session& session, std::span<const std::string> keys,
                                               std::span<const std::string> counted) const;
    /// Stores failures of locked keys.
    void put_login_failures(db::Session& session, const Failures& failures) const;
    void clear_login_failures(db::Session& session, std::span<const std::string> keys) const;
    /// All failures of the account, from wherever; returns how many sources it was counted for. Reads the
    /// whole table, which holds what failed within an hour.
    std::int64_t forget_login_failures(db::Session& session, std::string_view email) const;

    void insert_families(db::Session& session, std::span<const StoredFamily> families) const;
    /// By hash of the family's name; unknown ones are missing.
    [[nodiscard]] std::map<std::string, StoredFamily> lock_families(
        db::Session& session, std::span<const std::string> hashes) const;
    /// Stores the newest token and the end of locked families.
    void update_families(db::Session& session, std::span<const StoredFamily> families) const;
    void remove_families(db::Session& session, std::span<const std::string> hashes) const;

    /// Removes refresh tokens that have expired and failures that are forgotten, the oldest first and at most
    /// `purged_at_once` of each; true when more is left. Two short statements.
    bool purge(db::Session& session, Timestamp now) const;

    static constexpr std::int64_t purged_at_once = 2'000;

private:
    std::string insert_;
    std::string which_exist_;
    std::string find_;
    std::string find_by_email_;
    std::string set_password_;
    std::string failures_;
    std::string lock_failures_;
    std::string insert_failures_;
    std::string update_failures_;
    std::string clear_failures_;
    std::string insert_families_;
    std::string lock_families_;
    std::string update_families_;
    std::string remove_families_;
    std::string purge_families_;
    std::string purge_failures_;
};

}  // namespace quittance::users
