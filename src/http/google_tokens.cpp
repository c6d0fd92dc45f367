#include "http/google_tokens.hpp"

#include <utility>

#include "core/json.hpp"
#include "http/claims.hpp"

namespace quittance::http {

GoogleTokenVerifier::GoogleTokenVerifier(KeySource& keys, const Clock& clock, GoogleTokenOptions options)
    : keys_(keys), clock_(clock), options_(std::move(options)) {
    ensure(!options_.audience.empty() && !options_.service_account.empty(),
           "a push token has an audience and a service account");
}

Result<Done> GoogleTokenVerifier::verify(std::string_view token) const {
    const auto claims = verify_signature(token, "JWT", keys_, rs256);
    if (!claims) return claims.error();
    // Google's documentation allows both, with and without the scheme.
    const auto issuer = text_member(*claims, "iss");
    if (issuer != "https://accounts.google.com" && issuer != "accounts.google.com") {
        return untrusted("it is from another issuer");
    }
    if (text_member(*claims, "aud") != options_.audience) return untrusted("it is for another audience");
    if (text_member(*claims, "email") != options_.service_account) {
        return untrusted("it is of another service account");
    }
    const boost::json::value* verified = claims->if_contains("email_verified");
    if (verified == nullptr || !verified->is_bool() || !verified->get_bool()) {
        return untrusted("its e-mail address is not verified");
    }
    const Timestamp now = clock_.now();
    const auto expires_at = date_claim(*claims, "exp");
    if (!expires_at) return untrusted("it does not say when it expires");
    if (now >= *expires_at + max_clock_skew) return untrusted("it has expired");
    const auto issued_at = date_claim(*claims, "iat");
    if (!issued_at || *issued_at > now + max_clock_skew) return untrusted("it is not valid yet");
    return Done{};
}

}  // namespace quittance::http
