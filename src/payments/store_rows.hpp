// How the stores of this folder write rows into statements, and read them.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "db/dialect.hpp"

namespace quittance::payments {

inline constexpr auto integer = db::ColumnType::integer;
inline constexpr auto uuid = db::ColumnType::uuid;

template <class Range, class ToJson>
std::string batch(const Range& range, ToJson row_of) {
    boost::json::array rows;
    rows.reserve(range.size());
    for (const auto& element : range)
        rows.push_back(row_of(element));
    return boost::json::serialize(rows);
}

/// In the order of the ids, in which some engines take the locks.
template <class IdType>
std::string batch_of_ids(std::string_view column, std::span<const IdType> ids) {
    std::vector<IdType> sorted(ids.begin(), ids.end());
    std::ranges::sort(sorted);
    return batch(sorted, [&](const IdType& id) { return boost::json::object{{column, id.to_string()}}; });
}

/// What the database holds was checked on its way in; anything else is a broken invariant.
template <class T>
T stored(const std::optional<T>& value, std::string_view what) {
    ensure(value.has_value(), what);
    return *value;
}

inline std::int64_t optional_to_ms(const std::optional<Timestamp>& time) {
    return time ? to_ms(*time) : 0;
}

inline std::optional<Timestamp> optional_from_ms(std::int64_t ms) {
    if (ms == 0) return std::nullopt;
    return timestamp_from_ms(ms);
}

}  // namespace quittance::payments
