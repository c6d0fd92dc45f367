#include "http/router.hpp"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quittance::http {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Handler some_handler() {
    return [](Request&) -> boost::asio::awaitable<Response> { co_return Response{}; };
}

class RouterTest : public ::testing::Test {
protected:
    RouterTest() {
        router.add(Method::get, "/orders", some_handler());
        router.add(Method::post, "/orders", some_handler());
        router.add(Method::get, "/orders/{id}", some_handler());
        router.add(Method::get, "/orders/search", some_handler());
        router.add(Method::patch, "/orders/{id}/status", some_handler());
        router.add(Method::post, "/orders/{order}/status/{step}", some_handler(),
                   {.body = Router::BodyKind::raw});
    }
    [[nodiscard]] std::string pattern_of(Method method, std::string_view path) const {
        const auto match = router.match(method, path);
        return match.handler == nullptr ? "" : router.pattern(match.route);
    }
    Router router;
};

TEST_F(RouterTest, FindsTheHandlerAndTheParameters) {
    const auto match = router.match(Method::post, "/orders/7/status/2");
    ASSERT_NE(match.handler, nullptr);
    EXPECT_EQ(match.options.body, Router::BodyKind::raw);
    EXPECT_THAT(match.parameters, ElementsAre(Pair("order", "7"), Pair("step", "2")));
    EXPECT_EQ(router.pattern(match.route), "/orders/{order}/status/{step}");
}

TEST_F(RouterTest, PrefersALiteralSegmentAndFallsBackToTheParameter) {
    EXPECT_EQ(pattern_of(Method::get, "/orders/search"), "/orders/search");
    EXPECT_EQ(pattern_of(Method::get, "/orders/searches"), "/orders/{id}");
    EXPECT_EQ(pattern_of(Method::patch, "/orders/search/status"), "/orders/{id}/status");
}

TEST_F(RouterTest, KnowsWhatIsNotThere) {
    for (const char* path :
         {"/", "/order", "/orders/", "/orders/1/", "/orders//status", "orders", "", "/ORDERS"}) {
        const auto match = router.match(Method::get, path);
        EXPECT_EQ(match.handler, nullptr) << path;
        EXPECT_TRUE(match.allowed.empty()) << path;
        EXPECT_EQ(match.route, Router::no_route) << path;
    }
    std::string deep;
    for (int i = 0; i < 100; ++i)
        deep += "/a";
    EXPECT_EQ(router.match(Method::get, deep).route, Router::no_route);
}

TEST_F(RouterTest, SaysWhichMethodsAKnownPathTakes) {
    const auto match = router.match(Method::delete_, "/orders");
    EXPECT_EQ(match.handler, nullptr);
    EXPECT_EQ(match.allowed, "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(router.match(Method::get, "/orders/1/status").allowed, "PATCH, OPTIONS");
}

TEST_F(RouterTest, AnswersHeadWithGet) {
    EXPECT_EQ(router.match(Method::head, "/orders").handler, router.match(Method::get, "/orders").handler);
    EXPECT_EQ(router.match(Method::head, "/orders/1/status").handler, nullptr);
}

TEST_F(RouterTest, DecodesSegmentsAfterSplitting) {
    const auto match = router.match(Method::get, "/orders/a%2Fstatus");
    ASSERT_NE(match.handler, nullptr);
    EXPECT_THAT(match.parameters, ElementsAre(Pair("id", "a/status")));
    EXPECT_EQ(pattern_of(Method::get, "/%6Frders"), "/orders");
    EXPECT_EQ(pattern_of(Method::get, "/orders%2Fsearch"), "");
}

TEST_F(RouterTest, RefusesTheSameRouteTwiceAndWhatIsNoPath) {
    EXPECT_THROW(router.add(Method::get, "/orders/{other}", some_handler()), std::logic_error);
    EXPECT_THROW(router.add(Method::get, "orders", some_handler()), std::logic_error);
    EXPECT_THROW(router.add(Method::get, "/nothing", nullptr), std::logic_error);
}

}  // namespace
}  // namespace quittance::http
