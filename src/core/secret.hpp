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
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(const Secret&) = default;
    Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
    Secret& operator=(Secret other) noexcept {
        text_.swap(other.text_);
        return *this;
    }
    ~Secret() { wipe(); }

    [[nodiscard]] const std::string& reveal() const { return text_; }
    [[nodiscard]] bool empty() const { return text_.empty(); }

private:
    void wipe() noexcept {
        volatile char* bytes = text_.data();
        for (std::size_t i = 0; i < text_.size(); ++i)
            bytes[i] = 0;
        text_.clear();
    }

    std::string text_;
};

}  // namespace quittance
