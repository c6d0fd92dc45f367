#include "telemetry/log.hpp"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <regex>
#include <string>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace quittance::log {
namespace {

using ::testing::HasSubstr;

class LogTest : public ::testing::Test {
protected:
    ~LogTest() override {
        ::unsetenv("GOOGLE_CLOUD_PROJECT");
        initialize(Level::info, Format::human);
    }
    static std::string written(const std::function<void()>& act) {
        ::testing::internal::CaptureStderr();
        act();
        return ::testing::internal::GetCapturedStderr();
    }
    static constexpr const char* trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
};

TEST_F(LogTest, WritesOneJsonObjectALine) {
    initialize(Level::info, Format::json);
    const std::string line = written([] {
        warning("slow \"batch\"\n", {{"rows", 256}, {"seconds", 0.5}, {"final", false}, {"lane", "orders"}});
    });
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto object = boost::json::parse(line).as_object();
    EXPECT_EQ(object.at("severity").as_string(), "WARNING");
    EXPECT_EQ(object.at("message").as_string(), "slow \"batch\"\n");
    EXPECT_EQ(object.at("rows").as_int64(), 256);
    EXPECT_EQ(object.at("seconds").as_double(), 0.5);
    EXPECT_EQ(object.at("final").as_bool(), false);
    EXPECT_EQ(object.at("lane").as_string(), "orders");
    EXPECT_TRUE(std::regex_match(std::string(object.at("time").as_string()),
                                 std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
}

TEST_F(LogTest, StaysJsonWhateverItIsGiven) {
    initialize(Level::info, Format::json);
    std::string every_byte;
    for (int byte = 0; byte < 256; ++byte)
        every_byte.push_back(static_cast<char>(byte));
    const std::string line = written([&] {
        info(every_byte, {{every_byte, every_byte}, {"nan", std::nan("")}, {"infinite", HUGE_VAL}});
    });
    const auto object = boost::json::parse(line).as_object();
    EXPECT_EQ(object.at("nan").as_string(), "NaN");
    EXPECT_THAT(std::string(object.at("message").as_string()), HasSubstr("\xEF\xBF\xBD"));
}

TEST_F(LogTest, NamesTheTraceAsCloudLoggingWantsIt) {
    initialize(Level::info, Format::json);
    auto object = boost::json::parse(written([] { info("hello", {{"traceparent", trace}}); })).as_object();
    EXPECT_EQ(object.at("logging.googleapis.com/trace").as_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(object.at("logging.googleapis.com/spanId").as_string(), "00f067aa0ba902b7");
    ::setenv("GOOGLE_CLOUD_PROJECT", "my-shop", 1);
    initialize(Level::info, Format::json);
    object = boost::json::parse(written([] { info("hello", {{"traceparent", trace}}); })).as_object();
    EXPECT_EQ(object.at("logging.googleapis.com/trace").as_string(),
              "projects/my-shop/traces/4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_F(LogTest, WritesPlainWordsForPeople) {
    initialize(Level::info, Format::human);
    const std::string line = written([] {
        error("it\nfailed", {{"id", "abc"}, {"why", "no \"room\""}, {"n", 3}});
    });
    EXPECT_TRUE(std::regex_search(line, std::regex(R"(^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} error)")))
        << line;
    EXPECT_THAT(line, HasSubstr(R"(it\nfailed  id=abc  why="no \"room\""  n=3)"));
}

TEST_F(LogTest, KeepsSilentBelowItsLevel) {
    initialize(Level::warning, Format::json);
    EXPECT_EQ(written([] {
                  debug("no");
                  info("no");
              }),
              "");
    EXPECT_THAT(written([] { error("yes"); }), HasSubstr("yes"));
}

TEST_F(LogTest, ReadsLevelsByName) {
    EXPECT_EQ(parse_level("debug"), Level::debug);
    EXPECT_EQ(parse_level("warning"), Level::warning);
    EXPECT_THROW(static_cast<void>(parse_level("loud")), ConfigurationError);
}

}  // namespace
}  // namespace quittance::log
