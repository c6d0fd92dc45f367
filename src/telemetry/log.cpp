#include "telemetry/log.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <type_traits>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/utf8.hpp"
#include "telemetry/trace.hpp"

namespace quittance::log {

namespace {

constexpr std::string_view traceparent_field = "traceparent";

/// What `initialize` chose; until then, plain words from `info` on.
struct Settings {
    Settings(Level level, Format chosen_format) : format(chosen_format) {
        if (const char* project = std::getenv("GOOGLE_CLOUD_PROJECT");
            project != nullptr && *project != '\0') {
            trace_prefix = "projects/" + std::string(project) + "/traces/";
        }
        if (format == Format::json) {
            logger = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
            logger->set_pattern("%v");
        } else {
            logger =
                std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
            logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
        }
        logger->set_level(to_spdlog(level));
        // What is written on the way to a crash is what one wants to read.
        logger->flush_on(spdlog::level::warn);
    }

    static spdlog::level::level_enum to_spdlog(Level level) {
        switch (level) {
            case Level::debug: return spdlog::level::debug;
            case Level::info: return spdlog::level::info;
            case Level::warning: return spdlog::level::warn;
            case Level::error: return spdlog::level::err;
        }
        return spdlog::level::info;
    }

    Format format;
    std::string trace_prefix;
    std::shared_ptr<spdlog::logger> logger;
};

Settings& settings() {
    static Settings current(Level::info, Format::human);
    return current;
}

std::string_view severity(Level level) {
    switch (level) {
        case Level::debug: return "DEBUG";
        case Level::info: return "INFO";
        case Level::warning: return "WARNING";
        case Level::error: return "ERROR";
    }
    return "DEFAULT";
}

void append_escaped_control(std::string& out, char c) {
    static constexpr char digits[] = "0123456789abcdef";
    switch (c) {
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: break;
    }
    out += "\\u00";
    out.push_back(digits[(c >> 4) & 15]);
    out.push_back(digits[c & 15]);
}

/// The inside of a JSON string; each byte that is no UTF-8 becomes U+FFFD.
void append_escaped(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_character_bytes(text);
        if (length == 0) {
            out += "\xEF\xBF\xBD";
            text.remove_prefix(1);
            continue;
        }
        const char c = text.front();
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)) {
            append_escaped_control(out, c);
        } else {
            out.append(text.substr(0, length));
        }
        text.remove_prefix(length);
    }
}

void append_quoted(std::string& out, std::string_view text) {
    out.push_back('"');
    append_escaped(out, text);
    out.push_back('"');
}

template <class Number>
void append_number(std::string& out, Number number) {
    if constexpr (std::is_floating_point_v<Number>) {
        // JSON has no word for these; as text they stay readable.
        if (!std::isfinite(number)) {
            out += std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
            return;
        }
    }
    std::array<char, 32> digits{};
    const auto [end, status] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end);
}

/// `text` is called for texts: they are what the two formats write differently.
template <class Text>
void append_value(std::string& out, const Value& value, Text text) {
    std::visit(
        [&](const auto& held) {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<Held, std::string_view>) {
                text(held);
            } else if constexpr (std::is_same_v<Held, bool>) {
                out += held ? "true" : "false";
            } else {
                append_number(out, held);
            }
        },
        value);
}

std::optional<telemetry::Traceparent> trace_of(const Field& field) {
    if (field.name != traceparent_field) return std::nullopt;
    const auto* text = std::get_if<std::string_view>(&field.value);
    return text == nullptr ? std::nullopt : telemetry::parse_traceparent(*text);
}

std::string json_line(Level level, std::string_view message, Fields fields, const std::string& trace_prefix) {
    std::string line;
    line.reserve(160 + message.size() + fields.size() * 48);
    const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    line.append(R"({"severity":")").append(severity(level));
    line.append(R"(","time":")").append(to_rfc3339(now)).append(R"(","message":)");
    append_quoted(line, message);
    for (const Field& field : fields) {
        if (const auto trace = trace_of(field)) {
            line += R"(,"logging.googleapis.com/trace":")";
            append_escaped(line, trace_prefix);
            line.append(trace->trace_id).append(R"(","logging.googleapis.com/spanId":")");
            line.append(trace->parent_id).append("\"");
            continue;
        }
        line.push_back(',');
        append_quoted(line, field.name);
        line.push_back(':');
        append_value(line, field.value, [&](std::string_view text) { append_quoted(line, text); });
    }
    line.push_back('}');
    return line;
}

std::string human_line(std::string_view message, Fields fields) {
    std::string line;
    append_escaped(line, message);
    for (const Field& field : fields) {
        line.append("  ").append(field.name).append("=");
        append_value(line, field.value, [&](std::string_view text) {
            const bool plain = !text.empty() && text.find_first_of(" \"=\\") == std::string_view::npos;
            plain ? append_escaped(line, text) : append_quoted(line, text);
        });
    }
    return line;
}

void write(Level level, std::string_view message, Fields fields) {
    const Settings& current = settings();
    const auto spdlog_level = Settings::to_spdlog(level);
    if (!current.logger->should_log(spdlog_level)) return;
    const std::string line = current.format == Format::json
                                 ? json_line(level, message, fields, current.trace_prefix)
                                 : human_line(message, fields);
    current.logger->log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void initialize(Level level, Format format) {
    settings() = Settings(level, format);
}

Level parse_level(std::string_view text) {
    if (text == "debug") return Level::debug;
    if (text == "info") return Level::info;
    if (text == "warning") return Level::warning;
    if (text == "error") return Level::error;
    throw ConfigurationError("the log level is \"" + std::string(text) +
                             "\", but must be one of debug, info, warning, error");
}

void debug(std::string_view message, Fields fields) {
    write(Level::debug, message, fields);
}
void info(std::string_view message, Fields fields) {
    write(Level::info, message, fields);
}
void warning(std::string_view message, Fields fields) {
    write(Level::warning, message, fields);
}
void error(std::string_view message, Fields fields) {
    write(Level::error, message, fields);
}

}  // namespace quittance::log
