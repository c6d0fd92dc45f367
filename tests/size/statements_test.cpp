// No statement takes longer because a table is large: not on SQLite, nor on any server, neither before the
// planner knows the tables nor after. QUITTANCE_TEST_ROWS says how large they are.
#include "tests/size/statements.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "payments/ledger_audit.hpp"
#include "tests/size/generated_rows.hpp"
#include "tests/size/measurements.hpp"
#include "tests/support/test_database.hpp"

namespace quittance::size {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr Milliseconds longest_statement{100};
/// Of one function: a page, a batch, or what is counted up to a limit. Tables have more.
constexpr std::int64_t most_rows_read = 30'000;
constexpr std::int64_t default_rows = 40'000;
constexpr int runs = 3;
constexpr int most_runs = 5 * runs;

std::int64_t rows_wanted() {
    const char* text = std::getenv("QUITTANCE_TEST_ROWS");
    return text == nullptr || *text == '\0' ? default_rows : std::atoll(text);
}

/// How many rows the session has read so far, in tables and indexes; 0 where the engine does not tell.
std::int64_t rows_read(db::Session& session) {
    std::int64_t count = 0;
    if (session.dialect().engine() == db::Engine::postgresql) {
        static_cast<void>(session.select<std::string>("SELECT CAST(pg_stat_force_next_flush() AS text)"));
        const auto sums = session.select<std::int64_t>(
            "SELECT CAST(SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) AS bigint) FROM pg_stat_user_tables");
        count = std::get<0>(sums.at(0));
    } else if (session.dialect().engine() == db::Engine::mysql) {
        for (const auto& [name, value] :
             session.select<std::string, std::string>("SHOW SESSION STATUS LIKE 'Handler_read%'"))
            count += std::atoll(value.c_str());
    }
    return count;
}

/// SQLite works in this thread, so its time is what it takes, whatever else the machine does.
Milliseconds time_taken(db::Engine engine) {
    if (engine != db::Engine::sqlite) return Clock::now().time_since_epoch();
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void run(db::Session& session, const Measurement& one) {
    if (!one.rolled_back) return one.run(session);
    const db::Transaction taken_back(session);
    one.run(session);
}

struct Figures {
    Milliseconds time{0};
    std::int64_t rows = 0;
};

Figures measure(db::Session& session, const Measurement& one) {
    Figures best{Milliseconds::max(), 0};
    const std::int64_t read_before = rows_read(session);
    run(session, one);  // Statements are prepared.
    best.rows = rows_read(session) - read_before;
    // On a busy machine a server's time is also that of others: what takes too long is run more often.
    for (int i = 0; i < runs || (best.time >= longest_statement && i < most_runs); ++i) {
        const Milliseconds begin = time_taken(session.dialect().engine());
        run(session, one);
        best.time = std::min(best.time, time_taken(session.dialect().engine()) - begin);
    }
    return best;
}

/// Runs everything, and expects that it takes no longer and reads no more than it may.
void expect_bounded(db::Session& session, const std::vector<Measurement>& all, const std::string& when) {
    Figures slowest;
    std::string slowest_name;
    for (const Measurement& one : all) {
        SCOPED_TRACE(one.name + ", " + when);
        const Figures figures = measure(session, one);
        EXPECT_LT(figures.time.count(), longest_statement.count());
        EXPECT_LT(figures.rows, most_rows_read);
        if (std::getenv("QUITTANCE_TEST_VERBOSE") != nullptr)
            std::cout << one.name << ", " << when << ": " << figures.time.count() << " ms, " << figures.rows
                      << " rows\n";
        if (figures.time > slowest.time) {
            slowest = figures;
            slowest_name = one.name;
        }
    }
    std::cout << "measured: with " << rows_wanted() << " rows, " << when << ", the slowest of " << all.size()
              << " was " << slowest_name << ": " << slowest.time.count() << " ms" << std::endl;
}

void expect_bounded_before_and_after_analysis(db::Session& session, const std::vector<Measurement>& all) {
    expect_bounded(session, all, "tables not analyzed");
    analyze(session);
    expect_bounded(session, all, "tables analyzed");
}

std::string function_of(const Measurement& one) {
    return one.name.substr(0, one.name.find(" ["));
}

/// By file and function, as in `statements`.
std::set<std::string> functions_with_statements() {
    static const std::regex type("^(?:class|struct) (\\w+)");
    static const std::regex definition(
        "^(?!namespace|using|const "
        "|constexpr|static|#)[A-Za-z][^(]*?([A-Za-z_]\\w*(?:::~?[A-Za-z_]\\w*)*)\\(");
    static const std::regex statement("\\bsession_?\\.(?:select|execute|run)\\b|\\bselect_\\w+\\(session");
    std::set<std::string> found;
    const std::filesystem::path root = std::filesystem::path(QUITTANCE_SOURCE_DIR) / "src";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        const std::filesystem::path& file = entry.path();
        const std::string name = std::filesystem::relative(file, root).string();
        const bool runs_those_of_others = name.starts_with("db/") && name != "db/idempotency_keys.cpp";
        if (file.extension() != ".cpp" || name.ends_with("_test.cpp") || runs_those_of_others) continue;
        std::ifstream source(file);
        std::string function;
        for (std::string line; std::getline(source, line);) {
            std::smatch match;
            if (std::regex_search(line, match, type) || std::regex_search(line, match, definition))
                function = match[1];
            if (std::regex_search(line, statement)) found.insert(name + " " + function);
        }
    }
    return found;
}

TEST(StatementListTest, every_function_that_runs_a_statement_is_in_the_list_and_no_other) {
    const auto found = functions_with_statements();
    EXPECT_GT(found.size(), 50U);
    for (const std::string& function : found) {
        EXPECT_TRUE(statements.contains(function))
            << function << " runs a statement: say in tests/size/statements.hpp what bounds it";
    }
    for (const auto& [function, bound] : statements) {
        EXPECT_TRUE(bound == Bound::measured || found.contains(function))
            << function << " runs no statement: take it out of tests/size/statements.hpp";
    }
}

TEST(StatementListTest, every_periodic_and_administrative_statement_is_measured) {
    std::set<std::string> measured{"payments/ledger_audit.cpp Audit"};  // By a test of its own.
    for (const auto& all : {measurements_of_orders(1'000), measurements_of_payments(1'000)}) {
        for (const Measurement& one : all)
            measured.insert(function_of(one));
    }
    for (const auto& [function, bound] : statements) {
        EXPECT_TRUE(bound != Bound::measured || measured.contains(function)) << function;
    }
}

TEST(StatementsTest, none_of_the_order_service_takes_long_or_grows_with_its_table) {
    const test_support::TestDatabase database(db::orders_migrations());
    const auto session = database.connect();
    fill_orders(*session, rows_wanted());
    expect_bounded_before_and_after_analysis(*session, measurements_of_orders(rows_wanted()));
}

TEST(StatementsTest, none_of_the_payment_service_takes_long_or_grows_with_its_table) {
    const test_support::TestDatabase database(db::payments_migrations());
    const auto session = database.connect();
    fill_payments(*session, rows_wanted());
    fill_ledger(*session, rows_wanted() / 10);
    expect_bounded_before_and_after_analysis(*session, measurements_of_payments(rows_wanted()));
}

/// The most memory that this process has had since the last reset, in MiB.
double peak_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) / 1'024;
    }
    return 0;
}

void reset_peak_memory() {
    std::ofstream("/proc/self/clear_refs") << "5";
}

TEST(StatementsTest, the_audit_of_the_ledger_reads_in_pages_with_constant_memory) {
    const test_support::TestDatabase database(db::payments_migrations());
    const auto session = database.connect();
    const std::int64_t rows = rows_wanted();
    fill_payments(*session, rows);
    fill_ledger(*session, rows);
    for (const char* when : {"tables not analyzed", "tables analyzed"}) {
        reset_peak_memory();
        const double memory_before = peak_memory();
        Milliseconds longest{0};
        const auto begin = Clock::now();
        auto last = begin;
        const auto audit = payments::audit_ledger(*session, 100, [&](const payments::AuditProgress&) {
            longest = std::max<Milliseconds>(longest, Clock::now() - last);
            last = Clock::now();
        });
        const Milliseconds took = Clock::now() - begin;
        const double memory = peak_memory() - memory_before;
        EXPECT_TRUE(audit.findings.empty()) << audit.findings.front().detail;
        EXPECT_EQ(audit.entries, rows * 2);
        EXPECT_EQ(audit.payments, rows);
        EXPECT_LT(memory, 64) << "MiB";
        // A page with its check; other tests have the machine, too.
        EXPECT_LT(longest, 5 * longest_statement);
        std::cout << "measured: ledger audit over " << rows << " payments, " << when << ": "
                  << took.count() / 1'000 << " s, longest page " << longest.count() << " ms, " << memory
                  << " MiB more memory" << std::endl;
        analyze(*session);
    }
}

}  // namespace
}  // namespace quittance::size
