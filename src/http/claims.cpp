#include "http/claims.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "core/json.hpp"

namespace quittance::http {

namespace json = boost::json;

namespace {

constexpr std::int64_t last_second_of_year_9999 = 253'402'300'799;

}  // namespace

Error untrusted(std::string_view reason) {
    return Error{
        ErrorCode::unauthenticated, "The token is not acceptable: " + std::string(reason) + ".", {}, 0};
}

Error unknown_key() {
    return untrusted("it is signed with an unknown key");
}

std::optional<Timestamp> date_claim(const json::object& claims, std::string_view name) {
    const json::value* value = claims.if_contains(name);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const double seconds = value->to_number<double>();
    if (!(seconds >= 0 && seconds <= static_cast<double>(last_second_of_year_9999))) return std::nullopt;
    return timestamp_from_ms(static_cast<std::int64_t>(std::floor(seconds)) * 1000);
}

bool names_audience(const json::object& claims, std::string_view audience) {
    const json::value* value = claims.if_contains("aud");
    if (value == nullptr) return false;
    if (const json::array* list = value->if_array()) {
        return std::ranges::any_of(*list, [&](const json::value& entry) {
            return entry.is_string() && std::string_view(entry.get_string()) == audience;
        });
    }
    return text_member(claims, "aud") == audience;
}

}  // namespace quittance::http
