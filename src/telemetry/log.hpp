// Structured logs: one JSON object a line that Cloud Logging understands, or plain words on a terminal.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace quittance::log {

enum class Level { debug, info, warning, error };
enum class Format { json, human };

/// Call once, before the first thread starts. JSON lines carry severity, time, message and the fields; see
/// https://cloud.google.com/logging/docs/structured-logging. Both go to standard error.
void initialize(Level level, Format format);
/// Throws ConfigurationError for anything but debug, info, warning, error.
[[nodiscard]] Level parse_level(std::string_view text);

using Value = std::variant<std::string_view, std::int64_t, double, bool>;
struct Field {
    Field(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}
    Field(std::string_view field_name, const std::string& text) : name(field_name), value(text) {}
    Field(std::string_view field_name, const char* text) : name(field_name), value(std::string_view(text)) {}
    Field(std::string_view field_name, bool flag) : name(field_name), value(flag) {}
    Field(std::string_view field_name, double number) : name(field_name), value(number) {}
    template <class Integer>
    requires std::is_integral_v<Integer> Field(std::string_view field_name, Integer number)
        : name(field_name), value(static_cast<std::int64_t>(number)) {}
    std::string_view name;
    Value value;
};
using Fields = std::initializer_list<Field>;

/// Thread safe. A field named "traceparent" becomes Cloud Logging's trace and spanId.
void debug(std::string_view message, Fields fields = {});
void info(std::string_view message, Fields fields = {});
void warning(std::string_view message, Fields fields = {});
void error(std::string_view message, Fields fields = {});

}  // namespace quittance::log
