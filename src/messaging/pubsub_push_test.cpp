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

}  // namespace
}  // namespace quittance::messaging
