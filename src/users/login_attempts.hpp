// Counts the log-ins whose outcome is not known yet, so that guesses made at once are no way around the
// delay.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace quittance::users {

/// Per account and source, and within this process: N instances let N times as many guesses through at once,
/// which the stored failures then catch up with. Per source, because attempts from elsewhere must not
/// delay the owner of an account. Thread safe.
class LoginAttempts {
public:
    /// One log-in between its request and its stored outcome. Move-only; ends with `end` or its destructor.
    class Attempt {
    public:
        Attempt(Attempt&&) noexcept = default;
        Attempt& operator=(Attempt&&) = delete;
        ~Attempt() { end(); }

        /// The attempts on the same account from the same source that were in flight when this one began.
        [[nodiscard]] int others() const { return others_; }

        void end() {
            const auto counts = std::exchange(counts_, nullptr);
            if (!counts) return;
            const std::lock_guard lock(counts->mutex);
            const auto found = counts->by_key.find(key_);
            if (--found->second == 0) counts->by_key.erase(found);
        }

    private:
        friend class LoginAttempts;
        struct Counts {
            std::mutex mutex;
            std::unordered_map<std::string, int> by_key;
        };

        Attempt(std::shared_ptr<Counts> counts, std::string key)
            : counts_(std::move(counts)), key_(std::move(key)) {
            const std::lock_guard lock(counts_->mutex);
            others_ = counts_->by_key[key_]++;
        }

        std::shared_ptr<Counts> counts_;
        std::string key_;
        int others_ = 0;
    };

    /// `key` stands for the account and the source.
    [[nodiscard]] Attempt begin(std::string key) { return {counts_, std::move(key)}; }

private:
    std::shared_ptr<Attempt::Counts> counts_ = std::make_shared<Attempt::Counts>();
};

}  // namespace quittance::users
