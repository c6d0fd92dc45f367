#include "telemetry/trace.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>

namespace quittance::telemetry {

namespace {

constexpr std::size_t trace_id_digits = 32;
constexpr std::size_t parent_id_digits = 16;
constexpr std::size_t version_00_length = 2 + 1 + trace_id_digits + 1 + parent_id_digits + 1 + 2;

bool is_lower_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_valid_id(std::string_view id, std::size_t digits) {
    return id.size() == digits && is_lower_hex(id) && id.find_first_not_of('0') != std::string_view::npos;
}

void append_hex(std::string& out, std::span<const std::byte> bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    for (const std::byte byte : bytes) {
        out.push_back(digits[std::to_integer<unsigned>(byte) >> 4]);
        out.push_back(digits[std::to_integer<unsigned>(byte) & 15]);
    }
}

void append_random_id(std::string& out, std::size_t digits, Random& random) {
    std::array<std::byte, trace_id_digits / 2> bytes{};
    const auto used = std::span(bytes).first(digits / 2);
    random.fill(used);
    // All zero means "no id"; a chance of 2^-64, but a test's randomness may well be all zero.
    if (std::ranges::all_of(used, [](std::byte byte) { return byte == std::byte{0}; }))
        used.back() = std::byte{1};
    append_hex(out, used);
}

std::string format(std::string_view trace_id, std::string_view parent_id, bool sampled) {
    std::string text;
    text.reserve(version_00_length);
    text.append("00-").append(trace_id).append("-").append(parent_id).append(sampled ? "-01" : "-00");
    return text;
}

std::optional<std::string> from_cloud_trace_context(std::string_view text, Random& random) {
    std::string trace_id(text.substr(0, text.find_first_of("/;")));
    for (char& c : trace_id) {
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    if (!is_valid_id(trace_id, trace_id_digits)) return std::nullopt;
    text.remove_prefix(trace_id_digits);
    std::uint64_t span = 0;
    if (text.starts_with('/')) std::from_chars(text.data() + 1, text.data() + text.size(), span);
    std::string parent_id;
    if (span == 0) {
        append_random_id(parent_id, parent_id_digits, random);
    } else {
        std::array<std::byte, parent_id_digits / 2> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(span >> (56 - 8 * i));
        append_hex(parent_id, bytes);
    }
    return format(trace_id, parent_id, text.ends_with(";o=1"));
}

}  // namespace

std::optional<Traceparent> parse_traceparent(std::string_view text) {
    if (text.size() < version_00_length || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return std::nullopt;
    const std::string_view version = text.substr(0, 2);
    const std::string_view flags = text.substr(53, 2);
    if (!is_lower_hex(version) || version == "ff" || !is_lower_hex(flags)) return std::nullopt;
    // A later version may append fields behind a dash, but version 00 may not.
    if (text.size() > version_00_length && (version == "00" || text[version_00_length] != '-')) {
        return std::nullopt;
    }
    const Traceparent parsed{
        .trace_id = text.substr(3, trace_id_digits),
        .parent_id = text.substr(36, parent_id_digits),
        .sampled = std::string_view("13579bdf").find(flags[1]) != std::string_view::npos};
    if (!is_valid_id(parsed.trace_id, trace_id_digits)) return std::nullopt;
    if (!is_valid_id(parsed.parent_id, parent_id_digits)) return std::nullopt;
    return parsed;
}

std::string new_traceparent(Random& random) {
    std::string trace_id;
    std::string parent_id;
    append_random_id(trace_id, trace_id_digits, random);
    append_random_id(parent_id, parent_id_digits, random);
    return format(trace_id, parent_id, false);
}

std::string continue_trace(std::string_view traceparent, std::string_view cloud_trace_context,
                           Random& random) {
    if (const auto parsed = parse_traceparent(traceparent)) {
        return format(parsed->trace_id, parsed->parent_id, parsed->sampled);
    }
    if (auto converted = from_cloud_trace_context(cloud_trace_context, random)) return *std::move(converted);
    return new_traceparent(random);
}

}  // namespace quittance::telemetry
