#include "http/url.hpp"

#include <algorithm>

#include "core/utf8.hpp"

namespace quittance::http {

namespace {

enum class Plus { literal, space };

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

std::optional<std::string> decode(std::string_view text, Plus plus) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == Plus::space) {
            decoded.push_back(' ');
            continue;
        }
        if (text[i] != '%') {
            decoded.push_back(text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low) return std::nullopt;
        decoded.push_back(static_cast<char>(*high * 16 + *low));
        i += 2;
    }
    if (decoded.find('\0') != std::string::npos || !is_utf8(decoded)) return std::nullopt;
    return decoded;
}

bool starts_with_scheme(std::string_view target, std::string_view scheme) {
    return std::ranges::equal(target.substr(0, scheme.size()), scheme,
                              [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

std::optional<Target> split_target(std::string_view target) {
    if (target == "*") return Target{target, {}};
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!starts_with_scheme(target, scheme)) continue;
        const auto path_begin = target.find_first_of("/?#", scheme.size());
        target = path_begin == std::string_view::npos ? "/" : target.substr(path_begin);
        if (target.front() != '/') return std::nullopt;
        break;
    }
    if (!target.starts_with('/')) return std::nullopt;
    target = target.substr(0, target.find('#'));
    const auto question_mark = target.find('?');
    if (question_mark == std::string_view::npos) return Target{target, {}};
    return Target{target.substr(0, question_mark), target.substr(question_mark + 1)};
}

std::optional<std::string> percent_decode(std::string_view text) {
    return decode(text, Plus::literal);
}

std::optional<std::vector<HeaderField>> parse_query(std::string_view query) {
    std::vector<HeaderField> fields;
    while (!query.empty()) {
        const std::string_view part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(part.size() + 1, query.size()));
        if (part.empty()) continue;
        const auto equals = std::min(part.find('='), part.size());
        auto name = decode(part.substr(0, equals), Plus::space);
        auto value = decode(part.substr(std::min(equals + 1, part.size())), Plus::space);
        if (!name || !value) return std::nullopt;
        fields.emplace_back(*std::move(name), *std::move(value));
    }
    return fields;
}

}  // namespace quittance::http
