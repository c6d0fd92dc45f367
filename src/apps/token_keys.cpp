#include "apps/token_keys.hpp"

#include <fstream>
#include <iterator>
#include <utility>

#include "users/tokens.hpp"

namespace quittance::apps {

namespace {

bool is_address(const std::string& place) {
    return place.starts_with("http://") || place.starts_with("https://");
}

http::FetchedKeySource::Fetch fetch_from(const std::string& place, http::Client& client) {
    if (place.empty()) {
        throw ConfigurationError(
            "JWKS_URL is missing: the address of the order service's public keys, such as "
            "https://orders.example.com/.well-known/jwks.json, or a file with them (--jwks-file)");
    }
    if (is_address(place)) return http::fetch_over_http(client, place);
    return [place](http::FetchedKeySource::Fetched fetched) {
        std::ifstream file(place);
        std::string text{std::istreambuf_iterator<char>(file), {}};
        if (!file) return fetched(Error{ErrorCode::unavailable, "the file cannot be read", {}, 0});
        fetched(std::move(text));
    };
}

}  // namespace

TokenKeys::TokenKeys(const std::string& place, Environment& environment)
    : keys_(fetch_from(place, environment.client), place, environment.clock),
      verifier_(keys_, environment.clock, {users::TokenNames().issuer, users::TokenNames().audience}) {
    keys_.step();
    if (is_address(place)) return;
    if (const auto problem = keys_.problem()) throw ConfigurationError(*problem);
}

}  // namespace quittance::apps
