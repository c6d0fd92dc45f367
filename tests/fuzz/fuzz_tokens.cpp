// No token is believed that our key has not signed, and of one that it has only what the rules allow.
#include <boost/json.hpp>

#include "core/manual_clock.hpp"
#include "core/utf8.hpp"
#include "http/auth.hpp"
#include "http/token_testing.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::http {
namespace {

using fuzz::require;

constexpr std::string_view issuer = "quittance";
constexpr std::string_view audience = "quittance-api";

/// A key of this process alone: no input can hold a signature of it.
struct World {
    TestKey key = TestKey::p256();
    StaticKeySource keys{jwks({key.jwk("k1")})};
    ManualClock clock;
    JwtVerifier verifier{keys, clock, {std::string(issuer), std::string(audience), 64}};
    json::object header{{"alg", "ES256"}, {"typ", access_token_type}, {"kid", "k1"}};
    json::object claims{{"iss", issuer},
                        {"aud", audience},
                        {"sub", "01890a5d-ac96-774b-bcce-b302099a8057"},
                        {"role", "CUSTOMER"},
                        {"exp", to_seconds(clock.now()) + 900}};

    static std::int64_t to_seconds(Timestamp time) {
        return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    }
};

World& world() {
    static World made;
    return made;
}

void require_refused(const Result<Principal>& result) {
    require(!result, "a token that our key has not signed is refused");
    require(result.error().code == ErrorCode::unauthenticated, "a bad token is no more than that");
}

std::string sign(std::string_view header, std::string_view claims) {
    const std::string text = base64url(header) + "." + base64url(claims);
    return text + "." + base64url(world().key.sign(text));
}

std::string_view text_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : "";
}

bool is_for_us(const json::value& aud) {
    if (aud.is_string()) return aud.get_string() == audience;
    return aud.is_array() &&
           std::ranges::find(aud.get_array(), json::value(audience)) != aud.get_array().end();
}

void try_claims(std::string_view claims) {
    const std::string token = sign(json::serialize(world().header), claims);
    const auto principal = world().verifier.verify(token);
    const auto repeated = world().verifier.verify(token);
    require(principal.ok() == repeated.ok(), "a token that comes again is judged the same");
    if (!principal) return require_refused(principal);
    require(*principal == *repeated, "a token that comes again is the same person's");
    const json::object said = json::parse(claims).as_object();
    require(text_of(said, "iss") == issuer && is_for_us(said.at("aud")), "a token was issued by us, for us");
    require(said.at("exp").to_number<double>() > static_cast<double>(World::to_seconds(world().clock.now())),
            "a token has not expired");
    require(UserId::parse(text_of(said, "sub")) == principal->user_id, "a token is its subject's");
    require(to_string(principal->role) == text_of(said, "role"), "a token's role is the one that it says");
}

void try_header(std::string_view header) {
    const auto principal = world().verifier.verify(sign(header, json::serialize(world().claims)));
    if (!principal) return require_refused(principal);
    const json::object said = json::parse(header).as_object();
    require(text_of(said, "alg") == "ES256" && text_of(said, "kid") == "k1" && !said.contains("crit"),
            "the key decides how a token is signed");
    require(text_of(said, "typ").ends_with(access_token_type), "another kind of token is none of ours");
}

/// Changes a good token in one place.
void try_change(fuzz::Input& input) {
    static const std::string good = world().key.token(world().header, world().claims);
    std::string token = good;
    const std::size_t at = (input.byte() * 256U + input.byte()) % token.size();
    const std::string_view inserted = input.line();
    token.replace(at, std::min(inserted.size(), token.size() - at), inserted);
    if (token == good) {
        require(world().verifier.verify(token).ok(), "a good token is accepted");
    } else {
        require_refused(world().verifier.verify(token));
    }
}

void try_authorization(std::string_view value) {
    Request request;
    request.headers.emplace_back("authorization", value);
    const auto token = bearer_token(request);
    if (!token) return;
    require(value.ends_with(*token), "what is taken for a token stands at the end of the header");
    require_refused(world().verifier.verify(*token));
}

/// Keys of others: whatever they are, one that is taken does not sign for ours.
void try_keys(std::string_view text) {
    const auto keys = parse_jwks(text);
    if (!keys) return require(keys.error().code == ErrorCode::malformed, "what is no key set is malformed");
    for (const auto& [kid, key] : *keys) {
        require(!kid.empty() || json::parse(text).at("keys").is_array(), "a key has a name");
        require(key.algorithm() == "ES256" || key.algorithm() == rs256, "a key is of a kind that we know");
        require(!key.verifies("text", std::string(64, '\1')), "a made up signature is none");
    }
}

}  // namespace
}  // namespace quittance::http

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance::http;
    quittance::fuzz::Input input(data, size);
    switch (input.choice(6)) {
        case 0: require_refused(world().verifier.verify(input.rest())); break;
        case 1: try_claims(input.rest()); break;
        case 2: try_header(input.rest()); break;
        case 3: try_change(input); break;
        case 4: try_authorization(input.rest()); break;
        default: try_keys(input.rest());
    }
    return 0;
}
