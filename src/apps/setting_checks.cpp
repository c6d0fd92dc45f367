#include "apps/setting_checks.hpp"

#include <algorithm>
#include <string_view>

#include <CLI/CLI.hpp>

#include "core/setting_error.hpp"

namespace quittance::apps {

namespace {

/// As people look for it: VARIABLE (--option), or the option alone.
std::string name_of(const CLI::Option& option) {
    const std::string& variable = option.get_envname();
    return variable.empty() ? option.get_name() : variable + " (" + option.get_name() + ")";
}

std::string example_of(const CLI::Option& option) {
    const std::string& value = option.get_default_str();
    if (value.empty()) return {};
    const std::string& variable = option.get_envname();
    return variable.empty() ? option.get_name() + " " + value : variable + "=" + value;
}

bool is_secret(const CLI::Option& option) {
    return option.get_envname().ends_with("DATABASE_URL");
}

void refuse_stray_white_space_of(const CLI::Option& option, const std::string& value) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    if (value.starts_with(' ') || value.ends_with(' ') || std::ranges::any_of(value, is_control)) {
        throw wrong_setting(name_of(option), value, "without white space at its ends and control characters",
                            example_of(option));
    }
}

/// CLI11 has `TEXT:{a,b}`, `INT:INT in [1 - 64]` and `UINT` for it.
std::string wanted_by(const CLI::Option& option) {
    std::string type = option.get_type_name();
    if (const auto list = type.find('{'); list != std::string::npos) {
        const std::string members = type.substr(list + 1, type.rfind('}') - list - 1);
        std::string words = "one of ";
        for (const char c : members)
            c == ',' ? words.append(", ") : words.append(1, c);
        return words;
    }
    const bool is_whole = type.starts_with("INT") || type.starts_with("UINT");
    std::string words = is_whole ? "a whole number" : "a number";
    const auto from = type.find('[');
    const auto to = type.find(" - ");
    if (from != std::string::npos && to != std::string::npos) {
        words += " from " + type.substr(from + 1, to - from - 1);
        words += " to " + type.substr(to + 3, type.rfind(']') - to - 3);
    }
    return words;
}

/// The one of that name which was given a value.
const CLI::Option* find_option(const CLI::App& app, std::string_view name) {
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_name() == name && option->count() > 0) return option;
    }
    for (const CLI::App* command : app.get_subcommands(nullptr)) {
        if (const CLI::Option* option = find_option(*command, name)) return option;
    }
    return nullptr;
}

/// The name that a message of CLI11 begins with: "Could not convert: --port = abc", "--port: Value ...".
std::string_view name_in(std::string_view message) {
    static constexpr std::string_view conversion = "Could not convert: ";
    if (message.starts_with(conversion)) message.remove_prefix(conversion.size());
    return message.substr(0, message.find_first_of(": "));
}

}  // namespace

void refuse_stray_white_space(CLI::App& app) {
    for (CLI::Option* option : app.get_options()) {
        if (option->get_envname().empty() || is_secret(*option)) continue;
        option->check(CLI::Validator(
            [option](const std::string& value) {
                refuse_stray_white_space_of(*option, value);
                return std::string();
            },
            ""));
    }
    for (CLI::App* command : app.get_subcommands(nullptr))
        refuse_stray_white_space(*command);
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_name() != "ConversionError" && error.get_name() != "ValidationError") return {};
    const CLI::Option* option = find_option(app, name_in(error.what()));
    if (option == nullptr || is_secret(*option)) return {};
    return wrong_setting(name_of(*option), CLI::detail::join(option->results()), wanted_by(*option),
                         example_of(*option))
        .what();
}

}  // namespace quittance::apps
