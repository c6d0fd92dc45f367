// How stores write the rows of a batch into a statement's parameter, and read what they wrote.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "core/error.hpp"

namespace quittance::db {

/// A JSON array with what `row_of` makes of each element: the parameter of `Dialect::rows`.
template <class Range, class RowOf>
std::string batch(const Range& range, RowOf row_of) {
    boost::json::array rows;
    rows.reserve(range.size());
    for (const auto& element : range)
        rows.push_back(row_of(element));
    return boost::json::serialize(rows);
}

/// Rows with one column, in the order of the ids, in which some engines take the locks.
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

}  // namespace quittance::db
