// Strict reading of JSON that strangers send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "core/error.hpp"

namespace quittance {

namespace json = boost::json;

/// Parses one JSON text (RFC 8259). Anything but exactly one value, bad UTF-8, a lone surrogate, duplicate
/// keys (RFC 8259 section 4 leaves them open, we refuse them) or nesting deeper than 32 is `malformed`.
[[nodiscard]] Result<json::value> parse_json(std::string_view text);

/// For JSON of others that is believed only in parts: nullopt when the member is not there or is no text.
[[nodiscard]] std::optional<std::string_view> text_member(const json::object& object, std::string_view name);
/// nullptr when the member is not there or is no object.
[[nodiscard]] const json::object* object_member(const json::object& object, std::string_view name);

/// Bounds of a text, counted in bytes of UTF-8.
struct TextLimits {
    std::size_t min_bytes = 1;
    std::size_t max_bytes = 255;
};

/// What to do with members that the reader was not asked for.
enum class UnknownMembers { fault, ignore };

/// Reads the members of one JSON object and collects every fault instead of stopping at the first.
/// A reader that met a fault returns a placeholder, so callers check `faults` once, at the end.
/// Usage: construct, read each member, `finish()`.
class ObjectReader {
public:
    /// `pointer` is where `value` stands in the whole text ("" for the top). A value that is no object is a
    /// fault, and every later read returns a placeholder in silence.
    ObjectReader(const json::value& value, std::string pointer, std::vector<Fault>& faults);

    /// A required text without NUL.
    [[nodiscard]] std::string text(std::string_view name, TextLimits limits);
    [[nodiscard]] std::optional<std::string> optional_text(std::string_view name, TextLimits limits);
    /// A required whole number in [min, max]; 1.0 and 1e0 are not whole numbers here.
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

/// Appends `text` as a JSON string, quotes included: for rows and events, of which thousands a second are
/// written and whose shape is fixed. `text` must be UTF-8, which is passed on as it is. Thread safe.
void append_json_string(std::string& json, std::string_view text);

}  // namespace quittance
