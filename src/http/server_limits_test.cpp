// What clients get that send too much, too slowly, or no HTTP.
#include <string>
#include <thread>

#include <gmock/gmock.h>

#include "http/request_parser.hpp"
#include "http/testing.hpp"

namespace quittance::http {
namespace {

class LimitsTest : public ServerTest {
protected:
    LimitsTest() {
        const auto echo = [](Request& request) -> boost::asio::awaitable<Response> {
            co_return json_response(200, request.body);
        };
        router.add(Method::get, "/echo", echo);
        router.add(Method::post, "/echo", echo);
    }

    bool no_connection_is_left() {
        for (int i = 0; i < 1000 && metric("http_connections") > 0; ++i)
            std::this_thread::sleep_for(10ms);
        return metric("http_connections") == 0;
    }
    /// A fresh connection for each: a refusal ends it.
    int status_of(const std::string& request) {
        RawClient client(port());
        return client.ask(request).status;
    }
};

TEST_F(LimitsTest, ATooLongHeaderIsAnsweredWith431) {
    start();
    const std::string value(options.max_header_bytes, 'x');
    RawClient client(port());
    const auto answer = client.ask(get("/echo", "X-Request-Id: mine\r\nX-Long: " + value + "\r\n"));
    EXPECT_EQ(answer.status, 431);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_TRUE(client.is_closed_by_server());
    EXPECT_EQ(status_of("GET /echo HTTP/1.1\r\nX: " + value), 431) << "also without an end in sight";
    EXPECT_EQ(status_of(get("/echo", "X-Long: " + value.substr(200) + "\r\n")), 200);
    std::string many;
    for (int i = 0; i < 3000; ++i)
        many += "X: 1\r\n";
    EXPECT_EQ(status_of(get("/echo", many)), 431);
}

TEST_F(LimitsTest, TheHeaderLimitSpansRequestLineAndFields) {
    start();
    const std::string value(options.max_header_bytes * 6 / 10, 'x');
    RawClient client(port());
    client.send("GET /" + value.substr(0, max_target_bytes - 1) + " HTTP/1.1\r\n");
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(client.ask("Host: test\r\nX-Long: " + value + "\r\n\r\n").status, 431);
}

TEST_F(LimitsTest, a_target_over_8_kib_is_answered_with_414) {
    start();
    const std::string longest = "/echo?q=" + std::string(max_target_bytes - 8, 'x');
    EXPECT_EQ(status_of(get(longest)), 200);
    EXPECT_EQ(status_of(get(longest + "x")), 414);
    EXPECT_EQ(status_of(get("/" + std::string(options.max_header_bytes, 'x'))), 414);
    EXPECT_EQ(status_of("GET /" + std::string(options.max_header_bytes, 'x')), 414)
        << "also without an end in sight";
    EXPECT_EQ(status_of(get(longest + "x", "X: " + std::string(4000, 'x') + "\r\n")), 414);
}

TEST_F(LimitsTest, an_invalid_host_is_answered_with_400) {
    start();
    const auto status_with = [&](const std::string& host) {
        return status_of("GET /echo HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    };
    for (const char* host : {"shop.example.com", "shop.example.com:8080", "127.0.0.1:8080", "[::1]:8080",
                             "[2001:db8::1]", "localhost:", "", "under_score", "%C3%A4.example"})
        EXPECT_EQ(status_with(host), 200) << host;
    for (const char* host :
         {"a b", "a/b", "user@host", "host:port", "host:80:80", "host:123456", "[::1", "[]", "[::1]x",
          "[g::1]", "a\"b", "<script>", "a?b", "a#b", "h\xC3\xA4", "%zz", "%4", "a, b"})
        EXPECT_EQ(status_with(host), 400) << host;
}

TEST_F(LimitsTest, ABodyOverTheLimitIsAnsweredWith413BeforeItIsSent) {
    start();
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 262145\r\n";
    RawClient client(port());
    const auto answer = client.ask(head + "\r\n");
    EXPECT_EQ(answer.status, 413);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_EQ(status_of(head + "Expect: 100-continue\r\n\r\n"), 413) << "and not with 100";
}

TEST_F(LimitsTest, ABodyOfExactlyTheLimitIsTaken) {
    start();
    const std::string largest(options.max_body_bytes, '7');
    RawClient client(port());
    EXPECT_TRUE(client.ask(post("/echo", largest)).body == largest);
    EXPECT_EQ(client.ask(post("/echo", largest + "7")).status, 413);
}

TEST_F(LimitsTest, AClientThatSendsTenMegabytesCanReadItsRefusal) {
    start();
    RawClient client(port());
    EXPECT_TRUE(client.send(post("/echo", std::string(10 * 1024 * 1024, 'x')))) << "reset while sending";
    EXPECT_EQ(client.read_answer().status, 413);
}

TEST_F(LimitsTest, AChunkedBodyHasTheSameLimit) {
    start();
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: "
        "chunked\r\n\r\n";
    std::string chunks;
    for (int i = 0; i < 300; ++i)
        chunks += "400\r\n" + std::string(1024, 'x') + "\r\n";
    EXPECT_EQ(status_of(head + chunks + "0\r\n\r\n"), 413);
    EXPECT_EQ(status_of(head + "FFFFFFFFFFFFFFFF\r\n"), 413);
    EXPECT_EQ(status_of(head + "10000000000000000\r\n"), 400) << "no number of 64 bits";
    EXPECT_EQ(status_of(head + "zz\r\n"), 400);
    EXPECT_EQ(status_of(head + "1;" + std::string(20'000, 'x')), 431) << "a size line without end";
    EXPECT_EQ(status_of(head + "0\r\nX: " + std::string(20'000, 'x')), 431) << "a trailer without end";
    EXPECT_EQ(status_of(head + "0\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), 431) << "nor with one";
}

TEST_F(LimitsTest, WhatIsNotHttpIsAnsweredWith400) {
    start();
    for (const char* request :
         {"nonsense\r\n\r\n", "GET /echo\r\n\r\n", "GET /echo HTTP/3.0\r\nHost: x\r\n\r\n",
          "GET /echo HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
          "GET /echo HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
          "GET /echo HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", "\x16\x03\x01\x02",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
        EXPECT_EQ(status_of(request), 400) << request;
    }
    EXPECT_EQ(status_of("GET /echo HTTP/1.1\r\n\r\n"), 400) << "no Host";
    EXPECT_EQ(status_of(get("/echo", "Host: again\r\n")), 400) << "two Hosts";
    EXPECT_EQ(status_of("GET /echo HTTP/1.0\r\n\r\n"), 200) << "HTTP/1.0 knows no Host";
}

TEST_F(LimitsTest, ARequestThatCouldHideAnotherOneIsRefused) {
    start();
    const std::string post_head = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";
    const std::string chunked_body = "\r\n2\r\n{}\r\n0\r\n\r\n";
    for (const char* fields :
         {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "Transfer-Encoding: gzip, chunked\r\n",
          "Transfer-Encoding: identity\r\n", "Transfer-Encoding: xchunked\r\n",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
          "Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n",
          "Content-Length: 2, 2\r\n", "Content-Length: +2\r\n", "Content-Length: -1\r\n",
          "Content-Length: 0x2\r\n", "Content-Length: 99999999999999999999\r\n", "Content-Length:\r\n"}) {
        RawClient client(port());
        EXPECT_EQ(client.ask(post_head + fields + chunked_body).status, 400) << fields;
        EXPECT_TRUE(client.is_closed_by_server()) << fields;
    }
    EXPECT_EQ(status_of("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + chunked_body), 400);
}

TEST_F(LimitsTest, BadEscapesAreAnsweredWith400) {
    start();
    RawClient client(port());
    for (const char* target : {"/echo%", "/echo%zz", "/%00", "/%C3%28", "/echo?a=%", "/echo?a=%00", "echo"}) {
        EXPECT_EQ(client.ask(get(target)).status, 400) << target;
    }
    EXPECT_EQ(client.ask(get("/echo")).status, 200) << "the connection lives on";
}

TEST_F(LimitsTest, ASilentConnectionIsClosedWithoutAWord) {
    options.timeouts.request_header = 200ms;
    start();
    const auto begin = std::chrono::steady_clock::now();
    RawClient client(port());
    EXPECT_TRUE(client.is_closed_by_server());
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 150ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

TEST_F(LimitsTest, AnIdleConnectionIsClosedAfterItsTime) {
    options.timeouts.keep_alive_idle = 200ms;
    start();
    RawClient client(port());
    EXPECT_EQ(client.ask(get("/echo")).status, 200);
    EXPECT_TRUE(client.is_closed_by_server());
}

TEST_F(LimitsTest, ADripOfBytesDoesNotExtendTheTime) {
    options.timeouts.request_header = 300ms;
    options.timeouts.linger = 200ms;
    start();
    RawClient client(port());
    const std::string request = get("/echo", "X-Slow: " + std::string(100, 'x') + "\r\n");
    const auto begin = std::chrono::steady_clock::now();
    std::jthread drip([&](const std::stop_token& stop) {
        for (std::size_t i = 0; i < request.size() && !stop.stop_requested(); ++i) {
            if (!client.send(request.substr(i, 1))) return;
            std::this_thread::sleep_for(40ms);
        }
    });
    EXPECT_EQ(client.read_answer().status, 408);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

TEST_F(LimitsTest, ABodyThatDoesNotComeIsAnsweredWith408) {
    options.timeouts.request_body = 200ms;
    start();
    RawClient client(port());
    const auto answer = client.ask(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
    EXPECT_EQ(answer.status, 408);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_TRUE(client.is_closed_by_server());
}

TEST_F(LimitsTest, AClientThatDoesNotReadIsCutOff) {
    router.add(Method::get, "/large", [](Request&) -> boost::asio::awaitable<Response> {
        co_return json_response(200, std::string(16 * 1024 * 1024, 'x'));
    });
    options.timeouts.write = 200ms;
    start();
    RawClient client(port());
    client.send(get("/large"));
    std::this_thread::sleep_for(100ms);  // So that it is accepted.
    EXPECT_TRUE(no_connection_is_left());
    EXPECT_LT(client.read_answer().body.size(), 16u * 1024 * 1024);
}

TEST_F(LimitsTest, AClientThatGoesAwayInTheMiddleLeavesNothingBehind) {
    start();
    for (const std::size_t length : {1u, 30u, 100u}) {
        RawClient client(port());
        client.send(post("/echo", std::string(100, 'x')).substr(0, length));
    }
    // Accepted in the order in which they came: when this one is answered, the others were.
    EXPECT_EQ(status_of(get("/echo")), 200);
    EXPECT_TRUE(no_connection_is_left());
}

TEST_F(LimitsTest, MoreConnectionsThanAllowedWaitTheirTurn) {
    options.max_connections = 2;
    start();
    auto first = std::make_unique<RawClient>(port());
    RawClient second(port());
    EXPECT_EQ(first->ask(get("/echo")).status, 200);
    EXPECT_EQ(second.ask(get("/echo")).status, 200);
    RawClient third(port());
    third.send(get("/echo"));
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(metric("http_connections"), 2);
    first.reset();
    EXPECT_EQ(third.read_answer().status, 200);
}

}  // namespace
}  // namespace quittance::http
