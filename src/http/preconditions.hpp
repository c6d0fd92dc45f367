// What a request wants to be true before it is carried out: RFC 9110 section 13, and idempotency keys.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/expected_versions.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// One entity tag of a list. `opaque` is what stands between the quotes.
struct EntityTag {
    std::string opaque;
    bool weak = false;

    bool operator==(const EntityTag&) const = default;
};

/// The value of `If-Match` or `If-None-Match`, all of its lines together.
struct EntityTags {
    bool any = false;             ///< The value is `*`.
    std::vector<EntityTag> tags;  ///< What is no entity tag is left out, and so equals none.

    bool operator==(const EntityTags&) const = default;
};

/// nullopt without such a header. `name` is in lower case.
[[nodiscard]] std::optional<EntityTags> read_entity_tags(const Request& request, std::string_view name);

/// `If-None-Match` on GET: true when the caller has this version (weak comparison), and 304 is the answer.
[[nodiscard]] bool has_version(const Request& request, std::string_view etag);

/// 304 with the `ETag` (RFC 9110 section 15.4.5).
[[nodiscard]] Response not_modified(std::string etag);

/// The conditions of a change, for the moment in which it is decided. Pure.
struct Preconditions {
    std::optional<EntityTags> if_match;       ///< Compared strongly.
    std::optional<EntityTags> if_none_match;  ///< Compared weakly.

    [[nodiscard]] bool empty() const { return !if_match && !if_none_match; }
    /// nullopt when they hold; else `precondition_failed`. `etag` is that of what is changed, in quotes;
    /// nullopt when it is not there.
    [[nodiscard]] std::optional<Error> refusal(std::optional<std::string_view> etag) const;
};

[[nodiscard]] Preconditions read_preconditions(const Request& request);

/// The versions that `If-Match` expects, of things whose entity tag is their version, perhaps with "-" and
/// more behind it: "3", "3-17". nullopt for `*` or no header: any version will do. Weak tags never match (RFC
/// 9110 section 13.1.1), nor do tags that are none of ours.
[[nodiscard]] ExpectedVersions read_expected_versions(const Request& request);

inline constexpr std::size_t max_idempotency_key_bytes = 255;

/// Empty without the header. `malformed` for an empty value, for several different ones, and for one that is
/// too long or not printable ASCII.
[[nodiscard]] Result<std::string> read_idempotency_key(const Request& request);

}  // namespace quittance::http
