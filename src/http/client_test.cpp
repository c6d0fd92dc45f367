#include "http/client.hpp"

#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "http/testing.hpp"
#include "tests/support/free_port.hpp"

namespace quittance::http {
namespace {

/// Accepts connections and reads from them, but never answers; closes them at once when told to.
class SilentServer {
public:
    explicit SilentServer(bool close_at_once) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), length);
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
        ::listen(socket_, 8);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this, close_at_once] {
            std::vector<int> kept;
            while (true) {
                const int peer = ::accept(socket_, nullptr, nullptr);
                if (peer < 0) break;
                char bytes[4096];
                static_cast<void>(::recv(peer, bytes, sizeof bytes, 0));
                if (close_at_once) {
                    ::close(peer);
                } else {
                    kept.push_back(peer);
                }
            }
            for (const int peer : kept)
                ::close(peer);
        });
    }
    SilentServer(const SilentServer&) = delete;
    SilentServer& operator=(const SilentServer&) = delete;
    ~SilentServer() {
        ::shutdown(socket_, SHUT_RDWR);
        thread_.join();
        ::close(socket_);
    }

    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

private:
    int socket_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

/// Answers the first request of its first connection and closes that at the second; answers all others.
class ForgetfulServer {
public:
    ForgetfulServer() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), length);
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
        ::listen(socket_, 8);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            const int first = ::accept(socket_, nullptr, nullptr);
            answer(first);
            char bytes[4096];
            static_cast<void>(::recv(first, bytes, sizeof bytes, 0));
            ::close(first);
            const int second = ::accept(socket_, nullptr, nullptr);
            if (second < 0) return;
            answer(second);
            ::close(second);
        });
    }
    ForgetfulServer(const ForgetfulServer&) = delete;
    ForgetfulServer& operator=(const ForgetfulServer&) = delete;
    ~ForgetfulServer() {
        ::shutdown(socket_, SHUT_RDWR);
        thread_.join();
        ::close(socket_);
    }
    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

private:
    static void answer(int peer) {
        char bytes[4096];
        static_cast<void>(::recv(peer, bytes, sizeof bytes, 0));
        constexpr std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        static_cast<void>(::send(peer, text.data(), text.size(), MSG_NOSIGNAL));
    }

    int socket_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

ClientOutcome ask(Client& client, ClientRequest request) {
    std::promise<ClientOutcome> promise;
    auto future = promise.get_future();
    client.send(std::move(request), [&](ClientOutcome outcome) { promise.set_value(std::move(outcome)); });
    return future.get();
}

ClientRequest request_to(std::string url) {
    ClientRequest request;
    request.url = std::move(url);
    return request;
}

class ClientTest : public ServerTest {
protected:
    void SetUp() override {
        router.add(Method::get, "/greeting", [](const Request& request) -> boost::asio::awaitable<Response> {
            co_return Response{200,
                               {{"X-Seen", std::string(request.header("authorization"))}},
                               "hello " + std::string(request.header("x-name"))};
        });
        router.add(Method::post, "/echo", [](const Request& request) -> boost::asio::awaitable<Response> {
            co_return Response{201, {}, request.body};
        });
        start();
    }
    [[nodiscard]] std::string url(std::string_view path) const {
        return "http://127.0.0.1:" + std::to_string(port()) + std::string(path);
    }

    Client client;
};

TEST_F(ClientTest, an_answer_has_its_status_its_headers_in_lower_case_and_its_body) {
    ClientRequest request = request_to(url("/greeting"));
    request.headers = {{"X-Name", "Ada"}};
    request.bearer_token = Secret("sesame");
    const ClientOutcome outcome = ask(client, std::move(request));
    ASSERT_TRUE(outcome.response) << outcome.failure;
    EXPECT_EQ(outcome.response->status, 200);
    EXPECT_EQ(outcome.response->body, "hello Ada");
    EXPECT_EQ(outcome.response->header("x-seen"), "Bearer sesame");
}

TEST_F(ClientTest, an_error_status_is_an_answer) {
    const ClientOutcome outcome = ask(client, request_to(url("/nowhere")));
    ASSERT_TRUE(outcome.response) << outcome.failure;
    EXPECT_EQ(outcome.response->status, 404);
}

TEST_F(ClientTest, a_long_body_arrives_whole) {
    ClientRequest request = request_to(url("/echo"));
    request.method = Method::post;
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::string(200'000, 'x') + "end";
    const std::string sent = request.body;
    const ClientOutcome outcome = ask(client, std::move(request));
    ASSERT_TRUE(outcome.response) << outcome.failure;
    EXPECT_EQ(outcome.response->status, 201);
    EXPECT_EQ(outcome.response->body, sent);
}

TEST_F(ClientTest, many_requests_at_once_get_their_own_answers) {
    constexpr int count = 500;
    std::atomic<int> right = 0;
    std::atomic<int> answered = 0;
    std::promise<void> all;
    for (int i = 0; i < count; ++i) {
        ClientRequest request = request_to(url("/echo"));
        request.method = Method::post;
        request.headers = {{"Content-Type", "application/json"}};
        request.body = std::to_string(i);
        client.send(std::move(request), [&, i](ClientOutcome outcome) {
            if (outcome.response && outcome.response->body == std::to_string(i)) ++right;
            if (++answered == count) all.set_value();
        });
    }
    all.get_future().wait();
    EXPECT_EQ(right, count);
}

TEST_F(ClientTest, what_nobody_listens_for_has_not_arrived) {
    const ClientOutcome outcome =
        ask(client, request_to("http://127.0.0.1:" + std::to_string(test_support::free_port()) + "/"));
    EXPECT_FALSE(outcome.response);
    EXPECT_FALSE(outcome.may_have_arrived);
    EXPECT_FALSE(outcome.failure.empty());
}

TEST_F(ClientTest, what_was_sent_and_not_answered_may_have_arrived) {
    const SilentServer silent(false);
    ClientRequest request = request_to(silent.url());
    request.timeout = 2s;
    const ClientOutcome late = ask(client, std::move(request));
    EXPECT_FALSE(late.response);
    EXPECT_TRUE(late.may_have_arrived);

    const SilentServer rude(true);
    const ClientOutcome dropped = ask(client, request_to(rude.url()));
    EXPECT_FALSE(dropped.response);
    EXPECT_TRUE(dropped.may_have_arrived);
}

TEST_F(ClientTest, request_that_was_sent_again_over_a_new_connection_says_so) {
    const ForgetfulServer forgetful;
    ClientRequest request = request_to(forgetful.url());
    request.method = Method::post;
    request.body = "charge";
    const ClientOutcome first = ask(client, request);
    ASSERT_TRUE(first.response) << first.failure;
    EXPECT_FALSE(first.sent_again);
    const ClientOutcome second = ask(client, request);
    ASSERT_TRUE(second.response) << second.failure;
    EXPECT_TRUE(second.sent_again) << "the server has seen it twice";
}

TEST_F(ClientTest, only_http_is_spoken) {
    const ClientOutcome outcome = ask(client, request_to("file:///etc/hostname"));
    EXPECT_FALSE(outcome.response);
    EXPECT_FALSE(outcome.may_have_arrived);
}

TEST_F(ClientTest, an_answer_without_end_is_cut_off) {
    ClientOptions few_bytes;
    few_bytes.max_response_bytes = 100;
    Client small(few_bytes);
    ClientRequest request = request_to(url("/echo"));
    request.method = Method::post;
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::string(101, 'x');
    const ClientOutcome outcome = ask(small, request);
    EXPECT_FALSE(outcome.response);
    EXPECT_TRUE(outcome.may_have_arrived);
    EXPECT_TRUE(outcome.too_long);

    request.max_response_bytes = 10'000;
    EXPECT_TRUE(ask(small, request).response) << "this request takes more";
    Client patient;
    request.max_response_bytes = 100;
    EXPECT_TRUE(ask(patient, std::move(request)).too_long) << "and less than others";
}

TEST_F(ClientTest, beyond_the_limit_requests_fail_at_once) {
    const SilentServer silent(false);
    std::promise<ClientOutcome> first;  // The client's end answers it, so it has to live longer.
    ClientOptions one_call;
    one_call.max_in_flight = 1;
    Client small(one_call);
    small.send(request_to(silent.url()), [&](ClientOutcome outcome) { first.set_value(std::move(outcome)); });
    const ClientOutcome second = ask(small, request_to(silent.url()));
    EXPECT_FALSE(second.response);
    EXPECT_FALSE(second.may_have_arrived);
    EXPECT_EQ(second.failure, "too many requests are in flight");
}

TEST_F(ClientTest, a_client_that_goes_fails_what_is_in_flight) {
    const SilentServer silent(false);
    std::atomic<int> failed = 0;
    {
        Client short_lived;
        for (int i = 0; i < 3; ++i) {
            short_lived.send(request_to(silent.url()), [&](ClientOutcome outcome) {
                if (!outcome.response) ++failed;
                // Sending again from the callback must not be lost either.
                short_lived.send(request_to(silent.url()), [&](ClientOutcome again) {
                    if (again.failure == "the program is stopping") ++failed;
                });
            });
        }
    }
    EXPECT_EQ(failed, 6);
}

}  // namespace
}  // namespace quittance::http
