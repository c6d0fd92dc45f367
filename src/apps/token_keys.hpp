// How the payment service alone checks the tokens that the order service issues.
#pragma once

#include <optional>
#include <string>

#include "apps/environment.hpp"
#include "http/auth.hpp"
#include "http/fetched_keys.hpp"

namespace quittance::apps {

/// The order service's public keys, and the verifier that uses them.
class TokenKeys {
public:
    /// `place` is an address with http or https, or a file, which is read again now and then. Throws
    /// ConfigurationError when it is empty, or when there are no keys in the file. A server that is away is
    /// no error.
    TokenKeys(const std::string& place, Environment& environment);

    [[nodiscard]] http::TokenVerifier& verifier() { return verifier_; }
    /// Why tokens cannot be checked now, or none.
    [[nodiscard]] std::optional<std::string> problem() const { return keys_.problem(); }
    /// As FetchedKeySource::step.
    void step() { keys_.step(); }

private:
    http::FetchedKeySource keys_;
    http::JwtVerifier verifier_;
};

}  // namespace quittance::apps
