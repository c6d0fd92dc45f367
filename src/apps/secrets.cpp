#include "apps/secrets.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/error.hpp"

namespace quittance::apps {

namespace {

[[noreturn]] void refuse(std::string_view name, std::string_view what) {
    throw ConfigurationError(std::string(name) + " " + std::string(what) +
                             ", which no secret of ours has: store it again without, such as with "
                             "printf '%s' \"$SECRET\" in place of echo");
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

}  // namespace

Secret clean_secret(std::string_view name, std::string value) {
    if (value.ends_with('\n')) value.pop_back();
    if (value.ends_with('\r')) value.pop_back();
    Secret secret(std::move(value));
    const std::string& text = secret.reveal();
    if (text.empty()) return secret;
    const auto is_white = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    if (is_white(text.front())) refuse(name, "begins with white space");
    if (is_white(text.back())) refuse(name, "ends with white space");
    if (std::ranges::any_of(text, is_control)) refuse(name, "has a control character in it");
    return secret;
}

std::optional<Secret> secret_from_environment(const char* variable) {
    const char* value = std::getenv(variable);
    if (value == nullptr) return std::nullopt;
    return clean_secret(variable, value);
}

}  // namespace quittance::apps
