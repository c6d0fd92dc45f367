// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quittance {

/// Bytes of the well-formed character that `text` begins with; 0 when it begins with none. Pure.
[[nodiscard]] std::size_t utf8_character_bytes(std::string_view text);

/// True when all of `text` is well-formed; an empty text is. Pure.
[[nodiscard]] bool is_utf8(std::string_view text);

/// The code points of `text`, which is UTF-8. Pure.
[[nodiscard]] std::size_t count_characters(std::string_view text);

/// The code points themselves, one each. Pure.
[[nodiscard]] std::u32string code_points(std::string_view text);

/// `text`, which is UTF-8, in Unicode's normalization form C: equal for texts that look the same and were
/// typed as other code points, such as é. Pure.
[[nodiscard]] std::string to_nfc(std::string_view text);

}  // namespace quittance
