#include "http/fetched_keys.hpp"

#include <mutex>
#include <utility>

#include "core/backoff.hpp"
#include "http/claims.hpp"
#include "telemetry/log.hpp"

namespace quittance::http {

namespace {

constexpr std::chrono::milliseconds fetch_timeout{5'000};

}  // namespace

struct FetchedKeySource::State {
    State(Fetch how, std::string where, const Clock& system_clock, FetchedKeyOptions source_options)
        : fetch(std::move(how)),
          place(std::move(where)),
          clock(system_clock),
          options(source_options),
          pauses({source_options.retry_first, source_options.retry_longest}) {}

    void take(Result<std::string> text);
    void keep(KeySet fresh);
    void fail(std::string why);

    const Fetch fetch;
    const std::string place;
    const Clock& clock;
    const FetchedKeyOptions options;

    mutable std::mutex mutex;
    KeySet keys;
    bool fetching = false;
    bool wanted = false;  ///< A token named a key that is not there.
    Backoff pauses;       ///< After fetches that failed.
    std::string failure = "they were not fetched yet";
    std::chrono::steady_clock::time_point next_fetch{};
    std::chrono::steady_clock::time_point cool_until{};
};

void FetchedKeySource::State::take(Result<std::string> text) {
    if (!text) return fail(text.error().detail);
    auto fresh = parse_jwks(*text);
    if (!fresh) return fail(fresh.error().detail);
    if (fresh->empty()) return fail("It has no key that we can use.");
    keep(std::move(*fresh));
}

void FetchedKeySource::State::keep(KeySet fresh) {
    const std::lock_guard lock(mutex);
    if (pauses.failures() > 0) log::info("the public keys could be fetched again", {{"from", place}});
    keys = std::move(fresh);
    fetching = false;
    pauses.succeeded();
    next_fetch = clock.steady_now() + options.refresh;
}

void FetchedKeySource::State::fail(std::string why) {
    const std::lock_guard lock(mutex);
    const auto now = clock.steady_now();
    fetching = false;
    failure = std::move(why);
    next_fetch = now + pauses.failed(now);
    log::warning("the public keys could not be fetched; trying again",
                 {{"from", place}, {"reason", failure}, {"keys_kept", std::ssize(keys)}});
}

FetchedKeySource::FetchedKeySource(Fetch fetch, std::string place, const Clock& clock,
                                   FetchedKeyOptions options)
    : state_(std::make_shared<State>(std::move(fetch), std::move(place), clock, options)) {}

FetchedKeySource::~FetchedKeySource() = default;

Result<PublicKey> FetchedKeySource::find(std::string_view kid) {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->keys.find(std::string(kid));
    if (found != state_->keys.end()) return found->second;
    const auto now = state_->clock.steady_now();
    if (state_->pauses.failures() == 0 && now >= state_->cool_until) {
        state_->wanted = true;
        state_->cool_until = now + state_->options.cool_down;
    }
    if (state_->wanted || state_->fetching || state_->pauses.failures() > 0) {
        return Error{ErrorCode::unavailable,
                     "The public keys that tokens are checked with cannot be had at the moment.",
                     {},
                     1};
    }
    return unknown_key();
}

void FetchedKeySource::step() {
    {
        const std::lock_guard lock(state_->mutex);
        if (state_->fetching) return;
        if (!state_->wanted && state_->clock.steady_now() < state_->next_fetch) return;
        state_->fetching = true;
        state_->wanted = false;
    }
    state_->fetch([state = state_](Result<std::string> text) { state->take(std::move(text)); });
}

std::optional<std::string> FetchedKeySource::problem() const {
    const std::lock_guard lock(state_->mutex);
    if (!state_->keys.empty()) return std::nullopt;
    return "there are no public keys from " + state_->place + " to check tokens with: " + state_->failure;
}

FetchedKeySource::Fetch fetch_over_http(Client& client, std::string url) {
    return [&client, url = std::move(url)](FetchedKeySource::Fetched fetched) {
        ClientRequest request;
        request.url = url;
        request.headers.emplace_back("Accept", "application/json");
        request.timeout = fetch_timeout;
        client.send(std::move(request), [fetched = std::move(fetched)](ClientOutcome outcome) mutable {
            if (!outcome.response) {
                return fetched(Error{ErrorCode::unavailable, std::move(outcome.failure), {}, 0});
            }
            if (outcome.response->status != 200) {
                return fetched(Error{ErrorCode::unavailable,
                                     "the answer was " + std::to_string(outcome.response->status),
                                     {},
                                     0});
            }
            fetched(std::move(outcome.response->body));
        });
    };
}

}  // namespace quittance::http
