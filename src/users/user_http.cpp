#include "users/user_http.hpp"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "core/json.hpp"
#include "http/await.hpp"
#include "http/problem.hpp"

namespace quittance::users {

using boost::asio::awaitable;
using http::Method;
using http::Request;
using http::Response;

namespace {

/// Bounds what is worked on; the rules of `user` say more exactly what is too long.
constexpr TextLimits any_text{.min_characters = 0, .max_characters = 1024};
constexpr TextLimits some_text{.min_characters = 1, .max_characters = 1024};

/// How long verifiers may keep the public keys, and so how early a new key has to be published.
constexpr std::string_view jwks_cache_control = "public, max-age=300";

std::string to_json(const User& user) {
    return json::serialize(json::object{{"id", user.id.to_string()},
                                        {"name", user.name},
                                        {"email", user.email},
                                        {"role", to_string(user.role)},
                                        {"createdAt", to_rfc3339(user.created_at)}});
}

Response tokens_response(const Tokens& tokens) {
    Response response = http::json_response(
        200, json::serialize(json::object{{"token", tokens.access_token},
                                          {"tokenType", "Bearer"},
                                          {"expiresIn", tokens.expires_in.count()},
                                          {"refreshToken", tokens.refresh_token.reveal()}}));
    response.headers.emplace_back("Cache-Control", "no-store");  // RFC 6749 section 5.1.
    return response;
}

/// A 401 for the body: no access token was wrong, even if the request carries one.
Response credentials_problem(const Error& error) {
    Response response = http::problem(error);
    http::leave_out_token_error(response);
    return response;
}

/// Whether the registration keeps the rules is the service's to say, but a member that could not be read is
/// reported together with the rules that the others break.
Result<Registration> read_registration(const std::string& body) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    Registration registration;
    registration.name = reader.text("name", any_text);
    registration.email = normalize_email(reader.text("email", any_text));
    registration.password = normalize_password(Secret(reader.text("password", any_text)));
    reader.finish();
    if (faults.empty()) return registration;
    if (!value->is_object()) return invalid_error(std::move(faults));
    for (Fault& broken : registration_faults(registration)) {
        const bool is_known =
            std::ranges::any_of(faults, [&](const Fault& fault) { return fault.pointer == broken.pointer; });
        if (!is_known) faults.push_back(std::move(broken));
    }
    return invalid_error(std::move(faults));
}

Result<LoginRequest> read_login(const std::string& body) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    LoginRequest login;
    login.email = reader.text("email", some_text);
    login.password = Secret(reader.text("password", some_text));
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    return login;
}

Result<Secret> read_refresh_token(const std::string& body) {
    const auto value = parse_json(body);
    if (!value) return value.error();
    std::vector<Fault> faults;
    ObjectReader reader(*value, "", faults);
    Secret token(reader.text("refreshToken", some_text));
    reader.finish();
    if (!faults.empty()) return invalid_error(std::move(faults));
    return token;
}

awaitable<Response> register_user(Request& request, UserService& service, http::AddressLimiter& limiter) {
    if (const auto refused = limiter.refuse(request)) co_return http::problem(*refused);
    auto registration = read_registration(request.body);
    if (!registration) co_return http::problem(registration.error());
    const auto user = co_await http::wait_for<Result<User>>(
        [&](auto done) { service.register_user(std::move(*registration), std::move(done)); });
    co_return user ? http::json_response(201, to_json(*user)) : http::problem(user.error());
}

awaitable<Response> login(Request& request, UserService& service, http::AddressLimiter& limiter) {
    if (const auto refused = limiter.refuse(request)) co_return http::problem(*refused);
    auto login = read_login(request.body);
    if (!login) co_return http::problem(login.error());
    login->network = limiter.network(request);
    const auto tokens = co_await http::wait_for<Result<Tokens>>(
        [&](auto done) { service.login(std::move(*login), std::move(done)); });
    co_return tokens ? tokens_response(*tokens) : credentials_problem(tokens.error());
}

awaitable<Response> refresh(Request& request, UserService& service) {
    const auto token = read_refresh_token(request.body);
    if (!token) co_return http::problem(token.error());
    const auto tokens =
        co_await http::wait_for<Result<Tokens>>([&](auto done) { service.refresh(*token, std::move(done)); });
    co_return tokens ? tokens_response(*tokens) : credentials_problem(tokens.error());
}

awaitable<Response> logout(Request& request, UserService& service) {
    const auto token = read_refresh_token(request.body);
    if (!token) co_return http::problem(token.error());
    const auto ended =
        co_await http::wait_for<Result<Done>>([&](auto done) { service.logout(*token, std::move(done)); });
    co_return ended ? http::no_content() : http::problem(ended.error());
}

awaitable<Response> read_me(Request& request, UserService& service, http::TokenVerifier& verifier) {
    const auto principal = http::authenticate(request, verifier);
    if (!principal) co_return http::problem(principal.error());
    const auto user = co_await http::wait_for<Result<User>>(
        [&](auto done) { service.find(principal->user_id, std::move(done)); });
    if (user) co_return http::json_response(200, to_json(*user));
    if (user.error().code != ErrorCode::not_found) co_return http::problem(user.error());
    co_return http::problem(
        Error{ErrorCode::unauthenticated, "The user that this token was given to is gone.", {}, 0});
}

Response jwks_response(const TokenIssuer& issuer) {
    Response response = http::json_response(200, issuer.jwks());
    response.headers.emplace_back("Cache-Control", jwks_cache_control);
    return response;
}

}  // namespace

void add_user_routes(http::Router& router, UserService& service, const TokenIssuer& issuer,
                     http::TokenVerifier& verifier, http::AddressLimiter& limiter) {
    router.add(Method::post, "/users",
               [&](Request& request) { return register_user(request, service, limiter); });
    router.add(Method::post, "/users/login",
               [&](Request& request) { return login(request, service, limiter); });
    router.add(Method::post, "/users/refresh", [&](Request& request) { return refresh(request, service); });
    router.add(Method::post, "/users/logout", [&](Request& request) { return logout(request, service); });
    router.add(Method::get, "/users/me",
               [&](Request& request) { return read_me(request, service, verifier); });
    router.add(Method::get, "/.well-known/jwks.json",
               [&](Request&) -> awaitable<Response> { co_return jwks_response(issuer); });
}

}  // namespace quittance::users
