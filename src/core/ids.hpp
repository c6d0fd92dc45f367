// Identities: UUIDv7 (RFC 9562), one C++ type per kind of thing.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/random.hpp"

namespace quittance {

using UuidBytes = std::array<std::uint8_t, 16>;

/// The lower-case 8-4-4-4-12 form.
[[nodiscard]] std::string uuid_to_string(const UuidBytes& bytes);
/// Accepts exactly the 8-4-4-4-12 form, in either case, of any version.
[[nodiscard]] std::optional<UuidBytes> uuid_from_string(std::string_view text);

template <class Tag>
class Id {
public:
    Id() = default;
    explicit Id(const UuidBytes& bytes) : bytes_(bytes) {}

    [[nodiscard]] static std::optional<Id> parse(std::string_view text) {
        const auto bytes = uuid_from_string(text);
        if (!bytes) return std::nullopt;
        return Id(*bytes);
    }
    [[nodiscard]] std::string to_string() const { return uuid_to_string(bytes_); }
    [[nodiscard]] const UuidBytes& bytes() const { return bytes_; }
    [[nodiscard]] bool is_nil() const { return bytes_ == UuidBytes{}; }

    auto operator<=>(const Id&) const = default;

private:
    UuidBytes bytes_{};
};

using OrderId = Id<struct OrderTag>;
using UserId = Id<struct UserTag>;
using PaymentId = Id<struct PaymentTag>;
using RefundId = Id<struct RefundTag>;
using EventId = Id<struct EventTag>;

/// Makes UUIDv7s that grow strictly within one process, even when the wall clock goes back. Thread safe.
class IdGenerator {
public:
    IdGenerator(const Clock& clock, Random& random) : clock_(clock), random_(random) {}

    template <class IdType>
    [[nodiscard]] IdType generate() {
        return IdType(next());
    }

private:
    UuidBytes next();

    const Clock& clock_;
    Random& random_;
    std::mutex mutex_;
    std::int64_t last_ms_ = 0;
    std::uint16_t counter_ = 0;  // 12 bits: RFC 9562 section 6.2, method 1.
};

}  // namespace quittance

template <class Tag>
struct std::hash<quittance::Id<Tag>> {
    std::size_t operator()(const quittance::Id<Tag>& id) const noexcept {
        std::size_t low = 0;  // The last eight bytes are random; they need no mixing.
        std::memcpy(&low, id.bytes().data() + 8, sizeof low);
        return low;
    }
};
