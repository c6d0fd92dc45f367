#include "http/preconditions.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace quittance::http {

namespace {

constexpr std::string_view separators = " \t,";

/// RFC 9110 section 8.8.3: visible characters but quotes, and whatever is not ASCII.
bool is_tag_character(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0x21 || (byte >= 0x23 && byte != 0x7F);
}

/// Takes one element off the front of a list; nullopt for one that is no entity tag.
std::optional<EntityTag> take_tag(std::string_view& list) {
    std::string_view rest = list;
    EntityTag tag;
    if (rest.starts_with("W/")) {
        tag.weak = true;
        rest.remove_prefix(2);
    }
    if (rest.starts_with('"')) {
        rest.remove_prefix(1);
        const auto end = std::ranges::find_if_not(rest, is_tag_character);
        const auto length = static_cast<std::size_t>(end - rest.begin());
        tag.opaque = rest.substr(0, length);
        rest.remove_prefix(length);
        if (rest.starts_with('"')) {
            rest.remove_prefix(1);
            if (rest.empty() || separators.find(rest.front()) != std::string_view::npos) {
                list = rest;
                return tag;
            }
        }
    }
    list.remove_prefix(std::min(list.find(','), list.size()));
    return std::nullopt;
}

EntityTags parse_entity_tags(std::string_view list) {
    EntityTags tags;
    while (true) {
        list.remove_prefix(std::min(list.find_first_not_of(separators), list.size()));
        if (list.empty()) return tags;
        if (list.front() == '*' && list.find_first_not_of(separators, 1) == std::string_view::npos) {
            tags.any = true;
            return tags;
        }
        if (auto tag = take_tag(list)) tags.tags.push_back(*std::move(tag));
    }
}

/// Of an entity tag of ours, in quotes.
std::string_view opaque_of(std::string_view etag) {
    return etag.substr(1, etag.size() - 2);
}

bool contains(const EntityTags& tags, std::string_view etag, bool compares_weakly) {
    if (tags.any) return true;
    return std::ranges::any_of(tags.tags, [&](const EntityTag& tag) {
        return tag.opaque == opaque_of(etag) && (compares_weakly || !tag.weak);
    });
}

std::optional<int> version_of(const EntityTag& tag) {
    if (tag.weak) return std::nullopt;
    const std::string_view text = std::string_view(tag.opaque).substr(0, tag.opaque.find('-'));
    int version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return version;
}

Error malformed(std::string detail) {
    return Error{ErrorCode::malformed, std::move(detail), {}, 0};
}

}  // namespace

std::optional<EntityTags> read_entity_tags(const Request& request, std::string_view name) {
    if (!request.has_header(name)) return std::nullopt;
    return parse_entity_tags(request.header_list(name));
}

bool has_version(const Request& request, std::string_view etag) {
    const auto known = read_entity_tags(request, "if-none-match");
    return known && contains(*known, etag, true);
}

Response not_modified(std::string etag) {
    Response response{.status = 304, .headers = {}, .body = {}, .content_type = {}};
    response.headers.emplace_back("ETag", std::move(etag));
    return response;
}

std::optional<Error> Preconditions::refusal(std::optional<std::string_view> etag) const {
    const auto failed = [](std::string detail) {
        return Error{ErrorCode::precondition_failed, std::move(detail), {}, 0};
    };
    if (if_match && (!etag || !contains(*if_match, *etag, false))) {
        return failed(etag ? "The version is " + std::string(*etag) + " by now, which If-Match does not name."
                           : "If-Match names a version of what does not exist.");
    }
    if (if_none_match && etag && contains(*if_none_match, *etag, true)) {
        return failed("It exists in version " + std::string(*etag) + ", which If-None-Match excludes.");
    }
    return std::nullopt;
}

Preconditions read_preconditions(const Request& request) {
    return {read_entity_tags(request, "if-match"), read_entity_tags(request, "if-none-match")};
}

ExpectedVersions read_expected_versions(const Request& request) {
    const auto tags = read_entity_tags(request, "if-match");
    if (!tags || tags->any) return std::nullopt;
    std::vector<int> versions;
    for (const EntityTag& tag : tags->tags) {
        if (const auto version = version_of(tag)) versions.push_back(*version);
    }
    return versions;
}

Result<std::string> read_idempotency_key(const Request& request) {
    const std::string* key = nullptr;
    for (const auto& [name, value] : request.headers) {
        if (name != "idempotency-key") continue;
        if (key != nullptr && *key != value) {
            return malformed("The header Idempotency-Key stands there twice, with different values.");
        }
        key = &value;
    }
    if (key == nullptr) return std::string();
    if (key->empty()) return malformed("The header Idempotency-Key must not be empty.");
    if (key->size() > max_idempotency_key_bytes) {
        return malformed("The header Idempotency-Key must have at most 255 characters.");
    }
    for (const char c : *key) {
        if (c < ' ' || c > '~') return malformed("The header Idempotency-Key must be printable ASCII.");
    }
    return *key;
}

}  // namespace quittance::http
