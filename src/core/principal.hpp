// Who is calling.
#pragma once

#include <optional>
#include <string_view>

#include "core/ids.hpp"

namespace quittance {

enum class Role { customer, admin, service };

[[nodiscard]] constexpr std::string_view to_string(Role role) {
    switch (role) {
        case Role::customer: return "CUSTOMER";
        case Role::admin: return "ADMIN";
        case Role::service: return "SERVICE";
    }
    return "";
}

[[nodiscard]] constexpr std::optional<Role> parse_role(std::string_view text) {
    for (const Role role : {Role::customer, Role::admin, Role::service}) {
        if (to_string(role) == text) return role;
    }
    return std::nullopt;
}

/// The authenticated caller of a request.
struct Principal {
    UserId user_id;
    Role role = Role::customer;

    bool operator==(const Principal&) const = default;
};

}  // namespace quittance
