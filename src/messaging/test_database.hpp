// A SQLite file with the tables of messaging, for the tests of this folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/database.hpp"
#include "messaging/outbox.hpp"

namespace quittance::messaging {

/// A clock that stands still until it is told to move. Not thread safe.
class ManualClock final : public Clock {
public:
    [[nodiscard]] Timestamp now() const override { return timestamp_from_ms(1'795'377'825'123) + passed_; }
    [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
        return std::chrono::steady_clock::time_point(std::chrono::hours(1)) + passed_;
    }
    void advance(std::chrono::milliseconds by) { passed_ += by; }

private:
    std::chrono::milliseconds passed_{0};
};

/// Makes the file, and removes it with all that SQLite puts beside it.
class TestDatabase {
public:
    TestDatabase() {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        path_ = testing::TempDir() + test->test_suite_name() + "." + test->name() + ".db";
        remove_files();
        auto session = connect();
        session->execute(
            "CREATE TABLE outbox (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, topic TEXT NOT "
            "NULL,"
            " type TEXT NOT NULL, source TEXT NOT NULL, ordering_key TEXT NOT NULL, traceparent TEXT NOT "
            "NULL,"
            " data TEXT NOT NULL, created_at BIGINT NOT NULL)");
        session->execute(
            "CREATE TABLE dead_letters (event_id TEXT NOT NULL PRIMARY KEY, topic TEXT NOT NULL, type TEXT "
            "NOT NULL,"
            " source TEXT NOT NULL, ordering_key TEXT NOT NULL, traceparent TEXT NOT NULL, data TEXT NOT "
            "NULL,"
            " created_at BIGINT NOT NULL, reason TEXT NOT NULL, delivery_attempts BIGINT NOT NULL,"
            " dead_at BIGINT NOT NULL)");
        session->execute(
            "CREATE TABLE inbox (event_id TEXT NOT NULL PRIMARY KEY, claim TEXT NOT NULL,"
            " received_at BIGINT NOT NULL) WITHOUT ROWID");
        session->execute("CREATE TABLE published (event_id TEXT NOT NULL PRIMARY KEY)");
    }
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;
    ~TestDatabase() { remove_files(); }

    [[nodiscard]] std::unique_ptr<db::Session> connect() const {
        return std::make_unique<db::Session>(db::DatabaseOptions::parse(Secret("sqlite:" + path_)));
    }

private:
    void remove_files() const {
        for (const char* suffix : {"", "-wal", "-shm"})
            std::filesystem::remove(path_ + suffix);
    }

    std::string path_;
};

inline OutboxRow make_row(std::string id, std::string key) {
    return {"payment-events",
            {std::move(id), "quittance.order.created.v1", "order-service",
             timestamp_from_ms(1'795'377'825'123), std::move(key), "", R"({"amount":1})"}};
}

inline std::vector<std::string> ids_of(const std::vector<OutboxRow>& rows) {
    std::vector<std::string> ids;
    for (const OutboxRow& row : rows)
        ids.push_back(row.message.id);
    return ids;
}

}  // namespace quittance::messaging
