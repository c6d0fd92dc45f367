// What the stores of this folder have in common.
#pragma once

#include <cstdint>
#include <optional>

#include <boost/json.hpp>

#include "core/clock.hpp"
#include "db/batch.hpp"
#include "db/dialect.hpp"

namespace quittance::payments {

inline constexpr auto integer = db::ColumnType::integer;
inline constexpr auto uuid = db::ColumnType::uuid;

using db::batch;
using db::batch_of_ids;
using db::stored;

inline std::int64_t optional_to_ms(const std::optional<Timestamp>& time) {
    return time ? to_ms(*time) : 0;
}

inline std::optional<Timestamp> optional_from_ms(std::int64_t ms) {
    if (ms == 0) return std::nullopt;
    return timestamp_from_ms(ms);
}

}  // namespace quittance::payments
