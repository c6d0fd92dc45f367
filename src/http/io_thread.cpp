#include "http/io_thread.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/thread_name.hpp"
#include "http/connection.hpp"
#include "http/response_head.hpp"
#include "telemetry/log.hpp"

namespace quittance::http {

namespace {

using std::chrono::milliseconds;

/// `Date` has seconds, so there is no use in a slower tick; a faster one is for tests with short limits.
constexpr milliseconds longest_tick{1000};
constexpr milliseconds shortest_tick{5};

milliseconds tick_for(const ServerTimeouts& timeouts) {
    const auto shortest = std::min({timeouts.request_header, timeouts.request_body, timeouts.keep_alive_idle,
                                    timeouts.write, timeouts.linger});
    return std::clamp(shortest / 4, shortest_tick, longest_tick);
}

/// Above all that have the usual 0, the server of a database on the same machine among them.
constexpr int niceness = -10;

/// Answers, and refusals above all, should not wait for a processor behind the work of those accepted before;
/// but neither should each event interrupt that work, so that the thread finds several when it runs
/// (SCHED_BATCH, sched(7)). Linux knows both for single threads (setpriority(2), "C library/kernel
/// differences"). Where niceness takes a right that we do not have, the thread keeps its own.
void go_first() {
    const sched_param no_priority{};
    static_cast<void>(::sched_setscheduler(0, SCHED_BATCH, &no_priority));
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness));
}

boost::asio::awaitable<void> serve_connection(IoThread& thread, Socket socket) {
    Connection connection(thread, std::move(socket));
    co_await connection.run();
}

}  // namespace

void ConnectionCount::remove() {
    if (count_.fetch_sub(1) != 1) return;
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

bool ConnectionCount::wait_for_none(milliseconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return value() == 0; });
}

IoThread::IoThread(ServerContext& server)
    : server_(server),
      metrics_(server.router, server.metrics),
      date_(http_date_now()),
      tick_interval_(tick_for(server.options.timeouts)),
      connections_(std::make_unique<Connections>()),
      context_(1),
      ticker_(context_) {}

IoThread::~IoThread() {
    cut_off();
}

void IoThread::start(int number) {
    tick();
    thread_ = std::thread([this, number] { run(number); });
}

void IoThread::run(int number) {
    name_this_thread("q-http-" + std::to_string(number));
    go_first();
    const auto keep_running = boost::asio::make_work_guard(context_);
    while (!context_.stopped()) {
        try {
            context_.run();
        } catch (const std::exception& failure) {
            // Nothing that we run here lets an exception out; a handler's stray completion might.
            log::error("an I/O thread caught an exception", {{"error", failure.what()}});
        }
    }
}

void IoThread::serve(Socket socket) {
    boost::asio::co_spawn(context_, serve_connection(*this, std::move(socket)), boost::asio::detached);
}

void IoThread::add(Connection& connection) {
    connections_->push_back(connection);
}

void IoThread::tick() {
    date_ = http_date_now();
    const auto now = std::chrono::steady_clock::now();
    for (Connection& connection : *connections_) {
        if (connection.deadline() <= now) connection.expire();
    }
    ticker_.expires_after(tick_interval_);
    ticker_.async_wait([this](const boost::system::error_code& error) {
        if (!error) tick();
    });
}

void IoThread::drain() {
    boost::asio::post(context_, [this] {
        draining_ = true;
        for (Connection& connection : *connections_)
            connection.end_idling();
    });
}

void IoThread::cut_off() {
    if (!thread_.joinable()) return;
    boost::asio::post(context_, [this] {
        for (Connection& connection : *connections_)
            connection.cut_off();
        context_.stop();
    });
    thread_.join();
}

}  // namespace quittance::http
