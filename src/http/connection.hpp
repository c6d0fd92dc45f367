// One client's connection: reads requests, has them answered, keeps the time limits.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/intrusive/list_hook.hpp>

#include "http/io_thread.hpp"
#include "http/message.hpp"
#include "http/request_parser.hpp"

namespace quittance::http {

/// Lives on its I/O thread, inside the coroutine that calls `run`. It holds no timer: the thread's tick looks
/// at `deadline`, which costs nothing per request.
class Connection
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    Connection(IoThread& thread, Socket socket);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Serves requests until either side has had enough.
    boost::asio::awaitable<void> run();

    /// When the client must have done what it is doing now.
    [[nodiscard]] TimePoint deadline() const { return deadline_; }
    /// The deadline has passed.
    void expire();
    /// Ends the wait for a request that has not begun.
    void end_idling();
    /// Ends everything.
    void cut_off();

private:
    /// What the connection waits for.
    enum class Phase { idle, header, body, handler, write, linger };
    enum class Received { request, refused, timed_out, closed };
    enum class Read { bytes, timed_out, closed };

    void enter(Phase phase, TimePoint deadline) {
        phase_ = phase;
        deadline_ = deadline;
    }

    boost::asio::awaitable<Received> receive(RequestParser& parser);
    boost::asio::awaitable<Read> read_more();
    bool read_what_is_there();
    void make_room(bool in_body);
    void give_back_room();

    /// False when the connection is to be closed.
    boost::asio::awaitable<bool> answer(RequestParser& parser);
    /// Answers in place of a handler that takes too long; its own answer is then thrown away.
    void give_up();
    boost::asio::awaitable<void> refuse(RequestParser& parser, const Refusal& refusal);
    boost::asio::awaitable<bool> write(Request& request, const Response& response,
                                       std::string_view connection);
    bool send_continue();
    boost::asio::awaitable<void> linger();

    [[nodiscard]] std::string_view unread() const {
        return {buffer_.data() + unread_begin_, unread_end_ - unread_begin_};
    }

    IoThread& thread_;
    Socket socket_;
    Phase phase_ = Phase::idle;
    TimePoint deadline_ = TimePoint::max();
    bool expired_ = false;
    /// What the handler works on, while it does.
    const Request* in_work_ = nullptr;
    std::size_t route_in_work_ = 0;
    TimePoint work_began_{};
    bool served_one_ = false;
    std::string remote_address_;
    std::vector<char> buffer_;
    std::size_t unread_begin_ = 0;
    std::size_t unread_end_ = 0;
};

}  // namespace quittance::http
