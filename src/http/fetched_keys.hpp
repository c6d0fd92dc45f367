// Public keys that somebody else publishes, and may change at any time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <absl/functional/any_invocable.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "http/auth.hpp"
#include "http/client.hpp"

namespace quittance::http {

struct FetchedKeyOptions {
    /// How long a key that was withdrawn is still trusted.
    std::chrono::seconds refresh{300};
    /// Between two fetches because of an unknown `kid`: whoever invents them costs the issuer no more. Until
    /// then an unknown `kid` is a bad one.
    std::chrono::seconds cool_down{10};
    /// After a fetch that failed; doubles up to the longest.
    std::chrono::milliseconds retry_first{500};
    std::chrono::milliseconds retry_longest{30'000};
};

/// Fetches a JWK set, keeps it, and fetches it anew now and then, and when a token names a key that is not
/// there. While it is being fetched for that reason, such a token is neither good nor bad: `unavailable`.
/// When a fetch fails, the keys that it has stay good. Thread safe, but `step` is for one thread.
class FetchedKeySource final : public KeySource {
public:
    using Fetched = absl::AnyInvocable<void(Result<std::string>)>;
    /// Gets the text of the JWK set; answers once, on any thread, also after the source is gone.
    using Fetch = std::function<void(Fetched)>;

    /// `place` is for people: where the keys come from.
    FetchedKeySource(Fetch fetch, std::string place, const Clock& clock, FetchedKeyOptions options = {});
    ~FetchedKeySource() override;

    [[nodiscard]] Result<PublicKey> find(std::string_view kid) override;

    /// Fetches when it is time to. Called every few moments, beginning before the first token.
    void step();

    /// Why no token can be checked: no keys came yet. None once there are keys.
    [[nodiscard]] std::optional<std::string> problem() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// The client has to outlive the source.
[[nodiscard]] FetchedKeySource::Fetch fetch_over_http(Client& client, std::string url);

}  // namespace quittance::http
