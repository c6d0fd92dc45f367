// For tests: a server on a free port, and a client that sends exactly the bytes it is told to.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/random.hpp"
#include "http/router.hpp"
#include "http/server.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::http {

using namespace std::chrono_literals;

/// An answer as it came over the wire. `status` 0: the server closed without one.
struct RawAnswer {
    int status = 0;
    std::string head;
    std::string body;

    [[nodiscard]] std::string header(const std::string& name) const {
        const auto begin = head.find("\r\n" + name + ": ");
        if (begin == std::string::npos) return {};
        const auto value = begin + name.size() + 4;
        return head.substr(value, head.find("\r\n", value) - value);
    }
};

/// A blocking TCP connection; every read gives up after five seconds.
class RawClient {
public:
    explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        const timeval limit{.tv_sec = 5, .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;
    ~RawClient() { ::close(socket_); }

    [[nodiscard]] bool connected() const { return connected_; }

    /// False when the server does not take it all.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    void finish_sending() { ::shutdown(socket_, SHUT_WR); }

    /// Reads one answer; `head_only` for the answer to HEAD.
    RawAnswer read_answer(bool head_only = false) {
        RawAnswer answer;
        while (received_.find("\r\n\r\n") == std::string::npos) {
            if (!read_some()) return answer;
        }
        const auto head_end = received_.find("\r\n\r\n") + 2;
        answer.head = received_.substr(0, head_end);
        received_.erase(0, head_end + 2);
        answer.status = std::atoi(answer.head.c_str() + std::string_view("HTTP/1.1 ").size());
        const auto length =
            head_only ? 0 : std::strtoul(answer.header("Content-Length").c_str(), nullptr, 10);
        while (received_.size() < length && read_some()) {
        }
        answer.body = received_.substr(0, length);
        received_.erase(0, length);
        return answer;
    }
    RawAnswer ask(std::string_view request) {
        send(request);
        return read_answer();
    }

    /// True when the server closes without sending anything more; false after the read's time limit.
    bool is_closed_by_server() {
        char byte = 0;
        return received_.empty() && ::recv(socket_, &byte, 1, 0) == 0;
    }

private:
    bool read_some() {
        char bytes[4096];
        const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
        if (count <= 0) return false;
        received_.append(bytes, static_cast<std::size_t>(count));
        return true;
    }

    int socket_;
    bool connected_ = false;
    std::string received_;
};

inline std::string get(std::string_view target, std::string_view headers = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n";
}

inline std::string post(std::string_view target, std::string_view body,
                        std::string_view headers = "Content-Type: application/json\r\n") {
    return "POST " + std::string(target) +
           " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           std::string(headers) + "\r\n" + std::string(body);
}

/// Add routes and set options first, then `start()`.
class ServerTest : public ::testing::Test {
protected:
    void start() {
        options.port = 0;
        server = std::make_unique<Server>(options, router, metrics, random);
        server->start();
    }
    [[nodiscard]] std::uint16_t port() const { return server->port(); }

    /// The value of one line of the exposition text; -1 when it is not there.
    double metric(const std::string& series) {
        const std::string text = "\n" + metrics.expose();
        const auto found = text.find("\n" + series + " ");
        if (found == std::string::npos) return -1;
        return std::strtod(text.c_str() + found + series.size() + 2, nullptr);
    }

    ServerOptions options;
    Router router;
    telemetry::Metrics metrics;
    SystemRandom random;
    std::unique_ptr<Server> server;
};

}  // namespace quittance::http
