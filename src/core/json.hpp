// Strict reading of JSON that strangers send.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "core/error.hpp"

namespace quittance {

namespace json = boost::json;

/// Parses one JSON text (RFC 8259). Anything but exactly one value, bad UTF-8, a lone surrogate, duplicate
/// keys (RFC 8259 section 4 leaves them open, we refuse them) or nesting deeper than 32 is `malformed`. A
/// number without a fraction is an integer in each of its spellings (2, 2.0, 20e-1), as for JSON Schema.
[[nodiscard]] Result<json::value> parse_json(std::string_view text);

/// For JSON of others that is believed only in parts: nullopt when the member is not there or is no text.
[[nodiscard]] std::optional<std::string_view> text_member(const json::object& object, std::string_view name);
/// nullptr when the member is not there or is no object.
[[nodiscard]] const json::object* object_member(const json::object& object, std::string_view name);

/// Bounds of a text, counted in code points, as JSON Schema counts.
struct TextLimits {
    std::size_t min_characters = 1;
    std::size_t max_characters = 255;
};

/// What to do with members that the reader was not asked for.
enum class UnknownMembers { fault, ignore };

/// More faults in one text are not told: nobody mends a thousand at once, and an answer that repeats each
/// member of a body would be many times as large as the body.
inline constexpr std::size_t max_faults = 100;

/// Reads the members of one JSON object and collects its faults, up to `max_faults`, instead of stopping at
/// the first. A reader that met a fault returns a placeholder, so callers check `faults` once, at the end.
/// Usage: construct, read each member, `finish()`.
class ObjectReader {
public:
    /// `pointer` is where `value` stands in the whole text ("" for the top). A value that is no object is a
    /// fault, and every later read returns a placeholder in silence.
    ObjectReader(const json::value& value, std::string pointer, std::vector<Fault>& faults);

    /// A required text without NUL.
    [[nodiscard]] std::string text(std::string_view name, TextLimits limits);
    [[nodiscard]] std::optional<std::string> optional_text(std::string_view name, TextLimits limits);
    /// A required whole number in [min, max], however it is written: see `parse_json`.
    [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t min, std::int64_t max);
    [[nodiscard]] std::optional<std::int64_t> optional_integer(std::string_view name, std::int64_t min,
                                                               std::int64_t max);
    [[nodiscard]] std::optional<bool> optional_boolean(std::string_view name);
    /// A required array with a length in [min, max]; nullptr after a fault.
    [[nodiscard]] const json::array* array(std::string_view name, std::size_t min, std::size_t max);
    /// The member as it is; nullptr when absent.
    [[nodiscard]] const json::value* optional_value(std::string_view name);

    void fault(std::string_view name, std::string detail);
    [[nodiscard]] std::string pointer_to(std::string_view name) const;
    /// Call after the last read.
    void finish(UnknownMembers unknown = UnknownMembers::fault);

private:
    const json::value* find(std::string_view name);
    const json::value* require(std::string_view name);
    [[nodiscard]] bool has_room_for_faults() const { return faults_.size() < max_faults; }
    std::optional<std::string> checked_text(std::string_view name, const json::value& value,
                                            TextLimits limits);
    std::optional<std::int64_t> checked_integer(std::string_view name, const json::value& value,
                                                std::int64_t min, std::int64_t max);

    const json::object* object_ = nullptr;
    std::string pointer_;
    std::vector<Fault>& faults_;
    std::vector<std::string_view> known_;
};

/// The `invalid` error that carries the faults.
[[nodiscard]] Error invalid_error(std::vector<Fault> faults);

/// Appends `text` as a JSON string, quotes included. `text` must be UTF-8, which is passed on as it is.
/// Thread safe.
void append_json_string(std::string& json, std::string_view text);

/// Writes one JSON object behind a text, without building it in memory first: for rows, events and answers,
/// of which thousands a second are written and whose shape is fixed. Names are ours: distinct, and nothing in
/// them needs escaping. The text outlives the writer.
class ObjectWriter {
public:
    explicit ObjectWriter(std::string& json) : json_(json) { json_ += '{'; }

    void add(std::string_view name, std::string_view text) { append_json_string(value(name), text); }
    template <std::integral Number>
    void add(std::string_view name, Number number) {
        static_assert(!std::is_same_v<Number, bool>, "say 0 and 1, or add_boolean");
        add_integer(name, static_cast<std::int64_t>(number));
    }
    void add_boolean(std::string_view name, bool is) { value(name) += is ? "true" : "false"; }
    /// For texts in which nothing needs escaping: ids, codes, times.
    void add_plain(std::string_view name, std::string_view text);
    /// Where the member's value is to be appended, as JSON.
    std::string& value(std::string_view name);
    /// Call once, after the last member.
    void finish() { json_ += '}'; }

private:
    void add_integer(std::string_view name, std::int64_t number);

    std::string& json_;
    bool has_members_ = false;
};

/// Appends an array with what `append(json, element)` appends for each element.
template <class Range, class Append>
void append_json_array(std::string& json, const Range& range, Append append) {
    char separator = '[';
    for (const auto& element : range) {
        json += separator;
        append(json, element);
        separator = ',';
    }
    if (separator == '[') json += separator;
    json += ']';
}

}  // namespace quittance
