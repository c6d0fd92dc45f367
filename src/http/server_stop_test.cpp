// How the server ends.
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "http/await.hpp"
#include "http/testing.hpp"

namespace quittance::http {
namespace {

class StopTest : public ServerTest {
protected:
    StopTest() {
        router.add(Method::get, "/fast",
                   [](Request&) -> boost::asio::awaitable<Response> { co_return json_response(200, "{}"); });
        router.add(Method::get, "/held", [this](Request&) -> boost::asio::awaitable<Response> {
            const int status = co_await wait_for<int>([this](auto done) {
                const std::lock_guard lock(mutex);
                held.push_back(std::move(done));
            });
            co_return json_response(status, "{}");
        });
    }
    ~StopTest() override {
        if (server) server->stop(0ms);
        held.clear();
    }

    [[nodiscard]] bool waits_for(std::size_t count) {
        for (int i = 0; i < 500; ++i) {
            {
                const std::lock_guard lock(mutex);
                if (held.size() == count) return true;
            }
            std::this_thread::sleep_for(5ms);
        }
        return false;
    }
    void release_all() {
        const std::lock_guard lock(mutex);
        for (auto& done : held)
            done(200);
        held.clear();
    }

    std::mutex mutex;
    std::vector<absl::AnyInvocable<void(int)>> held;
};

TEST_F(StopTest, RequestsInFlightAreFinishedAndIdleConnectionsClosedAtOnce) {
    options.io_threads = 2;
    start();
    RawClient idle(port());
    EXPECT_EQ(idle.ask(get("/fast")).status, 200);
    RawClient silent(port());
    RawClient busy(port());
    RawClient half_sent(port());
    // Answered once, so that it is known to be accepted.
    EXPECT_EQ(half_sent.ask(get("/fast")).status, 200);
    busy.send(get("/held"));
    half_sent.send(get("/fast").substr(0, 10));
    ASSERT_TRUE(waits_for(1));
    std::this_thread::sleep_for(50ms);
    std::jthread stopper([&] { server->stop(5s); });
    EXPECT_TRUE(idle.is_closed_by_server());
    EXPECT_TRUE(silent.is_closed_by_server());
    half_sent.send(get("/fast").substr(10));
    const auto half_sent_answer = half_sent.read_answer();
    EXPECT_EQ(half_sent_answer.status, 200);
    EXPECT_EQ(half_sent_answer.header("Connection"), "close");
    EXPECT_FALSE(RawClient(port()).connected()) << "while one is still answered, nothing new is accepted";
    release_all();
    const auto answer = busy.read_answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_TRUE(busy.is_closed_by_server());
    stopper.join();
    EXPECT_FALSE(RawClient(port()).connected());
}

TEST_F(StopTest, AnAnswerThatTakesTooLongIsGivenUp) {
    options.timeouts.handler = 200ms;
    start();
    RawClient busy(port());
    const auto begin = std::chrono::steady_clock::now();
    busy.send(get("/held", "X-Request-Id: mine\r\n"));
    const auto answer = busy.read_answer();
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.header("Retry-After"), "1");
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_EQ(answer.header("X-Request-Id"), "mine");
    EXPECT_TRUE(busy.is_closed_by_server());
    EXPECT_EQ(metric(R"(http_requests_total{method="GET",route="/held",status="503"})"), 1);
    ASSERT_TRUE(waits_for(1));
    release_all();  // Too late, and thrown away.
    EXPECT_EQ(RawClient(port()).ask(get("/fast")).status, 200);
    EXPECT_EQ(metric(R"(http_requests_total{method="GET",route="/held",status="200"})"), -1);
}

TEST_F(StopTest, WhatTakesLongerThanTheGraceIsCutOff) {
    start();
    RawClient busy(port());
    busy.send(get("/held"));
    ASSERT_TRUE(waits_for(1));
    const auto begin = std::chrono::steady_clock::now();
    server->stop(100ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_EQ(busy.read_answer().status, 0);
    release_all();  // Too late, and harmless.
}

TEST_F(StopTest, StoppingTwiceOrNeverStartingIsFine) {
    start();
    server->stop(0ms);
    server->stop(1s);
    server.reset();
    const Server never_started(options, router, metrics, random);
}

TEST_F(StopTest, AStopUnderLoadLosesNoAnswerThatWasBegun) {
    options.io_threads = 2;
    start();
    std::atomic<int> answers{0};
    std::atomic<int> cut_short{0};
    std::vector<std::jthread> clients;
    for (int c = 0; c < 8; ++c) {
        clients.emplace_back([&] {
            while (true) {
                RawClient client(port());
                if (!client.connected()) return;
                for (int i = 0; i < 20; ++i) {
                    const auto answer = client.ask(get("/fast"));
                    if (answer.status == 0) return;
                    ++answers;
                    if (answer.status != 200 || answer.body != "{}") ++cut_short;
                    if (answer.header("Connection") == "close") break;
                }
            }
        });
    }
    for (int i = 0; i < 1000 && answers <= 100; ++i)
        std::this_thread::sleep_for(10ms);
    EXPECT_GT(answers, 100);
    const auto begin = std::chrono::steady_clock::now();
    server->stop(30s);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s) << "nothing was left to wait for";
    clients.clear();
    EXPECT_EQ(cut_short, 0);
}

}  // namespace
}  // namespace quittance::http
