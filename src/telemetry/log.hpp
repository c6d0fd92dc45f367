// Structured logs: one JSON object a line that Cloud Logging understands, or plain words on a terminal.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace quittance::log {

enum class Level { debug, info, warning, error };
enum class Format { json, human };
/// direct: a line is written when the call returns, however long the reader takes.
/// queued: a thread writes it, so that no call ever waits for the reader. At most 1 MiB waits; lines beyond
/// that are dropped and counted, and a line says so where they are missing. What is queued when the process
/// ends or crashes is written within 200 ms, or is lost.
enum class Delivery { direct, queued };

/// Call once, before the first thread starts. JSON lines carry severity, time, message and the fields; see
/// https://cloud.google.com/logging/docs/structured-logging. Both go to standard error.
void initialize(Level level, Format format, Delivery delivery = Delivery::direct);
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

/// A text for people, as it is, whatever level and format are; behind the lines logged before it. Thread
/// safe.
void say(std::string_view text);

/// For a program that ends without returning from main: writes what is queued within 200 ms.
void flush();
/// Lines that were dropped because standard error was not read. Thread safe.
[[nodiscard]] std::uint64_t dropped_lines();

}  // namespace quittance::log
