// The versions that a caller expects of what they change, as `If-Match` names them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace quittance {

/// nullopt: any version will do.
using ExpectedVersions = std::optional<std::vector<int>>;

/// `precondition_failed` when `version` is not among those that are expected. Pure.
[[nodiscard]] inline std::optional<Error> version_refusal(const ExpectedVersions& expected, int version) {
    if (!expected || std::ranges::find(*expected, version) != expected->end()) return std::nullopt;
    return Error{ErrorCode::precondition_failed,
                 "The version is " + std::to_string(version) + " by now, which If-Match does not name.",
                 {},
                 0};
}

}  // namespace quittance
