// Text that must not leak.
#pragma once

#include <string>
#include <utility>

namespace quittance {

/// Holds a password, key or token. It has no conversion, no stream operator and no JSON form, so that it
/// cannot slip into a log line or an answer; `reveal` marks each place where it is needed. The memory is
/// overwritten when it is no longer held.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) noexcept { take(text); }
    Secret(const Secret&) = default;
    Secret(Secret&& other) noexcept { take(other.text_); }
    Secret& operator=(Secret other) noexcept {
        text_.swap(other.text_);
        return *this;
    }
    ~Secret() { wipe(text_); }

    [[nodiscard]] const std::string& reveal() const { return text_; }
    [[nodiscard]] bool empty() const { return text_.empty(); }

private:
    void take(std::string& text) noexcept {
        text_.swap(text);
        wipe(text);
    }

    /// Up to the capacity, because a short string that was swapped away leaves its characters behind.
    static void wipe(std::string& text) noexcept {
        text.resize(text.capacity());
        volatile char* bytes = text.data();
        for (std::size_t i = 0; i < text.size(); ++i)
            bytes[i] = 0;
        text.clear();
    }

    std::string text_;
};

}  // namespace quittance
