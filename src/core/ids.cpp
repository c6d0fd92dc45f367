#include "core/ids.hpp"

#include <algorithm>

namespace quittance {

namespace {

constexpr std::size_t uuid_text_length = 36;

constexpr bool is_dash_position(std::size_t position) {
    return position == 8 || position == 13 || position == 18 || position == 23;
}

constexpr std::uint8_t no_digit = 0xFF;

constexpr std::array<std::uint8_t, 256> hex_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(no_digit);
    for (std::uint8_t i = 0; i < 10; ++i)
        values[static_cast<std::size_t>('0') + i] = i;
    for (std::uint8_t i = 0; i < 6; ++i) {
        values[static_cast<std::size_t>('a') + i] = static_cast<std::uint8_t>(10 + i);
        values[static_cast<std::size_t>('A') + i] = static_cast<std::uint8_t>(10 + i);
    }
    return values;
}();

std::uint8_t hex_value(char c) {
    return hex_values[static_cast<unsigned char>(c)];
}

}  // namespace

std::string uuid_to_string(const UuidBytes& bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text(uuid_text_length, '-');
    std::size_t position = 0;
    for (const std::uint8_t byte : bytes) {
        if (is_dash_position(position)) ++position;
        text[position++] = digits[byte >> 4];
        text[position++] = digits[byte & 15];
    }
    return text;
}

std::optional<UuidBytes> uuid_from_string(std::string_view text) {
    if (text.size() != uuid_text_length) return std::nullopt;
    UuidBytes bytes{};
    std::size_t position = 0;
    for (std::uint8_t& byte : bytes) {
        if (is_dash_position(position)) {
            if (text[position] != '-') return std::nullopt;
            ++position;
        }
        const std::uint8_t high = hex_value(text[position]);
        const std::uint8_t low = hex_value(text[position + 1]);
        if (high == no_digit || low == no_digit) return std::nullopt;
        byte = static_cast<std::uint8_t>(high << 4 | low);
        position += 2;
    }
    return bytes;
}

UuidBytes IdGenerator::next() {
    UuidBytes bytes{};
    random_.fill(std::as_writable_bytes(std::span(bytes).subspan(6)));
    std::int64_t ms = 0;
    std::uint16_t counter = 0;
    {
        const std::lock_guard lock(mutex_);
        ms = std::max(to_ms(clock_.now()), last_ms_);
        if (ms > last_ms_) {
            // Starts in the lower half, so that at least 2 048 ids fit into each millisecond.
            counter_ = static_cast<std::uint16_t>(((bytes[6] << 8) | bytes[7]) & 0x7FF);
        } else if (++counter_ > 0xFFF) {
            ++ms;
            counter_ = 0;
        }
        last_ms_ = ms;
        counter = counter_;
    }
    for (std::size_t i = 0; i < 6; ++i) {
        bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
    }
    bytes[6] = static_cast<std::uint8_t>(0x70 | (counter >> 8));
    bytes[7] = static_cast<std::uint8_t>(counter & 0xFF);
    bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3F));
    return bytes;
}

}  // namespace quittance
