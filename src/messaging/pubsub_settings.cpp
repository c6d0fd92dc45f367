#include "messaging/pubsub_settings.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/setting_error.hpp"

namespace quittance::messaging {

namespace {

constexpr std::size_t max_project_bytes = 100;

bool has_only(std::string_view text, std::string_view punctuation) {
    return std::ranges::all_of(text, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               punctuation.find(c) != std::string_view::npos;
    });
}

bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size() && port != 0;
}

/// HOST:PORT or [IPv6]:PORT.
bool is_place(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) return false;
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) return has_only(host.substr(1, host.size() - 2), ":.%");
    return !host.empty() && has_only(host, ".-_");
}

}  // namespace

void check(const PubsubSettings& settings) {
    if (settings.project.empty()) {
        throw ConfigurationError(
            "GOOGLE_CLOUD_PROJECT is missing: Pub/Sub needs a project (any name will do for the emulator)");
    }
    if (settings.project.size() > max_project_bytes || !has_only(settings.project, "-_.:")) {
        throw wrong_setting("GOOGLE_CLOUD_PROJECT (--google-cloud-project)", settings.project,
                            "the id of a project: letters, digits and hyphens, without white space",
                            "GOOGLE_CLOUD_PROJECT=my-shop-123");
    }
    if (!settings.emulator_host.empty() && !is_place(settings.emulator_host)) {
        throw wrong_setting("PUBSUB_EMULATOR_HOST", settings.emulator_host,
                            "HOST:PORT, without http:// and white space",
                            "PUBSUB_EMULATOR_HOST=127.0.0.1:8085");
    }
}

}  // namespace quittance::messaging
