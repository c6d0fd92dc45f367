#include "http/server.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/error.hpp"
#include "http/io_thread.hpp"
#include "telemetry/log.hpp"

namespace quittance::http {

namespace {

namespace asio = boost::asio;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

constexpr auto await_outcome = asio::as_tuple(asio::use_awaitable);

/// How long to leave new connections in the kernel's queue when there are too many, or when none can be
/// taken because file descriptors have run out.
constexpr std::chrono::milliseconds accept_pause{20};
constexpr std::chrono::seconds complaint_interval{10};
/// The kernel cuts it down to net.core.somaxconn.
constexpr int listen_backlog = 4096;

[[noreturn]] void fail_to_listen(const ServerOptions& options, const boost::system::error_code& error) {
    const std::string where = options.host + ":" + std::to_string(options.port);
    if (error == asio::error::address_in_use) {
        throw ConfigurationError(where +
                                 " is taken: stop the program that listens there, or choose another PORT");
    }
    if (error == asio::error::access_denied) {
        throw ConfigurationError(where + " is for privileged programs only: choose a PORT above 1023");
    }
    throw ConfigurationError("cannot listen on " + where + " (" + error.message() +
                             "): choose an address of this machine");
}

asio::ip::tcp::endpoint endpoint_of(asio::io_context& context, const ServerOptions& options) {
    boost::system::error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (!error) return {address, options.port};
    asio::ip::tcp::resolver resolver(context);
    const auto found = resolver.resolve(options.host, std::to_string(options.port), error);
    if (error || found.empty()) fail_to_listen(options, error);
    return *found.begin();
}

}  // namespace

struct Server::State {
    State(ServerOptions options, const Router& router, telemetry::Metrics& metrics, Random& random)
        : context{.options = std::move(options), .router = router, .metrics = metrics, .random = random} {}

    void listen();
    asio::awaitable<void> accept_connections();
    asio::awaitable<void> pause(std::string reason);

    ServerContext context;
    std::vector<std::unique_ptr<IoThread>> threads;
    std::unique_ptr<Acceptor> acceptor;  // Lives on the first thread.
    std::uint16_t port = 0;
    std::chrono::steady_clock::time_point next_complaint;
    std::mutex stop_mutex;
    bool stopped = false;
};

void Server::State::listen() {
    asio::io_context& first = threads.front()->context();
    const auto endpoint = endpoint_of(first, context.options);
    acceptor = std::make_unique<Acceptor>(first);
    boost::system::error_code error;
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
    // "::" serves IPv4 too, whatever the system's default is.
    if (!error && endpoint.address().is_v6()) acceptor->set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(listen_backlog, error);
    if (error) fail_to_listen(context.options, error);
    port = acceptor->local_endpoint().port();
}

asio::awaitable<void> Server::State::pause(std::string reason) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_complaint) {
        log::warning("new connections must wait", {{"reason", reason}});
        next_complaint = now + complaint_interval;
    }
    asio::steady_timer timer(threads.front()->context(), accept_pause);
    co_await timer.async_wait(await_outcome);
}

asio::awaitable<void> Server::State::accept_connections() {
    std::size_t next_thread = 0;
    while (acceptor->is_open()) {
        if (context.connections->value() >= context.options.max_connections) {
            co_await pause("there are as many connections as allowed");
            continue;
        }
        IoThread& thread = *threads[next_thread++ % threads.size()];
        Socket socket(thread.context());
        const auto [error] = co_await acceptor->async_accept(socket, await_outcome);
        if (error == asio::error::operation_aborted || !acceptor->is_open()) break;
        if (error) {
            co_await pause(error.message());
            continue;
        }
        context.connections->add();
        thread.serve(std::move(socket));
    }
}

Server::Server(ServerOptions options, const Router& router, telemetry::Metrics& metrics, Random& random)
    : state_(std::make_unique<State>(std::move(options), router, metrics, random)) {
    metrics.gauge(
        "http_connections", "Connections that are open.", {},
        [connections = state_->context.connections] { return static_cast<double>(connections->value()); });
}

Server::~Server() {
    stop(std::chrono::milliseconds::zero());
}

void Server::listen() {
    ensure(state_->threads.empty(), "a server listens once");
    const int thread_count = std::max(1, state_->context.options.io_threads);
    for (int i = 0; i < thread_count; ++i)
        state_->threads.push_back(std::make_unique<IoThread>(state_->context));
    state_->listen();
}

void Server::start() {
    if (state_->threads.empty()) listen();
    asio::co_spawn(state_->threads.front()->context(), state_->accept_connections(), asio::detached);
    int number = 0;
    for (const auto& thread : state_->threads)
        thread->start(number++);
}

std::uint16_t Server::port() const {
    return state_->port;
}

void Server::stop(std::chrono::milliseconds grace) {
    const std::lock_guard lock(state_->stop_mutex);
    if (std::exchange(state_->stopped, true) || state_->port == 0) return;
    asio::post(state_->threads.front()->context(), [state = state_.get()] { state->acceptor->close(); });
    for (const auto& thread : state_->threads)
        thread->drain();
    state_->context.connections->wait_for_none(grace);
    for (const auto& thread : state_->threads)
        thread->cut_off();
}

}  // namespace quittance::http
