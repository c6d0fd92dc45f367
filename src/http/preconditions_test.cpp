#include "http/preconditions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

Request with(std::string_view name, const std::vector<std::string>& lines) {
    Request request;
    for (const std::string& line : lines)
        request.headers.emplace_back(name, line);
    return request;
}

ExpectedVersions versions(const std::vector<std::string>& lines) {
    return read_expected_versions(with("if-match", lines));
}

TEST(IfMatchTest, every_version_of_a_list_is_read) {
    EXPECT_THAT(versions({"\"2\""}), Optional(ElementsAre(2)));
    EXPECT_THAT(versions({R"("2", "3")"}), Optional(ElementsAre(2, 3)));
    EXPECT_THAT(versions({"\"2\",\t\"10\" ,, \"4\""}), Optional(ElementsAre(2, 10, 4)));
    EXPECT_THAT(versions({R"(W/"2", "other", "3")"}), Optional(ElementsAre(3)));
    EXPECT_THAT(versions({R"("7-1-1800000000000")"}), Optional(ElementsAre(7)));
}

TEST(IfMatchTest, several_lines_are_one_list) {
    EXPECT_THAT(versions({"\"2\"", "\"3\", \"4\""}), Optional(ElementsAre(2, 3, 4)));
}

TEST(IfMatchTest, without_a_condition_any_version_will_do) {
    EXPECT_EQ(versions({}), std::nullopt);
    EXPECT_EQ(versions({"*"}), std::nullopt);
}

TEST(IfMatchTest, tags_that_are_none_of_ours_match_no_version) {
    for (const char* header : {"2", "W/\"2\"", "\"\"", "\"2x\"", "\"2", "\"", ",", " ", "",
                               "\"99999999999999\"", "\"x,2\"", "\"x\"2\"", "\"-1\"", "\"2\"\"3\""})
        EXPECT_THAT(versions({header}), Optional(IsEmpty())) << header;
}

TEST(IfNoneMatchTest, compares_weakly_in_lists_on_several_lines_and_knows_the_star) {
    for (const auto& lines : std::vector<std::vector<std::string>>{
             {"\"3\""}, {"W/\"3\""}, {"\"1\", \"3\""}, {"\"1\"", "W/\"3\""}, {"*"}, {"\"a,b\",\"3\""}})
        EXPECT_TRUE(has_version(with("if-none-match", lines), "\"3\"")) << lines.front();
    for (const auto& lines : std::vector<std::vector<std::string>>{
             {}, {""}, {"3"}, {"\"33\""}, {"\"1\"", "\"2\""}, {"w/\"3\""}, {"\"3"}})
        EXPECT_FALSE(has_version(with("if-none-match", lines), "\"3\""));
}

TEST(PreconditionsTest, if_match_wants_what_is_there_and_compares_strongly) {
    const auto refused = [](const std::string& value, std::optional<std::string_view> etag) {
        return read_preconditions(with("if-match", {value})).refusal(etag).has_value();
    };
    EXPECT_FALSE(refused("\"x\"", "\"x\""));
    EXPECT_FALSE(refused("*", "\"x\""));
    EXPECT_TRUE(refused("W/\"x\"", "\"x\""));
    EXPECT_TRUE(refused("\"y\"", "\"x\""));
    EXPECT_TRUE(refused("\"x\"", std::nullopt));
    EXPECT_TRUE(refused("*", std::nullopt));
}

TEST(PreconditionsTest, if_none_match_wants_what_is_not_there) {
    const auto refused = [](const std::string& value, std::optional<std::string_view> etag) {
        return read_preconditions(with("if-none-match", {value})).refusal(etag).has_value();
    };
    EXPECT_TRUE(refused("*", "\"x\""));
    EXPECT_TRUE(refused("W/\"x\"", "\"x\""));
    EXPECT_FALSE(refused("\"y\"", "\"x\""));
    EXPECT_FALSE(refused("*", std::nullopt));
}

TEST(IdempotencyKeyTest, is_one_printable_text_or_none) {
    const auto key = [](const std::vector<std::string>& lines) {
        return read_idempotency_key(with("idempotency-key", lines));
    };
    EXPECT_EQ(*key({}), "");
    EXPECT_EQ(*key({"order 1"}), "order 1");
    EXPECT_EQ(*key({"same", "same"}), "same");
    EXPECT_EQ(*key({std::string(max_idempotency_key_bytes, 'k')}),
              std::string(max_idempotency_key_bytes, 'k'));
    const std::string too_long(max_idempotency_key_bytes + 1, 'k');
    for (const auto& lines : std::vector<std::vector<std::string>>{
             {""}, {"one", "another"}, {"one", ""}, {too_long}, {"ä"}, {"\x7F"}})
        EXPECT_EQ(key(lines).error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace quittance::http
