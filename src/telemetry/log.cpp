#include "telemetry/log.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <type_traits>

#include <spdlog/pattern_formatter.h>
#include <unistd.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/utf8.hpp"
#include "telemetry/line_queue.hpp"
#include "telemetry/trace.hpp"

namespace quittance::log {

namespace {

constexpr std::string_view traceparent_field = "traceparent";

/// Some thousand lines: minutes of a service that has trouble, and little beside its memory.
constexpr std::size_t max_queued_bytes = std::size_t{1} << 20;
/// A reader that reads takes less; one that does not shall not hold up the end of the program.
constexpr std::chrono::milliseconds last_flush_limit{200};

// Nothing that a line needs is ever destroyed: threads may log until the process is gone.

LineQueue* queue = nullptr;

/// In one piece, behind what was written before.
void write_text(std::string_view text) {
    if (queue != nullptr) return queue->push(text);
    static auto& mutex = *new std::mutex;
    const std::lock_guard lock(mutex);
    write_all(STDERR_FILENO, text);
}

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warning: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

/// What `initialize` chose; until then, plain words from `info` on.
struct Settings {
    Settings(Level chosen_level, Format chosen_format) : level(chosen_level), format(chosen_format) {
        if (const char* project = std::getenv("GOOGLE_CLOUD_PROJECT");
            project != nullptr && *project != '\0') {
            trace_prefix = "projects/" + std::string(project) + "/traces/";
        }
    }

    Level level;
    Format format;
    std::string trace_prefix;
    bool colours = ::isatty(STDERR_FILENO) == 1;
};

Settings& settings() {
    static auto& current = *new Settings(Level::info, Format::human);
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
    line.append("}\n");
    return line;
}

std::string human_text(std::string_view message, Fields fields) {
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

std::string_view colour_of(Level level) {
    switch (level) {
        case Level::debug: return "\033[36m";
        case Level::info: return "\033[32m";
        case Level::warning: return "\033[33m\033[1m";
        case Level::error: return "\033[31m\033[1m";
    }
    return "";
}

/// With the time, the level and, on a terminal, a colour.
std::string human_line(Level level, std::string_view message, Fields fields, bool colours) {
    static auto& mutex = *new std::mutex;
    static auto& formatter = *new spdlog::pattern_formatter("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v",
                                                            spdlog::pattern_time_type::local, "\n");
    const std::string text = human_text(message, fields);
    const spdlog::details::log_msg entry({}, to_spdlog(level), {text.data(), text.size()});
    spdlog::memory_buf_t formatted;
    {
        const std::lock_guard lock(mutex);
        formatter.format(entry, formatted);
    }
    std::string line(formatted.data(), formatted.size());
    if (colours && entry.color_range_end > entry.color_range_start) {
        line.insert(entry.color_range_end, "\033[m");
        line.insert(entry.color_range_start, colour_of(level));
    }
    return line;
}

std::string line_of(Level level, std::string_view message, Fields fields) {
    const Settings& current = settings();
    return current.format == Format::json ? json_line(level, message, fields, current.trace_prefix)
                                          : human_line(level, message, fields, current.colours);
}

void write(Level level, std::string_view message, Fields fields) {
    if (level < settings().level) return;
    write_text(line_of(level, message, fields));
}

std::string dropped_line(std::uint64_t count) {
    return line_of(Level::warning,
                   std::to_string(count) + " log lines were dropped because standard error was not read",
                   {{"dropped", count}});
}

/// The default action, which ends the process, follows: the handler is gone by then.
void flush_before_crash(int /*signal*/) {
    const int error = errno;
    queue->flush_in_signal_handler(last_flush_limit);
    errno = error;
}

void flush_whatever_ends_the_process() {
    std::atexit([] { flush(); });
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
        struct sigaction present {};
        // A sanitizer's handler knows more to say.
        if (sigaction(signal, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) continue;
        struct sigaction ours {};
        ours.sa_handler = flush_before_crash;
        ours.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
        sigaction(signal, &ours, nullptr);
    }
}

}  // namespace

void initialize(Level level, Format format, Delivery delivery) {
    settings() = Settings(level, format);
    if (delivery == Delivery::direct || queue != nullptr) return;
    queue = new LineQueue(STDERR_FILENO, max_queued_bytes, dropped_line);
    flush_whatever_ends_the_process();
}

void say(std::string_view text) {
    write_text(std::string(text) + "\n");
}

void flush() {
    if (queue != nullptr) queue->flush(last_flush_limit);
}

std::uint64_t dropped_lines() {
    return queue == nullptr ? 0 : queue->dropped();
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
