// What a table's constraints let through, and what they do not.
#pragma once

#include <initializer_list>
#include <string>

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "db/database.hpp"

namespace quittance::test_support {

/// Two assignments to the same columns of a row: the last that the constraints accept, and the first beyond.
struct Border {
    std::string accepted;
    std::string refused;
};

/// Tries each border at every row of the table, and leaves the table as it was.
inline void expect_borders(db::Session& session, const std::string& table,
                           std::initializer_list<Border> borders) {
    const auto assign = [&](const std::string& assignments) {
        const db::Transaction taken_back(session);
        session.run("UPDATE " + table + " SET " + assignments);
    };
    for (const Border& border : borders) {
        // Without this a name that is not there would count as refused.
        EXPECT_NO_THROW(assign(border.accepted)) << table << ": " << border.accepted;
        EXPECT_THROW(assign(border.refused), StorageRejected) << table << ": " << border.refused;
    }
}

}  // namespace quittance::test_support
