#include "core/setting_error.hpp"

namespace quittance {

namespace {

constexpr std::size_t max_shown_bytes = 100;

}  // namespace

std::string quoted_value(std::string_view text) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string shown = "\"";
    for (const char c : text.substr(0, max_shown_bytes)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            shown += "\\n";
        } else if (c == '\r') {
            shown += "\\r";
        } else if (c == '\t') {
            shown += "\\t";
        } else if (byte < 0x20 || byte == 0x7F) {
            shown += "\\x";
            shown += digits[byte >> 4U];
            shown += digits[byte & 0xFU];
        } else {
            if (c == '"' || c == '\\') shown += '\\';
            shown += c;
        }
    }
    return shown + (text.size() > max_shown_bytes ? "\"..." : "\"");
}

ConfigurationError wrong_setting(std::string_view name, std::string_view value, std::string_view must_be,
                                 std::string_view example) {
    std::string text =
        std::string(name) + " is " + quoted_value(value) + "; it must be " + std::string(must_be);
    if (!example.empty()) text.append(", such as ").append(example);
    return ConfigurationError(text);
}

}  // namespace quittance
