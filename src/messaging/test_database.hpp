// A database with the tables of messaging, for the tests of this folder.
#pragma once

#include <string>
#include <vector>

#include "core/manual_clock.hpp"
#include "messaging/outbox.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::messaging {

/// With the tables of messaging, and one for what a test notes.
class TestDatabase : public test_support::TestDatabase {
public:
    TestDatabase() : test_support::TestDatabase(db::payments_migrations()) {
        connect()->run("CREATE TABLE published (event_id VARCHAR(255) NOT NULL PRIMARY KEY)");
    }
};

inline OutboxRow make_row(std::string id, std::string key) {
    return {"payment-events",
            {std::move(id), "quittance.order.created.v1", "order-service",
             timestamp_from_ms(1'795'377'825'123), std::move(key), "", R"({"amount":1})"}};
}

/// The ids of all rows of the outbox, in the order in which they were inserted.
inline std::vector<std::string> stored_ids(db::Session& session) {
    std::vector<std::string> ids;
    for (auto& [id] : session.select<std::string>("SELECT event_id FROM outbox ORDER BY seq"))
        ids.push_back(std::move(id));
    return ids;
}

inline std::vector<std::string> ids_of(const std::vector<OutboxRow>& rows) {
    std::vector<std::string> ids;
    for (const OutboxRow& row : rows)
        ids.push_back(row.message.id);
    return ids;
}

}  // namespace quittance::messaging
