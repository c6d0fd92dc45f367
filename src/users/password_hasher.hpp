// Passwords are hashed with argon2id, on threads of their own: one hash takes 10 to 50 ms and 19 MiB by
// design.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/error.hpp"
#include "core/secret.hpp"

namespace quittance::users {

/// What one hash costs. The default is the first choice of OWASP's password storage cheat sheet for
/// argon2id; tests take less.
struct HashCost {
    std::size_t memory_kib = 19'456;  ///< At least 8.
    unsigned passes = 2;              ///< At least 1.

    bool operator==(const HashCost&) const = default;
};

struct PasswordHasherOptions {
    HashCost cost;
    /// Each hashes one password at a time and holds `memory_kib` only meanwhile. 0: the owner calls `step`.
    int threads = 2;
    /// Requests waiting; beyond that the answer is `overloaded`. Two threads answer 64 within two seconds.
    std::size_t max_queued = 64;
};

struct PasswordCheck {
    bool matches = false;
    bool needs_rehash = false;  ///< The stored hash was made with another cost than ours.
};

/// Thread safe. Completions run exactly once, on a hashing thread (or at once on the caller's when the queue
/// is full) and must not block or throw. Errors: `overloaded`, or `unavailable` when memory is short or the
/// hasher was stopped.
class PasswordHasher {
public:
    template <class T>
    using Completion = absl::AnyInvocable<void(Result<T>)>;

    explicit PasswordHasher(PasswordHasherOptions options);
    ~PasswordHasher();  ///< Calls `stop`.
    PasswordHasher(const PasswordHasher&) = delete;
    PasswordHasher& operator=(const PasswordHasher&) = delete;

    /// Makes a hash in PHC form: algorithm, cost, salt and hash in one printable text of at most 127 bytes.
    void hash(Secret password, Completion<std::string> done);

    /// Compares with a hash in PHC form. Without one (there is no such user) the same work is done and
    /// nothing matches, so that the time of the answer does not tell who is registered.
    void verify(Secret password, std::optional<std::string> stored, Completion<PasswordCheck> done);

    /// Hashes on the caller's thread, past the queue; for the command line.
    [[nodiscard]] Result<std::string> hash_now(const Secret& password) const;

    /// Finishes the hashes in work and answers those waiting, and all that come later, with `unavailable`.
    /// Whoever is answered may still be needed by its completion, so stop before destroying anything.
    /// Idempotent; not to be called from a completion.
    void stop();

    /// Does one waiting piece of work on the caller's thread; false when there is none.
    bool step();

    [[nodiscard]] std::size_t queued() const;

private:
    /// Called with false when the work is not to be done any more.
    using Work = absl::AnyInvocable<void(bool wanted)>;

    /// Takes the work, or says why not and leaves it.
    std::optional<Error> enqueue(Work& work);
    void work_until_stopped();
    [[nodiscard]] Result<PasswordCheck> verify_now(const Secret& password,
                                                   const std::optional<std::string>& stored) const;

    const PasswordHasherOptions options_;
    const std::string nobodys_hash_;
    mutable std::mutex mutex_;
    std::condition_variable work_arrived_;
    std::deque<Work> queue_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace quittance::users
