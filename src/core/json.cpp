#include "core/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include "core/utf8.hpp"

namespace quittance {

namespace {

constexpr std::size_t max_depth = 32;
/// A longer integer, zeros at its beginning included, is out of every range here.
constexpr std::int64_t max_number_digits = 1000;

/// The integer that a number with a fraction or an exponent stands for, worked out from its digits: a
/// `double` has too few of them for amounts of money. nullopt when it is none or does not fit.
std::optional<std::int64_t> integer_of(std::string_view text) {
    const bool is_negative = text.starts_with('-');
    if (is_negative) text.remove_prefix(1);
    const std::size_t exponent_begin = std::min(text.find_first_of("eE"), text.size());
    int exponent = 0;
    if (exponent_begin < text.size()) {
        std::string_view digits = text.substr(exponent_begin + 1);
        if (digits.starts_with('+')) digits.remove_prefix(1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
        if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    }
    std::string digits;
    const std::string_view mantissa = text.substr(0, exponent_begin);
    const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
    digits.append(mantissa.substr(0, point));
    if (point < mantissa.size()) digits.append(mantissa.substr(point + 1));
    // How many digits stand in front of the point when the exponent is applied.
    const auto whole = static_cast<std::int64_t>(point) + exponent;
    const std::size_t significant = digits.find_last_not_of('0') + 1;
    if (significant == 0) return 0;
    if (whole < static_cast<std::int64_t>(significant) || whole > max_number_digits) return std::nullopt;
    digits.resize(static_cast<std::size_t>(whole), '0');
    if (is_negative) digits.insert(0, 1, '-');
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

/// Builds the value and counts the keys; an object that lost keys to duplicates counts fewer members.
class CountingHandler {
public:
    static constexpr std::size_t max_object_size = std::size_t(-1);
    static constexpr std::size_t max_array_size = std::size_t(-1);
    static constexpr std::size_t max_key_size = std::size_t(-1);
    static constexpr std::size_t max_string_size = std::size_t(-1);
    using error = boost::system::error_code;

    CountingHandler() { stack_.reset(); }
    json::value release() { return stack_.release(); }
    [[nodiscard]] std::size_t keys() const { return keys_; }

    bool on_document_begin(error&) { return true; }
    bool on_document_end(error&) { return true; }
    bool on_object_begin(error&) { return true; }
    bool on_object_end(std::size_t size, error&) {
        keys_ += size;
        stack_.push_object(size);
        return true;
    }
    bool on_array_begin(error&) { return true; }
    bool on_array_end(std::size_t size, error&) {
        stack_.push_array(size);
        return true;
    }
    bool on_key_part(json::string_view part, std::size_t, error&) {
        stack_.push_chars(part);
        return true;
    }
    bool on_key(json::string_view key, std::size_t, error&) {
        stack_.push_key(key);
        return true;
    }
    bool on_string_part(json::string_view part, std::size_t, error&) {
        stack_.push_chars(part);
        return true;
    }
    bool on_string(json::string_view text, std::size_t, error&) {
        stack_.push_string(text);
        return true;
    }
    bool on_number_part(json::string_view, error&) { return true; }
    bool on_int64(std::int64_t number, json::string_view, error&) {
        stack_.push_int64(number);
        return true;
    }
    bool on_uint64(std::uint64_t number, json::string_view, error&) {
        stack_.push_uint64(number);
        return true;
    }
    bool on_double(double number, json::string_view text, error&) {
        if (const auto integer = integer_of(text)) {
            stack_.push_int64(*integer);
        } else {
            stack_.push_double(number);
        }
        return true;
    }
    bool on_bool(bool value, error&) {
        stack_.push_bool(value);
        return true;
    }
    bool on_null(error&) {
        stack_.push_null();
        return true;
    }
    bool on_comment_part(json::string_view, error&) { return true; }
    bool on_comment(json::string_view, error&) { return true; }

private:
    json::value_stack stack_;
    std::size_t keys_ = 0;
};

std::size_t count_members(const json::value& value) {
    std::size_t count = 0;
    if (const auto* object = value.if_object()) {
        count += object->size();
        for (const auto& member : *object)
            count += count_members(member.value());
    } else if (const auto* array = value.if_array()) {
        for (const auto& element : *array)
            count += count_members(element);
    }
    return count;
}

/// RFC 6901 section 3.
std::string escape_pointer(std::string_view name) {
    std::string escaped;
    for (const char c : name) {
        if (c == '~') {
            escaped += "~0";
        } else if (c == '/') {
            escaped += "~1";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

/// Counts only where the bytes alone do not tell.
bool has_at_most(std::string_view text, std::size_t characters) {
    return text.size() <= characters || count_characters(text) <= characters;
}

bool has_at_least(std::string_view text, std::size_t characters) {
    return text.size() >= characters && (characters <= 1 || count_characters(text) >= characters);
}

Error malformed(std::string detail) {
    return Error{ErrorCode::malformed, std::move(detail), {}, 0};
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = max_depth;
    json::basic_parser<CountingHandler> parser(options);
    boost::system::error_code error;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
    if (error) {
        return malformed("The body is not valid JSON at byte " + std::to_string(read) + ": " +
                         error.message() + ".");
    }
    if (!parser.done()) return malformed("The body is not valid JSON: it ends too early.");
    if (read != text.size()) {
        return malformed("The body is not valid JSON: something follows the value at byte " +
                         std::to_string(read) + ".");
    }
    json::value value = parser.handler().release();
    if (count_members(value) != parser.handler().keys()) {
        return malformed("The body is not acceptable JSON: an object has the same key twice.");
    }
    return value;
}

std::optional<std::string_view> text_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) return std::nullopt;
    return std::string_view(*text);
}

const json::object* object_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value == nullptr ? nullptr : value->if_object();
}

ObjectReader::ObjectReader(const json::value& value, std::string pointer, std::vector<Fault>& faults)
    : object_(value.if_object()), pointer_(std::move(pointer)), faults_(faults) {
    if (object_ == nullptr && has_room_for_faults()) faults_.push_back({pointer_, "must be an object"});
}

std::string ObjectReader::pointer_to(std::string_view name) const {
    return pointer_ + "/" + escape_pointer(name);
}

void ObjectReader::fault(std::string_view name, std::string detail) {
    if (has_room_for_faults()) faults_.push_back({pointer_to(name), std::move(detail)});
}

const json::value* ObjectReader::find(std::string_view name) {
    if (object_ == nullptr) return nullptr;
    known_.push_back(name);
    return object_->if_contains(name);
}

const json::value* ObjectReader::require(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr && object_ != nullptr) fault(name, "is required");
    return value;
}

std::optional<std::string> ObjectReader::checked_text(std::string_view name, const json::value& value,
                                                      TextLimits limits) {
    const auto* text = value.if_string();
    if (text == nullptr) {
        fault(name, "must be a string");
    } else if (text->find('\0') != json::string::npos) {
        fault(name, "must not contain NUL");
    } else if (const std::string_view view(*text); !has_at_least(view, limits.min_characters)) {
        fault(name, limits.min_characters == 1
                        ? "must not be empty"
                        : "must have at least " + std::to_string(limits.min_characters) + " characters");
    } else if (!has_at_most(view, limits.max_characters)) {
        fault(name, "must have at most " + std::to_string(limits.max_characters) + " characters");
    } else {
        return std::string(*text);
    }
    return std::nullopt;
}

std::optional<std::int64_t> ObjectReader::checked_integer(std::string_view name, const json::value& value,
                                                          std::int64_t min, std::int64_t max) {
    const double* real = value.if_double();
    // Whole numbers are left as floating-point numbers only where they do not fit into an integer.
    const bool is_fraction = real != nullptr && std::abs(*real) < 0x1p63;
    if (is_fraction || !value.is_number()) {
        fault(name, "must be a whole number");
        return std::nullopt;
    }
    const std::int64_t* number = value.if_int64();
    if (number == nullptr || *number < min || *number > max) {
        fault(name, "must be between " + std::to_string(min) + " and " + std::to_string(max));
        return std::nullopt;
    }
    return *number;
}

std::string ObjectReader::text(std::string_view name, TextLimits limits) {
    const json::value* value = require(name);
    if (value == nullptr) return {};
    return checked_text(name, *value, limits).value_or(std::string());
}

std::optional<std::string> ObjectReader::optional_text(std::string_view name, TextLimits limits) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    return checked_text(name, *value, limits);
}

std::int64_t ObjectReader::integer(std::string_view name, std::int64_t min, std::int64_t max) {
    const json::value* value = require(name);
    if (value == nullptr) return min;
    return checked_integer(name, *value, min, max).value_or(min);
}

std::optional<std::int64_t> ObjectReader::optional_integer(std::string_view name, std::int64_t min,
                                                           std::int64_t max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    return checked_integer(name, *value, min, max);
}

std::optional<bool> ObjectReader::optional_boolean(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (const bool* boolean = value->if_bool()) return *boolean;
    fault(name, "must be true or false");
    return std::nullopt;
}

const json::array* ObjectReader::array(std::string_view name, std::size_t min, std::size_t max) {
    const json::value* value = require(name);
    if (value == nullptr) return nullptr;
    const json::array* array = value->if_array();
    if (array == nullptr) {
        fault(name, "must be an array");
        return nullptr;
    }
    if (array->size() < min || array->size() > max) {
        fault(name, "must have between " + std::to_string(min) + " and " + std::to_string(max) + " elements");
        return nullptr;
    }
    return array;
}

const json::value* ObjectReader::optional_value(std::string_view name) {
    return find(name);
}

void ObjectReader::finish(UnknownMembers unknown) {
    if (object_ == nullptr || unknown == UnknownMembers::ignore) return;
    for (const auto& member : *object_) {
        if (!has_room_for_faults()) return;
        if (std::ranges::find(known_, std::string_view(member.key())) == known_.end()) {
            fault(member.key(), "is not a known member");
        }
    }
}

Error invalid_error(std::vector<Fault> faults) {
    std::string detail = faults.size() == 1 ? "One member of the body is not acceptable."
                                            : "Several members of the body are not acceptable.";
    return Error{ErrorCode::invalid, std::move(detail), std::move(faults), 0};
}

void append_json_string(std::string& json, std::string_view text) {
    static constexpr char digits[] = "0123456789abcdef";
    json += '"';
    std::size_t copied = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
        json.append(text, copied, i - copied);
        copied = i + 1;
        json += '\\';
        switch (c) {
            case '"':
            case '\\': json += c; break;
            case '\n': json += 'n'; break;
            case '\r': json += 'r'; break;
            case '\t': json += 't'; break;
            default:
                json += "u00";
                json += digits[c >> 4];
                json += digits[c & 15];
        }
    }
    json.append(text, copied, text.size() - copied);
    json += '"';
}

std::string& ObjectWriter::value(std::string_view name) {
    json_ += has_members_ ? ",\"" : "\"";
    has_members_ = true;
    json_ += name;
    json_ += "\":";
    return json_;
}

void ObjectWriter::add_plain(std::string_view name, std::string_view text) {
    std::string& json = value(name);
    json += '"';
    json += text;
    json += '"';
}

void ObjectWriter::add_integer(std::string_view name, std::int64_t number) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    value(name).append(digits.data(), end);
}

}  // namespace quittance
