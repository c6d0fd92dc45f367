// What clients get for well-formed requests.
#include "http/server.hpp"

#include <atomic>
#include <fstream>
#include <regex>
#include <stdexcept>
#include <thread>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>

#include "core/error.hpp"
#include "http/auth.hpp"
#include "http/await.hpp"
#include "http/problem.hpp"
#include "http/testing.hpp"

namespace quittance::http {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

/// Tells what the handler saw.
boost::asio::awaitable<Response> describe(Request& request) {
    std::string text(to_string(request.method));
    text.append(" ").append(request.path);
    for (const auto& [name, value] : request.parameters)
        text.append(" {" + name + "=" + value + "}");
    for (const auto& [name, value] : request.query)
        text.append(" [" + name + "=" + value + "]");
    text.append(" from ").append(request.remote_address).append(" ").append(request.body);
    Response response = json_response(200, std::move(text));
    response.headers.emplace_back("X-Traceparent", request.traceparent);
    co_return response;
}

class AnswersTest : public ServerTest {
protected:
    AnswersTest() {
        router.add(Method::get, "/things/{id}", describe);
        router.add(Method::post, "/things", describe);
        router.add(Method::delete_, "/things/{id}", describe);
        router.add(Method::post, "/raw", describe, {.body = Router::BodyKind::raw});
        router.add(Method::post, "/things/{id}/end", describe, {.body = Router::BodyKind::none});
        router.add(Method::get, "/secret", [](Request& request) -> boost::asio::awaitable<Response> {
            co_return problem(
                Error{ErrorCode::unauthenticated, bearer_token(request) ? "wrong" : "none", {}, 0});
        });
        router.add(Method::get, "/cached", [](Request&) -> boost::asio::awaitable<Response> {
            Response response = json_response(200, "{}");
            response.headers.emplace_back("Cache-Control", "max-age=60");
            response.headers.emplace_back("Location", "/a\r\nX-Evil: 1");
            co_return response;
        });
        router.add(Method::get, "/throws", [](Request&) -> boost::asio::awaitable<Response> {
            throw std::runtime_error("the secret story");
            co_return Response{};
        });
        router.add(Method::get, "/nothing",
                   [](Request&) -> boost::asio::awaitable<Response> { co_return no_content(); });
    }
};

TEST_F(AnswersTest, AHandlerSeesTheRequest) {
    start();
    RawClient client(port());
    const auto answer = client.ask(get("/things/a%2Fb?x=1+2&y=%26"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET /things/a/b {id=a/b} [x=1 2] [y=&] from 127.0.0.1 ");
    EXPECT_EQ(client.ask(post("/things", "{\"a\":1}")).body, "POST /things from 127.0.0.1 {\"a\":1}");
}

TEST_F(AnswersTest, EveryAnswerCarriesTheStandingHeaders) {
    start();
    RawClient client(port());
    for (const char* path : {"/things/1", "/unknown", "/throws", "/nothing"}) {
        const auto answer = client.ask(get(path));
        EXPECT_THAT(answer.header("X-Request-Id"), MatchesRegex("[A-Za-z0-9_-]{22}")) << path;
        EXPECT_EQ(answer.header("Cache-Control"), "no-store") << path;
        EXPECT_EQ(answer.header("X-Content-Type-Options"), "nosniff") << path;
        EXPECT_TRUE(std::regex_match(
            answer.header("Date"),
            std::regex("[A-Z][a-z]{2}, \\d\\d [A-Z][a-z]{2} \\d{4} \\d\\d:\\d\\d:\\d\\d GMT")))
            << answer.header("Date");
        EXPECT_EQ(answer.header("Content-Length").empty(), answer.status == 204) << path;
    }
    EXPECT_EQ(client.ask(get("/cached")).header("Cache-Control"), "max-age=60");
}

TEST_F(AnswersTest, AHeaderValueCannotBeginAnotherHeader) {
    start();
    RawClient client(port());
    const auto answer = client.ask(get("/cached"));
    EXPECT_EQ(answer.header("X-Evil"), "");
    EXPECT_EQ(answer.header("Location"), "/a  X-Evil: 1");
}

TEST_F(AnswersTest, TheCallersRequestIdIsKeptWhenItIsWellFormed) {
    start();
    RawClient client(port());
    const std::string longest(128, 'x');
    EXPECT_EQ(client.ask(get("/nothing", "X-Request-Id: a.B_9-\r\n")).header("X-Request-Id"), "a.B_9-");
    EXPECT_EQ(client.ask(get("/nothing", "X-Request-Id: " + longest + "\r\n")).header("X-Request-Id"),
              longest);
    for (const std::string& bad : {longest + "x", std::string("a b"), std::string("a\"b"), std::string()}) {
        const auto answer = client.ask(get("/nothing", "X-Request-Id: " + bad + "\r\n"));
        EXPECT_EQ(answer.header("X-Request-Id").size(), 22u) << bad;
    }
}

TEST_F(AnswersTest, TheCallersTraceIsContinued) {
    start();
    RawClient client(port());
    const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    EXPECT_EQ(client.ask(get("/things/1", "traceparent: " + trace + "\r\n")).header("X-Traceparent"), trace);
    EXPECT_EQ(
        client.ask(get("/things/1", "X-Cloud-Trace-Context: 4bf92f3577b34da6a3ce929d0e0e4736/15;o=1\r\n"))
            .header("X-Traceparent"),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000000f-01");
    EXPECT_THAT(client.ask(get("/things/1", "traceparent: nonsense\r\n")).header("X-Traceparent"),
                MatchesRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-00"));
}

TEST_F(AnswersTest, UnknownPathsAndMethodsAreToldApart) {
    start();
    RawClient client(port());
    const auto unknown =
        client.ask(get("/things"
                       "/1/2",
                       "X-Request-Id: r1\r\n"));
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(unknown.header("Content-Type"), "application/problem+json");
    const auto body = boost::json::parse(unknown.body);
    EXPECT_EQ(body.at("title").as_string(), "Not Found");
    EXPECT_EQ(body.at("requestId").as_string(), "r1");
    const auto other = client.ask("PATCH /things/1 HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(other.status, 405);
    EXPECT_EQ(other.header("Allow"), "GET, HEAD, DELETE, OPTIONS");
    EXPECT_EQ(client.ask("TRACE /things/1 HTTP/1.1\r\nHost: test\r\n\r\n").status, 405);
    EXPECT_EQ(client.ask("BREW /things/1 HTTP/1.1\r\nHost: test\r\n\r\n").status, 501);
    EXPECT_EQ(client.ask("get /things/1 HTTP/1.1\r\nHost: test\r\n\r\n").status, 501)
        << "methods have a case";
}

TEST_F(AnswersTest, HeadHasGetsHeadersAndNoBody) {
    start();
    RawClient client(port());
    const auto with_get = client.ask(get("/things/1"));
    client.send("HEAD /things/1 HTTP/1.1\r\nHost: test\r\n\r\n");
    const auto with_head = client.read_answer(true);
    EXPECT_EQ(with_head.status, 200);
    EXPECT_EQ(with_head.header("Content-Type"), with_get.header("Content-Type"));
    EXPECT_EQ(with_head.header("Content-Length"), std::to_string(with_get.body.size() + 1))
        << "HEAD is longer";
    EXPECT_EQ(client.ask(get("/things/2")).status, 200) << "no body bytes are left between the answers";
}

TEST_F(AnswersTest, OptionsSaysWhatIsAllowed) {
    start();
    RawClient client(port());
    const auto answer = client.ask("OPTIONS /things/1 HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(answer.status, 204);
    EXPECT_EQ(answer.header("Allow"), "GET, HEAD, DELETE, OPTIONS");
    EXPECT_EQ(client.ask("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").status, 204);
    EXPECT_EQ(client.ask("OPTIONS /unknown HTTP/1.1\r\nHost: test\r\n\r\n").status, 404);
}

TEST_F(AnswersTest, ABodyMustBeJsonWhereJsonIsExpected) {
    start();
    RawClient client(port());
    EXPECT_EQ(client.ask(post("/things", "{}", "Content-Type: Application/JSON ; charset=utf-8\r\n")).status,
              200);
    EXPECT_EQ(client.ask(post("/things", "{}", "Content-Type: text/plain\r\n")).status, 415);
    EXPECT_EQ(client.ask(post("/things", "{}", "Content-Type: application/jsonp\r\n")).status, 415);
    EXPECT_EQ(client.ask(post("/things", "{}", "")).status, 415);
    EXPECT_EQ(client.ask(post("/things", "", "")).status, 200) << "no body, no type";
    EXPECT_EQ(client.ask(post("/raw", "a=b", "Content-Type: text/plain\r\n")).status, 200);
    EXPECT_EQ(client.ask("DELETE /things/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}").status,
              400);
}

TEST_F(AnswersTest, a_compressed_body_is_refused_with_the_coding_that_is_accepted) {
    start();
    RawClient client(port());
    const std::string json = "Content-Type: application/json\r\n";
    for (const std::string coding : {"gzip", "br", "identity, gzip", "GZIP"}) {
        const auto refused =
            client.ask(post("/things", "\x1f\x8b", json + "Content-Encoding: " + coding + "\r\n"));
        EXPECT_EQ(refused.status, 415) << coding;
        EXPECT_EQ(refused.header("Accept-Encoding"), "identity");
    }
    EXPECT_EQ(client.ask(post("/raw", "x", "Content-Encoding: gzip\r\n")).status, 415);
    EXPECT_EQ(client.ask(post("/things", "{}", json + "Content-Encoding: Identity\r\n")).status, 200);
    EXPECT_EQ(client.ask(post("/things", "", "Content-Encoding: gzip\r\n")).status, 200)
        << "nothing is encoded";
}

TEST_F(AnswersTest, a_call_without_a_body_refuses_one) {
    start();
    RawClient client(port());
    const auto refused = client.ask(post("/things/1/end", "{\"amount\":500}"));
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("this call takes no body"));
    EXPECT_EQ(client.ask(post("/things/1/end", "")).status, 200);
}

TEST_F(AnswersTest, a_challenge_names_an_error_only_where_a_token_was_sent) {
    start();
    RawClient client(port());
    const std::string plain = "Bearer realm=\"quittance\"";
    EXPECT_EQ(client.ask(get("/secret")).header("WWW-Authenticate"), plain);
    EXPECT_EQ(client.ask(get("/secret", "Authorization: Basic eDp5\r\n")).header("WWW-Authenticate"), plain);
    EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer x\r\n")).header("WWW-Authenticate"),
              plain + ", error=\"invalid_token\"");
}

TEST_F(AnswersTest, WhatAHandlerThrowsIsLoggedAndNotTold) {
    start();
    RawClient client(port());
    ::testing::internal::CaptureStderr();
    const auto answer = client.ask(get("/throws", "X-Request-Id: r-77\r\n"));
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(answer.status, 500);
    EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
    EXPECT_THAT(log, HasSubstr("the secret story"));
    EXPECT_THAT(log, HasSubstr("r-77"));
    EXPECT_EQ(client.ask(get("/nothing")).status, 204) << "the connection lives on";
}

TEST_F(AnswersTest, PipelinedRequestsAreAnsweredInOrder) {
    start();
    RawClient client(port());
    std::string requests;
    for (int i = 0; i < 200; ++i)
        requests += i % 2 == 0 ? get("/things/" + std::to_string(i)) : post("/things", "{}");
    client.send(requests);
    for (int i = 0; i < 200; ++i) {
        const auto answer = client.read_answer();
        ASSERT_EQ(answer.status, 200) << i;
        if (i % 2 == 0) {
            EXPECT_THAT(answer.body, HasSubstr("{id=" + std::to_string(i) + "}"));
        }
    }
}

TEST_F(AnswersTest, ARequestMayComeInSingleBytes) {
    start();
    RawClient client(port());
    for (const char byte : "\r\n" + post("/things", "{\"a\":[1,2,3]}")) {
        ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
    }
    EXPECT_THAT(client.read_answer().body, HasSubstr("{\"a\":[1,2,3]}"));
}

TEST_F(AnswersTest, ChunkedBodiesArePutTogetherAndTheirTrailersDropped) {
    start();
    RawClient client(port());
    const auto answer = client.ask(
        "POST /things HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: "
        "Chunked\r\n\r\n"
        "3\r\n[1,\r\n3;ext=1\r\n2,3\r\n1\r\n]\r\n0\r\nX-Trailer: 1\r\n\r\n");
    EXPECT_THAT(answer.body, HasSubstr("[1,2,3]"));
    EXPECT_EQ(client.ask(get("/nothing")).status, 204);
}

TEST_F(AnswersTest, AWaitingClientIsToldToSendItsBody) {
    start();
    RawClient client(port());
    const auto interim = client.ask(
        "POST /things HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        "Expect: 100-continue\r\n\r\n");
    EXPECT_EQ(interim.status, 100);
    EXPECT_THAT(client.ask("{}").body, HasSubstr("{}"));
}

TEST_F(AnswersTest, ConnectionsEndWhenTheClientWishes) {
    start();
    RawClient modern(port());
    EXPECT_EQ(modern.ask(get("/nothing", "Connection: close\r\n")).header("Connection"), "close");
    EXPECT_TRUE(modern.is_closed_by_server());
    RawClient old(port());
    EXPECT_EQ(old.ask("GET /nothing HTTP/1.0\r\n\r\n").header("Connection"), "close");
    EXPECT_TRUE(old.is_closed_by_server());
    RawClient persistent(port());
    const std::string request = "GET /nothing HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    EXPECT_EQ(persistent.ask(request).header("Connection"), "keep-alive");
    EXPECT_EQ(persistent.ask(request).status, 204);
    RawClient half_closed(port());
    half_closed.send(get("/things/1"));
    half_closed.finish_sending();
    EXPECT_EQ(half_closed.read_answer().status, 200);
    EXPECT_TRUE(half_closed.is_closed_by_server());
}

TEST_F(AnswersTest, LargeAnswersArriveWholeAtASlowReader) {
    const std::string large(8 * 1024 * 1024, 'x');
    router.add(Method::get, "/large",
               [&](Request&) -> boost::asio::awaitable<Response> { co_return json_response(200, large); });
    start();
    RawClient client(port());
    client.send(get("/large") + get("/nothing"));
    RawClient other(port());
    EXPECT_EQ(other.ask(get("/things/1")).status, 200) << "others do not wait for the slow one";
    EXPECT_TRUE(client.read_answer().body == large);
    EXPECT_EQ(client.read_answer().status, 204);
}

TEST_F(AnswersTest, MetricsAreLabelledByRoute) {
    start();
    RawClient client(port());
    client.ask(get("/things/1"));
    client.ask(get("/things/2"));
    client.ask(get("/nowhere"));
    EXPECT_EQ(metric(R"(http_requests_total{method="GET",route="/things/{id}",status="200"})"), 2);
    EXPECT_EQ(metric(R"(http_requests_total{method="GET",route="unmatched",status="404"})"), 1);
    EXPECT_EQ(metric(R"(http_request_duration_seconds_count{route="/things/{id}"})"), 2);
    EXPECT_EQ(metric("http_connections"), 1);
}

TEST_F(AnswersTest, AHandlerMayWaitForAnotherThread) {
    options.io_threads = 2;
    std::atomic<int> answered{0};
    std::vector<std::jthread> workers;
    std::mutex workers_mutex;
    router.add(Method::get, "/slow/{id}", [&](Request& request) -> boost::asio::awaitable<Response> {
        const auto before = std::this_thread::get_id();
        const int value = co_await wait_for<int>([&](auto done) {
            const std::lock_guard lock(workers_mutex);
            workers.emplace_back([done = std::move(done)]() mutable { done(42); });
        });
        if (before == std::this_thread::get_id()) ++answered;
        co_return json_response(200, std::string(request.parameter("id")) + ":" + std::to_string(value));
    });
    start();
    std::vector<std::jthread> clients;
    std::atomic<int> right{0};
    for (int c = 0; c < 8; ++c) {
        clients.emplace_back([&, c] {
            RawClient client(port());
            for (int i = 0; i < 25; ++i) {
                const std::string id = std::to_string(c * 100 + i);
                if (client.ask(get("/slow/" + id)).body == id + ":42") ++right;
            }
        });
    }
    clients.clear();
    EXPECT_EQ(right, 200);
    EXPECT_EQ(answered, 200) << "each went on with its own I/O thread";
    server->stop(1s);
}

TEST_F(AnswersTest, ATakenPortIsExplained) {
    start();
    ServerOptions same = options;
    same.port = port();
    Server second(same, router, metrics, random);
    try {
        second.start();
        FAIL() << "two servers on one port";
    } catch (const ConfigurationError& error) {
        EXPECT_THAT(error.what(), HasSubstr("taken"));
        EXPECT_THAT(error.what(), HasSubstr("PORT"));
    }
}

}  // namespace
}  // namespace quittance::http
