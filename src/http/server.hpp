// The HTTP/1.1 server: sockets, limits and time limits. What the answers are is the router's business.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/random.hpp"
#include "http/router.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::http {

/// How long a client, and an answer, may take. Checked by a coarse tick: a limit is kept to within a quarter
/// of the shortest one, and at best to one second.
struct ServerTimeouts {
    std::chrono::milliseconds request_header{10'000};  ///< For all of it, from the connect or its first byte.
    std::chrono::milliseconds request_body{20'000};    ///< For all of it, from the end of the header.
    std::chrono::milliseconds keep_alive_idle{75'000};  ///< Longer than the 60 s of usual load balancers.
    /// For making the answer, where a route does not say otherwise; who waited so long for a database that
    /// hangs gets 503. Shorter than the 30 s after which usual clients give up.
    std::chrono::milliseconds handler{25'000};
    std::chrono::milliseconds write{20'000};  ///< For taking one whole answer.
    std::chrono::milliseconds linger{5'000};  ///< For reading what a refused client still sends; see 413.
};

struct ServerOptions {
    std::string host = "127.0.0.1";  ///< A numeric address or a name; "0.0.0.0" or "::" for every interface.
    std::uint16_t port = 8080;       ///< 0 takes any free one; see `Server::port`.
    int io_threads = 1;
    std::size_t max_body_bytes = 256 * 1024;   ///< More is answered with 413.
    std::size_t max_header_bytes = 16 * 1024;  ///< Request line and header fields; more is answered with 431.
    std::size_t max_connections = 10'000;      ///< Beyond it, new ones wait in the kernel's queue.
    ServerTimeouts timeouts;
};

/// Answers HTTP/1.1 and 1.0 requests, pipelined ones in order. A handler runs on the I/O thread of its
/// connection. Every answer carries X-Request-Id, Date and nosniff, and `Cache-Control: no-store` unless the
/// handler chose another.
///
/// Whatever a handler waits for must have called back, or have been dropped, before the server is destroyed:
/// stop the server, then the workers behind the handlers, then destroy both.
class Server {
public:
    /// The router, the metrics and the randomness must outlive the server. Nothing is opened yet.
    Server(ServerOptions options, const Router& router, telemetry::Metrics& metrics, Random& random);
    /// Stops without grace where `stop` was not called.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds: connections are made from then on, and wait. Call once. Throws ConfigurationError when the
    /// address cannot be used: the message says what to do.
    void listen();
    /// Starts the I/O threads; answers are given from then on. Call once. Listens, and throws as `listen`,
    /// where that was not done.
    void start();

    /// The port that is listened on; valid after `listen`. Thread safe.
    [[nodiscard]] std::uint16_t port() const;

    /// Takes no more connections, closes idle ones at once, lets requests in flight finish (their answers
    /// carry `Connection: close`) and cuts off what is left after `grace`. Returns when the I/O threads have
    /// ended. Idempotent and thread safe, but not to be called from a handler.
    void stop(std::chrono::milliseconds grace);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace quittance::http
