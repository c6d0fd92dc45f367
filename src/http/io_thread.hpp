// One thread, one io_context and the connections that live on it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include "core/random.hpp"
#include "http/request_metrics.hpp"
#include "http/router.hpp"
#include "http/server.hpp"

namespace quittance::http {

class Connection;

/// Bound to one io_context, so that operations on it need no virtual call.
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

/// How many connections are open, over all I/O threads. Thread safe.
class ConnectionCount {
public:
    void add() { count_.fetch_add(1); }
    void remove();
    [[nodiscard]] std::size_t value() const { return count_.load(); }
    /// Waits until there is none; false when `limit` passes first.
    bool wait_for_none(std::chrono::milliseconds limit);

private:
    std::atomic<std::size_t> count_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
};

/// What every connection needs; outlives them.
struct ServerContext {
    ServerOptions options;
    const Router& router;
    telemetry::Metrics& metrics;
    Random& random;
    /// Shared with the gauge, which the metrics may read after the server is gone.
    std::shared_ptr<ConnectionCount> connections = std::make_shared<ConnectionCount>();
};

/// All members are for the thread itself, except where they say otherwise.
class IoThread {
public:
    explicit IoThread(ServerContext& server);
    /// Ends the thread where it still runs, and destroys what waits on it.
    ~IoThread();
    IoThread(const IoThread&) = delete;
    IoThread& operator=(const IoThread&) = delete;

    /// The number is for the name of the thread.
    void start(int number);
    /// From any thread: serves the socket, whose executor is this thread's. It counts as open already.
    void serve(Socket socket);
    /// From any thread: closes idle connections and makes every answer from now on the last of its
    /// connection.
    void drain();
    /// From any thread: closes every connection and ends the thread.
    void cut_off();

    /// From any thread.
    [[nodiscard]] boost::asio::io_context& context() { return context_; }
    [[nodiscard]] ServerContext& server() { return server_; }
    [[nodiscard]] RequestMetrics& metrics() { return metrics_; }
    [[nodiscard]] bool draining() const { return draining_; }
    /// `Date` for answers, at most one tick old.
    [[nodiscard]] const std::string& date() const { return date_; }
    /// For text that is used up before the next wait.
    [[nodiscard]] std::string& scratch() { return scratch_; }

    void add(Connection& connection);

private:
    void run(int number);
    void tick();

    using Connections = boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>>;

    ServerContext& server_;
    RequestMetrics metrics_;
    std::string date_;
    std::string scratch_;
    std::chrono::milliseconds tick_interval_;
    bool draining_ = false;
    std::unique_ptr<Connections> connections_;
    // Last: what still waits on it when it goes uses everything above.
    boost::asio::io_context context_;
    boost::asio::steady_timer ticker_;
    std::thread thread_;
};

}  // namespace quittance::http
