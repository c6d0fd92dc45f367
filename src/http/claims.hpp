// What verifiers of tokens ask of the claims (RFC 7519), and what they say when they refuse.
#pragma once

#include <optional>
#include <string_view>

#include <boost/json/object.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace quittance::http {

/// The refusal of a token; `reason` completes "The token is not acceptable: …".
[[nodiscard]] Error untrusted(std::string_view reason);
/// What a `KeySource` says of a `kid` that it does not have.
[[nodiscard]] Error unknown_key();

/// RFC 7519 section 2: seconds since 1970, with or without a fraction.
[[nodiscard]] std::optional<Timestamp> date_claim(const boost::json::object& claims, std::string_view name);

/// Whether `aud` is the audience, or a list that has it.
[[nodiscard]] bool names_audience(const boost::json::object& claims, std::string_view audience);

}  // namespace quittance::http
