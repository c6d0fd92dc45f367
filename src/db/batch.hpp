// How stores write the rows of a batch into a statement's parameter, and read what they wrote.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"

namespace quittance::db {

/// A JSON array with one object for each element, whose members `write(ObjectWriter&, element)` adds: the
/// parameter of `Dialect::rows`.
template <class Range, class Write>
std::string batch(const Range& range, Write write) {
    std::string rows;
    append_json_array(rows, range, [&](std::string& json, const auto& element) {
        ObjectWriter row(json);
        write(row, element);
        row.finish();
    });
    return rows;
}

/// The parameter of `Dialect::matching_ids`: texts with commas between, which make an array in JSON and in
/// PostgreSQL's notation. In the order of the ids, in which some engines take the locks.
template <class IdType>
std::string batch_of_ids(std::span<const IdType> ids) {
    std::vector<IdType> sorted(ids.begin(), ids.end());
    std::ranges::sort(sorted);
    std::string texts;
    for (const IdType& id : sorted) {
        texts += texts.empty() ? "\"" : ",\"";
        texts += id.to_string();
        texts += '"';
    }
    return texts;
}

/// What the database holds was checked on its way in; anything else is a broken invariant.
template <class T>
T stored(const std::optional<T>& value, std::string_view what) {
    ensure(value.has_value(), what);
    return *value;
}

}  // namespace quittance::db
