// Tokens that Google signs for a service account (OpenID Connect), such as those of Pub/Sub's pushes.
#pragma once

#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "http/auth.hpp"

namespace quittance::http {

struct GoogleTokenOptions {
    std::string audience;         ///< `aud` must be exactly this.
    std::string service_account;  ///< `email` must be this, and verified.
};

/// Thread safe.
class GoogleTokenVerifier {
public:
    /// `keys` are Google's; they have to outlive the verifier, and so does the clock.
    GoogleTokenVerifier(KeySource& keys, const Clock& clock, GoogleTokenOptions options);

    /// `unauthenticated` for any token that cannot be trusted, `unavailable` when the keys cannot be had. A
    /// token whose signature was removed (Cloud Run does that to those that it has checked itself) is not
    /// trusted.
    [[nodiscard]] Result<Done> verify(std::string_view token) const;

private:
    KeySource& keys_;
    const Clock& clock_;
    const GoogleTokenOptions options_;
};

}  // namespace quittance::http
