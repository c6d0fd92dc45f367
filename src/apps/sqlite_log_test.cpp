#include "apps/sqlite_log.hpp"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "core/manual_clock.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::apps {
namespace {

class SqliteLogTest : public testing::Test {
protected:
    void SetUp() override {
        if (database_.options().engine != db::Engine::sqlite) GTEST_SKIP() << "only SQLite has such a log";
        writer_->run("CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY, filler TEXT NOT NULL)");
        write(1);
    }
    void write(std::int64_t first) {
        db::Transaction transaction(*writer_);
        for (std::int64_t n = first; n < first + 200; ++n)
            writer_->execute("INSERT INTO numbers (n, filler) VALUES (:n, :filler)",
                             {n, std::string(4'000, 'x')});
        transaction.commit();
    }

    ManualClock clock_;
    test_support::TestDatabase database_;
    std::unique_ptr<db::Session> writer_ = database_.connect();
    SqliteLog log_{database_.options(), clock_, 100'000};
};

TEST_F(SqliteLogTest, a_log_past_its_limit_is_cut_back) {
    EXPECT_GT(log_.size(), 500'000U);
    EXPECT_TRUE(log_.is_due());
    EXPECT_TRUE(log_.cut_back(*writer_));
    EXPECT_EQ(log_.size(), 0U);
}

TEST_F(SqliteLogTest, while_somebody_reads_it_stays_and_afterwards_it_goes) {
    const auto reader = database_.connect();
    reader->run("BEGIN");
    static_cast<void>(reader->select<std::int64_t>("SELECT COUNT(*) FROM numbers"));
    write(1'000);
    EXPECT_FALSE(log_.cut_back(*writer_));
    reader->run("COMMIT");
    EXPECT_TRUE(log_.cut_back(*writer_));
    EXPECT_EQ(log_.size(), 0U);
}

TEST_F(SqliteLogTest, its_size_is_looked_at_now_and_then) {
    EXPECT_TRUE(log_.is_due());
    EXPECT_FALSE(log_.is_due());
    clock_.advance(std::chrono::seconds(5));
    EXPECT_TRUE(log_.is_due());
}

}  // namespace
}  // namespace quittance::apps
