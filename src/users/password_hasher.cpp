#include "users/password_hasher.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include <sodium.h>

#include "core/thread_name.hpp"

namespace quittance::users {

namespace {

constexpr std::size_t bytes_per_kib = 1024;
constexpr int retry_after_s = 2;

/// A hash in PHC form that no password is known for; checking it costs what checking a user's costs.
std::string make_nobodys_hash(const HashCost& cost) {
    const std::string salt(22, 'A');  // 16 bytes in base64
    const std::string hash(43, 'A');  // 32 bytes in base64
    return "$argon2id$v=19$m=" + std::to_string(cost.memory_kib) + ",t=" + std::to_string(cost.passes) +
           ",p=1$" + salt + "$" + hash;
}

Error out_of_memory() {
    return Error{
        ErrorCode::unavailable, "There is not enough memory to check a password.", {}, retry_after_s};
}

Error shutting_down() {
    return Error{ErrorCode::unavailable, "The service is shutting down.", {}, retry_after_s};
}

Error too_many_waiting() {
    return Error{ErrorCode::overloaded, "Too many passwords are waiting to be checked.", {}, retry_after_s};
}

/// Whether the password has this hash. Not libsodium's own function, which calls a password wrong when there
/// was no memory to compute anything, and whoever typed it right would be locked out. What is no hash of
/// `crypto_pwhash_str_alg` matches nothing.
Result<bool> matches_hash(const std::string& phc, const std::string& password) {
    static constexpr const char* form = "$argon2id$v=19$m=%zu,t=%llu,p=1$%22[A-Za-z0-9+/]$%43[A-Za-z0-9+/]";
    std::size_t memory_kib = 0;
    unsigned long long passes = 0;
    std::array<char, 23> salt_text{};
    std::array<char, 44> hash_text{};
    if (std::sscanf(phc.c_str(), form, &memory_kib, &passes, salt_text.data(), hash_text.data()) != 4) {
        return false;
    }
    std::array<unsigned char, crypto_pwhash_SALTBYTES> salt{};
    std::array<unsigned char, 32> stored{};
    const auto decode = [](auto& bytes, const auto& text) {
        std::size_t size = 0;
        return sodium_base642bin(bytes.data(), bytes.size(), text.data(), std::strlen(text.data()), nullptr,
                                 &size, nullptr, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
               size == bytes.size();
    };
    if (!decode(salt, salt_text) || !decode(stored, hash_text)) return false;
    std::array<unsigned char, 32> computed{};
    errno = 0;
    if (crypto_pwhash(computed.data(), computed.size(), password.data(), password.size(), salt.data(), passes,
                      memory_kib * bytes_per_kib, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        const bool is_beyond_limits = errno == EINVAL || errno == EFBIG;
        if (is_beyond_limits) return false;
        return out_of_memory();
    }
    return sodium_memcmp(computed.data(), stored.data(), stored.size()) == 0;
}

}  // namespace

PasswordHasher::PasswordHasher(PasswordHasherOptions options)
    : options_(options), nobodys_hash_(make_nobodys_hash(options.cost)) {
    ensure(sodium_init() >= 0, "libsodium can be initialized");
    for (int i = 0; i < options_.threads; ++i) {
        threads_.emplace_back([this, i] {
            name_this_thread("q-hash-" + std::to_string(i));
            work_until_stopped();
        });
    }
}

PasswordHasher::~PasswordHasher() {
    stop();
}

void PasswordHasher::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    work_arrived_.notify_all();
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
    // Nothing is added any more, and nobody else takes.
    for (Work& work : std::exchange(queue_, {}))
        work(false);
}

void PasswordHasher::hash(Secret password, Completion<std::string> done) {
    // Shared, because work that finds no place in the queue must still be able to answer.
    auto answer = std::make_shared<Completion<std::string>>(std::move(done));
    Work work = [this, password = std::move(password), answer](bool wanted) {
        (*answer)(wanted ? hash_now(password) : Result<std::string>(shutting_down()));
    };
    if (const auto refused = enqueue(work)) (*answer)(*refused);
}

void PasswordHasher::verify(Secret password, std::optional<std::string> stored,
                            Completion<PasswordCheck> done) {
    auto answer = std::make_shared<Completion<PasswordCheck>>(std::move(done));
    Work work = [this, password = std::move(password), stored = std::move(stored), answer](bool wanted) {
        (*answer)(wanted ? verify_now(password, stored) : Result<PasswordCheck>(shutting_down()));
    };
    if (const auto refused = enqueue(work)) (*answer)(*refused);
}

Result<std::string> PasswordHasher::hash_now(const Secret& password) const {
    std::array<char, crypto_pwhash_STRBYTES> phc{};
    const std::string& text = password.reveal();
    if (crypto_pwhash_str_alg(phc.data(), text.data(), text.size(), options_.cost.passes,
                              options_.cost.memory_kib * bytes_per_kib, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return out_of_memory();
    }
    return std::string(phc.data());
}

Result<PasswordCheck> PasswordHasher::verify_now(const Secret& password,
                                                 const std::optional<std::string>& stored) const {
    const std::string& phc = stored ? *stored : nobodys_hash_;
    const auto matches = matches_hash(phc, password.reveal());
    if (!matches) return matches.error();
    if (!*matches || !stored) return PasswordCheck{};
    const bool needs_rehash = crypto_pwhash_str_needs_rehash(phc.c_str(), options_.cost.passes,
                                                             options_.cost.memory_kib * bytes_per_kib) != 0;
    return PasswordCheck{true, needs_rehash};
}

std::optional<Error> PasswordHasher::enqueue(Work& work) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return shutting_down();
        if (queue_.size() >= options_.max_queued) return too_many_waiting();
        queue_.push_back(std::move(work));
    }
    work_arrived_.notify_one();
    return std::nullopt;
}

bool PasswordHasher::step() {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) return false;
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work(true);
    return true;
}

void PasswordHasher::work_until_stopped() {
    while (true) {
        {
            std::unique_lock lock(mutex_);
            work_arrived_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (stopping_) return;
        }
        step();
    }
}

std::size_t PasswordHasher::queued() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
}

}  // namespace quittance::users
