#include "orders/refund_id.hpp"

#include <algorithm>
#include <string>

#include <openssl/evp.h>

#include "core/error.hpp"

namespace quittance::orders {

namespace {

/// Keeps these ids apart from whatever else is ever derived from a user, an order and a key.
constexpr std::string_view refund_namespace = "quittance.refund.v1";

UuidBytes version_8(const std::array<std::byte, 32>& digest) {
    UuidBytes bytes{};
    std::ranges::transform(digest.begin(), digest.begin() + bytes.size(), bytes.begin(),
                           [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    bytes[6] = static_cast<std::uint8_t>(0x80 | (bytes[6] & 0x0F));
    bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3F));
    return bytes;
}

}  // namespace

std::array<std::byte, 32> sha256(std::string_view text) {
    std::array<std::byte, 32> digest{};
    const int done = EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()),
                                nullptr, EVP_sha256(), nullptr);
    ensure(done == 1, "SHA-256 is available");
    return digest;
}

RefundId refund_id_of(UserId user, OrderId order, std::string_view idempotency_key) {
    // The key comes last, for it alone may hold line ends.
    std::string text(refund_namespace);
    text += "\n" + user.to_string() + "\n" + order.to_string() + "\n";
    text += idempotency_key;
    return RefundId(version_8(sha256(text)));
}

}  // namespace quittance::orders
