#include "core/json.hpp"

#include <limits>

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

namespace quittance {
namespace {

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

using Faults = std::vector<Fault>;

/// Parses `text`, lets `read` read it and returns the faults.
template <class Read>
Faults faults_of(std::string_view text, Read read, UnknownMembers unknown = UnknownMembers::fault) {
    const auto value = parse_json(text);
    EXPECT_TRUE(value.ok()) << text;
    Faults faults;
    ObjectReader reader(*value, "", faults);
    read(reader);
    reader.finish(unknown);
    return faults;
}

class MalformedJsonTest : public testing::TestWithParam<std::string> {};

TEST_P(MalformedJsonTest, is_refused) {
    const auto value = parse_json(GetParam());
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().code, ErrorCode::malformed);
    EXPECT_FALSE(value.error().detail.empty());
    EXPECT_TRUE(value.error().faults.empty());
}

INSTANTIATE_TEST_SUITE_P(Syntax, MalformedJsonTest,
                         testing::Values("", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "nul",
                                         "tru", "TRUE", "01", "+1", "1.", ".5", "1e", "0x1", "NaN",
                                         "Infinity", "-", "\"", "\"a", "\"\\x\"", "\"\\u12\"",
                                         "\"line\nbreak\"", "// c\n1", "/* c */1", "[1 2]", "{\"a\" 1}",
                                         "\xEF\xBB\xBF{}", std::string("1\0", 2),
                                         std::string("\"a\0b\"", 5)));

INSTANTIATE_TEST_SUITE_P(TrailingGarbage, MalformedJsonTest,
                         testing::Values("1 2", "{}{}", "{} x", "[]]", "{}}", "null,", "\"a\"b", "1//"));

INSTANTIATE_TEST_SUITE_P(Text, MalformedJsonTest,
                         testing::Values("\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
                                         "\"\xf5\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\x80\"",
                                         "{\"\xff\":1}", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
                                         "\"\\ud800x\"", "\"\\udc00\\ud800\""));

INSTANTIATE_TEST_SUITE_P(DuplicateKeys, MalformedJsonTest,
                         testing::Values(R"({"a":1,"a":1})", R"({"a":1,"b":{"c":[{"d":1,"d":2}]}})",
                                         R"({"a":1,"\u0061":2})", R"([{"":1,"":2}])",
                                         R"({"a":{"x":1,"x":2},"a":1})"));

INSTANTIATE_TEST_SUITE_P(Depth, MalformedJsonTest, testing::Values(nested(33), std::string(100'000, '[')));

TEST(JsonTest, well_formed_texts_are_read) {
    for (const std::string& text :
         {std::string("{}"), std::string(" [1, 2]\r\n\t "), std::string("null "), std::string("-0"),
          nested(32), std::string(R"({"a":{"b":1},"b":{"a":1}})"),
          std::string(R"("\ud83d\udcb6 \u0000 \/")")}) {
        const auto value = parse_json(text);
        EXPECT_TRUE(value.ok()) << text << ": " << (value.ok() ? "" : value.error().detail);
    }
}

TEST(JsonTest, a_refusal_says_where_it_stopped) {
    EXPECT_NE(parse_json(R"({"a":x})").error().detail.find("at byte 5"), std::string::npos);
    EXPECT_NE(parse_json("{} x").error().detail.find("at byte 3"), std::string::npos);
}

TEST(ObjectReaderTest, every_kind_of_member_is_read) {
    const auto faults = faults_of(
        R"({"name":"Zo\u00eb","size":-5,"on":false,"list":[1,2],"extra":null,"more":"x","count":0})",
        [](ObjectReader& reader) {
            EXPECT_EQ(reader.text("name", {}), "Zo\u00eb");
            EXPECT_EQ(reader.integer("size", -5, 5), -5);
            EXPECT_EQ(reader.optional_boolean("on"), false);
            ASSERT_NE(reader.array("list", 2, 2), nullptr);
            ASSERT_NE(reader.optional_value("extra"), nullptr);
            EXPECT_TRUE(reader.optional_value("extra")->is_null());
            EXPECT_EQ(reader.optional_text("more", {}), "x");
            EXPECT_EQ(reader.optional_integer("count", 0, 0), 0);
        });
    EXPECT_EQ(faults, Faults{});
}

TEST(ObjectReaderTest, optional_members_may_be_absent) {
    const auto faults = faults_of("{}", [](ObjectReader& reader) {
        EXPECT_EQ(reader.optional_text("text", {}), std::nullopt);
        EXPECT_EQ(reader.optional_integer("integer", 0, 1), std::nullopt);
        EXPECT_EQ(reader.optional_boolean("boolean"), std::nullopt);
        EXPECT_EQ(reader.optional_value("value"), nullptr);
    });
    EXPECT_EQ(faults, Faults{});
}

TEST(ObjectReaderTest, every_fault_is_collected_with_its_place) {
    const auto faults = faults_of(
        R"({"empty":"","long":"12345","short":"1","nul":"a\u0000b","number":7,"list":[1],"flag":0,"~/":1})",
        [](ObjectReader& reader) {
            EXPECT_EQ(reader.text("missing", {}), "");
            EXPECT_EQ(reader.text("empty", {}), "");
            EXPECT_EQ(reader.text("long", {.max_characters = 4}), "");
            EXPECT_EQ(reader.text("short", {.min_characters = 2}), "");
            EXPECT_EQ(reader.text("nul", {}), "");
            EXPECT_EQ(reader.text("number", {}), "");
            EXPECT_EQ(reader.array("list", 2, 3), nullptr);
            EXPECT_EQ(reader.array("number", 0, 1), nullptr);
            EXPECT_EQ(reader.optional_boolean("flag"), std::nullopt);
        });
    EXPECT_EQ(faults, (Faults{{"/missing", "is required"},
                              {"/empty", "must not be empty"},
                              {"/long", "must have at most 4 characters"},
                              {"/short", "must have at least 2 characters"},
                              {"/nul", "must not contain NUL"},
                              {"/number", "must be a string"},
                              {"/list", "must have between 2 and 3 elements"},
                              {"/number", "must be an array"},
                              {"/flag", "must be true or false"},
                              {"/~0~1", "is not a known member"}}));
}

TEST(ObjectReaderTest, limits_of_texts_count_characters) {
    const auto faults = faults_of(R"({"fits":"\u20ac","long":"\u20ac\u20ac"})", [](ObjectReader& reader) {
        EXPECT_EQ(reader.text("fits", {.max_characters = 1}), "\u20ac");
        EXPECT_EQ(reader.text("long", {.max_characters = 1}), "");
        EXPECT_EQ(reader.text("long", {.min_characters = 3}), "");
    });
    EXPECT_EQ(faults, (Faults{{"/long", "must have at most 1 characters"},
                              {"/long", "must have at least 3 characters"}}));
}

TEST(ObjectReaderTest, only_whole_numbers_in_range_are_integers) {
    const auto read = [](std::string_view number) {
        return faults_of(R"({"n":)" + std::string(number) + "}", [](ObjectReader& reader) {
            static_cast<void>(reader.integer("n", 0, std::numeric_limits<std::int64_t>::max()));
        });
    };
    const Faults not_whole{{"/n", "must be a whole number"}};
    const Faults out_of_range{{"/n", "must be between 0 and 9223372036854775807"}};
    for (const char* number : {"0", "-0", "1", "9223372036854775807", "1.0", "1e0", "1E2", "-0.0", "0e99",
                               "9223372036854775807.000", "922337203685477580.7e1", "100e-2", "0.5E1"})
        EXPECT_EQ(read(number), Faults{}) << number;
    for (const char* other : {"0.5", "1e-1", "1.00000000000000000001", "9007199254740991.5", "\"1\"", "true",
                              "null", "[1]", "{}"}) {
        EXPECT_EQ(read(other), not_whole) << other;
    }
    for (const char* number : {"-1", "-1.0", "9223372036854775808", "9223372036854775808.0",
                               "18446744073709551615", "18446744073709551616", "1e300"}) {
        EXPECT_EQ(read(number), out_of_range) << number;
    }
    EXPECT_EQ(read("1" + std::string(300, '0')), out_of_range);
}

TEST(ParseJsonTest, an_integer_is_the_same_in_each_of_its_spellings) {
    const auto integer = [](const std::string& text) {
        const auto value = parse_json(text);
        EXPECT_TRUE(value && value->is_int64()) << text;
        return value && value->is_int64() ? value->as_int64() : -1;
    };
    // Amounts of which a floating-point number would lose the last digits.
    for (const std::int64_t number :
         {std::int64_t{0}, std::int64_t{7}, std::int64_t{1890}, std::int64_t{100000},
          std::int64_t{9'007'199'254'740'991}, std::int64_t{9'007'199'254'740'993},
          std::numeric_limits<std::int64_t>::max()}) {
        const std::string text = std::to_string(number);
        EXPECT_EQ(integer(text + ".0"), number);
        EXPECT_EQ(integer(text + ".000000"), number);
        if (number != 0) {
            EXPECT_EQ(integer(text + "0e-1"), number);
        }
        EXPECT_EQ(integer("0." + text + "e" + std::to_string(text.size())), number);
        EXPECT_EQ(integer("-" + text + ".0"), -number);
    }
    EXPECT_TRUE(parse_json("2.5")->is_double());
}

TEST(ObjectReaderTest, what_is_no_object_is_one_fault) {
    for (const char* text : {"[]", "null", "1", "\"a\""}) {
        const auto faults = faults_of(text, [](ObjectReader& reader) {
            EXPECT_EQ(reader.text("a", {}), "");
            EXPECT_EQ(reader.integer("b", 3, 4), 3);
            EXPECT_EQ(reader.array("c", 0, 1), nullptr);
        });
        EXPECT_EQ(faults, (Faults{{"", "must be an object"}})) << text;
    }
}

TEST(ObjectReaderTest, unknown_members_are_faults_unless_ignored) {
    const std::string text = R"({"a":1,"b":2})";
    const auto read = [](ObjectReader& reader) { EXPECT_EQ(reader.integer("a", 0, 9), 1); };
    EXPECT_EQ(faults_of(text, read), (Faults{{"/b", "is not a known member"}}));
    EXPECT_EQ(faults_of(text, read, UnknownMembers::ignore), Faults{});
}

TEST(ObjectReaderTest, faults_beyond_the_limit_are_not_told) {
    json::object many{{"known", 1}};
    json::array elements;
    for (std::size_t i = 0; i < 2 * max_faults; ++i) {
        many.emplace("unknown" + std::to_string(i), json::value());
        elements.emplace_back("no object");
    }
    const json::value value(std::move(many));
    std::vector<Fault> faults;
    ObjectReader reader(value, "", faults);
    EXPECT_EQ(reader.text("known", {}), "");
    reader.finish();
    ASSERT_EQ(faults.size(), max_faults);
    EXPECT_EQ(faults.front().pointer, "/known");
    for (const json::value& element : elements)
        ObjectReader(element, "/elements", faults).finish();
    EXPECT_EQ(faults.size(), max_faults);
}

TEST(ObjectReaderTest, faults_inside_carry_the_whole_pointer) {
    const auto value = parse_json(R"({"items":[{"id":1}]})");
    ASSERT_TRUE(value.ok());
    Faults faults;
    ObjectReader reader(value->at("items").at(0), "/items/0", faults);
    static_cast<void>(reader.text("id", {}));
    EXPECT_EQ(faults, (Faults{{"/items/0/id", "must be a string"}}));
    const Error error = invalid_error(faults);
    EXPECT_EQ(error.code, ErrorCode::invalid);
    EXPECT_EQ(error.faults, faults);
}

TEST(JsonStringTest, every_text_is_read_back_as_it_was) {
    std::string controls;
    for (char c = 0; c < 0x20; ++c)
        controls += c;
    for (const std::string& text :
         {std::string(), std::string("plain"), controls, std::string("\"\\/\x7f"), std::string("\\\"\\"),
          std::string("gr\u00fc\u00dfe \U0001F4B6"), std::string(5'000, '"')}) {
        std::string written = "[";
        append_json_string(written, text);
        written += "]";
        const auto value = parse_json(written);
        ASSERT_TRUE(value.ok()) << written;
        EXPECT_EQ(value->at(0).as_string(), text);
    }
}

TEST(JsonMember, what_is_missing_or_of_another_type_is_not_there) {
    const auto value = parse_json(R"({"text":"a","empty":"","number":1,"null":null,"object":{"x":1}})");
    const json::object& object = value->get_object();
    EXPECT_EQ(text_member(object, "text"), "a");
    EXPECT_EQ(text_member(object, "empty"), "");
    for (const char* name : {"number", "null", "object", "missing"})
        EXPECT_EQ(text_member(object, name), std::nullopt) << name;
    ASSERT_NE(object_member(object, "object"), nullptr);
    EXPECT_TRUE(object_member(object, "object")->contains("x"));
    for (const char* name : {"text", "null", "missing"})
        EXPECT_EQ(object_member(object, name), nullptr) << name;
}

TEST(ObjectWriterTest, what_it_writes_reads_back_the_same) {
    const std::string awkward = "a \"quoted\"\n\\ \x01 text, \xC3\xA9";
    std::string text = "before ";
    ObjectWriter writer(text);
    writer.add("text", awkward);
    writer.add("least", std::numeric_limits<std::int64_t>::min());
    writer.add("int", 42);
    writer.add_boolean("yes", true);
    writer.add_boolean("no", false);
    writer.add_plain("plain", "abc");
    ObjectWriter inner(writer.value("inner"));
    inner.finish();
    append_json_array(writer.value("three"), std::vector<int>{1, 2, 3},
                      [](std::string& json, int number) { json += std::to_string(number); });
    append_json_array(writer.value("none"), std::vector<int>(), [](std::string&, int) { FAIL(); });
    writer.finish();
    EXPECT_TRUE(text.starts_with("before "));
    const json::value expected{{"text", awkward},
                               {"least", std::numeric_limits<std::int64_t>::min()},
                               {"int", 42},
                               {"yes", true},
                               {"no", false},
                               {"plain", "abc"},
                               {"inner", json::object()},
                               {"three", {1, 2, 3}},
                               {"none", json::array()}};
    EXPECT_EQ(*parse_json(text.substr(7)), expected);
}

}  // namespace
}  // namespace quittance
