#include "messaging/pubsub_push.hpp"

#include <gtest/gtest.h>

namespace quittance::messaging {
namespace {

PushedMessage parsed(std::string_view body) {
    const auto result = parse_push(body);
    EXPECT_TRUE(result.ok()) << result.error().detail;
    return result.ok() ? *result : PushedMessage{};
}

TEST(ParsePush, both_spellings_mean_the_same) {
    for (const char* body :
         {R"({"subscription":"projects/p/subscriptions/s","deliveryAttempt":3,"message":{"messageId":"7",
              "publishTime":"2026-11-22T20:03:45.123Z","orderingKey":"k","data":"eyJhIjoxfQ==",
              "attributes":{"ce-id":"e","ce-type":"t","ce-source":"s","googclient_traceparent":"00-1"}}})",
          R"({"subscription":"projects/p/subscriptions/s","delivery_attempt":3,"message":{"message_id":"7",
              "publish_time":"2026-11-22T20:03:45.123Z","ordering_key":"k","data":"eyJhIjoxfQ==",
              "attributes":{"ce-id":"e","ce-type":"t","ce-source":"s","googclient_traceparent":"00-1"}}})",
          R"({"subscription":"projects/p/subscriptions/s","deliveryAttempt":3,"message":{"messageId":"7",
              "message_id":"7","publishTime":"2026-11-22T20:03:45.123Z","orderingKey":"k","ordering_key":"k",
              "publish_time":"2026-11-22T20:03:45.123Z","data":"eyJhIjoxfQ","new member":[],
              "attributes":{"ce-id":"e","ce-type":"t","ce-source":"s","googclient_traceparent":"00-1"}}})"}) {
        const PushedMessage pushed = parsed(body);
        EXPECT_EQ(pushed.subscription, "projects/p/subscriptions/s");
        EXPECT_EQ(pushed.message_id, "7");
        EXPECT_EQ(pushed.attempt, 3);
        EXPECT_EQ(pushed.message.id, "e");
        EXPECT_EQ(pushed.message.type, "t");
        EXPECT_EQ(pushed.message.source, "s");
        EXPECT_EQ(pushed.message.ordering_key, "k");
        EXPECT_EQ(pushed.message.traceparent, "00-1");
        EXPECT_EQ(pushed.message.data, R"({"a":1})");
        EXPECT_EQ(to_rfc3339(pushed.message.time), "2026-11-22T20:03:45.123Z");
    }
}

TEST(ParsePush, a_message_may_consist_of_its_id) {
    const PushedMessage pushed =
        parsed(R"({"subscription":"projects/p/subscriptions/s","message":{"messageId":"7"}})");
    EXPECT_EQ(pushed.message.id, "7") << "Pub/Sub's id stands in for that of the event";
    EXPECT_EQ(pushed.message.data, "");
    EXPECT_EQ(pushed.message.ordering_key, "");
    EXPECT_EQ(pushed.attempt, 0);
}

TEST(ParsePush, what_is_no_wrapped_message_is_malformed) {
    for (const char* body :
         {"", "{", "[]", "{}", "7", R"({"message":{"messageId":"7"}})", R"({"message":7,"subscription":"s"})",
          R"({"message":{},"subscription":"s"})", R"({"message":{"messageId":""},"subscription":"s"})",
          R"({"message":{"messageId":"7","data":"*"},"subscription":"s"})",
          R"({"message":{"messageId":"7","data":"eyJ"},"subscription":"s"}x)",
          R"({"message":{"messageId":"7","attributes":{"a":1}},"subscription":"s"})"}) {
        const auto result = parse_push(body);
        ASSERT_FALSE(result.ok()) << body;
        EXPECT_EQ(result.error().code, ErrorCode::malformed) << body;
    }
}

TEST(ParsePush, a_time_that_is_none_gives_way_to_when_it_was_published) {
    const auto time_of = [](const std::string& event, const std::string& published) {
        return to_rfc3339(parsed(R"({"subscription":"s","message":{"messageId":"7","publishTime":")" +
                                 published + R"(","attributes":{"ce-time":")" + event + R"("}}})")
                              .message.time);
    };
    const std::string published = "2026-11-22T20:03:45.123Z";
    EXPECT_EQ(time_of("2026-11-22T10:00:00Z", published), "2026-11-22T10:00:00.000Z");
    EXPECT_EQ(time_of("2026-11-22T12:00:00.123456789+02:00", published), "2026-11-22T10:00:00.123Z");
    for (const char* event :
         {"", "yesterday", "-026-11-22T10:00:00Z", "2026-11-22T10:00:80Z", "2026-11-22T25:00:00Z",
          "2026-02-30T10:00:00Z", "2026-11-22 10:00:00Z", "2026-11-22T10:00:00", "9999-12-31T23:00:00-02:00",
          "0001-01-01T00:00:00+01:00"})
        EXPECT_EQ(time_of(event, published), published) << event;
    EXPECT_EQ(time_of("", "9999-12-31T23:00:00-02:00"), "1970-01-01T00:00:00.000Z");
}

}  // namespace
}  // namespace quittance::messaging
