// Ids of refunds that are derived from idempotency keys, and the hash that this takes.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "core/ids.hpp"

namespace quittance::orders {

/// The digest of the bytes of `text`.
[[nodiscard]] std::array<std::byte, 32> sha256(std::string_view text);

/// The id of the refund of `order` that `user` asks for under `idempotency_key`, which is not empty: a UUID
/// of version 8 (RFC 9562 section 5.8) from a digest of the three. Keys are forgotten after
/// `idempotency_key_lifetime`, ids of refunds never are, so the same request gets the same refund for good.
[[nodiscard]] RefundId refund_id_of(UserId user, OrderId order, std::string_view idempotency_key);

}  // namespace quittance::orders
