#include "http/connection.hpp"

#include <array>
#include <exception>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "http/auth.hpp"
#include "http/dispatch.hpp"
#include "http/problem.hpp"
#include "http/response_head.hpp"
#include "telemetry/log.hpp"

namespace quittance::http {

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

constexpr auto await_outcome = asio::as_tuple(asio::use_awaitable);

/// Enough for nearly every request's header and small body; an idle connection holds no more.
constexpr std::size_t small_buffer_bytes = 2 * 1024;
/// For bodies: fewer reads.
constexpr std::size_t body_buffer_bytes = 16 * 1024;
/// What a refused client may still send before it is cut off without having read its answer.
constexpr std::size_t max_linger_bytes = 64 * 1024 * 1024;

std::string address_text(const Socket& socket) {
    boost::system::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return {};
    const auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    }
    return address.to_string();
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void log_failure(const Request& request, std::string_view what) {
    log::error("a request failed", {{"error", what},
                                    {"method", to_string(request.method)},
                                    {"path", request.path},
                                    {"requestId", request.request_id},
                                    {"traceparent", request.traceparent}});
}

/// Calls the handler. Whatever it throws is our fault and stays with us.
asio::awaitable<Response> call(const Handler& handler, Request& request) {
    try {
        co_return co_await handler(request);
    } catch (const std::exception& failure) {
        log_failure(request, failure.what());
    } catch (...) {
        log_failure(request, "an exception of an unknown type");
    }
    co_return problem(500, "something went wrong here; the request id helps to find out what");
}

}  // namespace

Connection::Connection(IoThread& thread, Socket socket)
    : thread_(thread),
      socket_(std::move(socket)),
      remote_address_(address_text(socket_)),
      buffer_(small_buffer_bytes) {
    boost::system::error_code ignored;  // A connection that is already gone shows itself at the first read.
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    thread_.add(*this);
}

Connection::~Connection() {
    thread_.server().connections->remove();
}

void Connection::expire() {
    expired_ = true;
    if (phase_ == Phase::handler) return give_up();
    if (phase_ == Phase::write || phase_ == Phase::linger) return cut_off();
    boost::system::error_code ignored;
    socket_.cancel(ignored);
    deadline_ = TimePoint::max();
}

void Connection::give_up() {
    Response response =
        problem(Error{ErrorCode::unavailable,
                      "This takes too long. It may still be carried out: repeat it under the same "
                      "Idempotency-Key, or look.",
                      {},
                      1});
    thread_.metrics().record(in_work_->method, route_in_work_, response.status, seconds_since(work_began_));
    add_request_id(response, in_work_->request_id);
    std::string text;
    append_response_head(text, response,
                         {.request_id = in_work_->request_id, .date = thread_.date(), .connection = "close"});
    if (in_work_->method != Method::head) text += response.body;
    // So little finds room, unless the client has not taken what it got before.
    boost::system::error_code ignored;
    socket_.write_some(asio::buffer(text), ignored);
    cut_off();
}

void Connection::end_idling() {
    if (phase_ != Phase::idle) return;
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

void Connection::cut_off() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    deadline_ = TimePoint::max();
}

asio::awaitable<void> Connection::run() {
    // Named, because GCC 12 destroys a temporary like this one twice in a co_await expression.
    const Refusal too_slow{.status = 408, .detail = "the request took too long to arrive"};
    bool keep_open = true;
    while (keep_open) {
        RequestParser parser({.max_header_bytes = thread_.server().options.max_header_bytes,
                              .max_body_bytes = thread_.server().options.max_body_bytes});
        keep_open = false;
        switch (co_await receive(parser)) {
            case Received::request: keep_open = co_await answer(parser); break;
            case Received::refused: co_await refuse(parser, parser.refusal()); break;
            case Received::timed_out: co_await refuse(parser, too_slow); break;
            case Received::closed: break;
        }
        served_one_ = true;
        give_back_room();
    }
}

asio::awaitable<Connection::Received> Connection::receive(RequestParser& parser) {
    const ServerTimeouts& timeouts = thread_.server().options.timeouts;
    const auto started = Clock::now();
    const auto header_deadline = started + timeouts.request_header;
    if (!unread().empty()) {
        enter(Phase::header, header_deadline);
    } else {
        enter(Phase::idle, served_one_ ? started + timeouts.keep_alive_idle : header_deadline);
    }
    bool continue_considered = false;
    while (true) {
        auto bytes = unread();
        const auto progress = parser.consume(bytes);
        unread_begin_ = unread_end_ - bytes.size();
        if (progress == RequestParser::Progress::complete) co_return Received::request;
        if (progress == RequestParser::Progress::refused) co_return Received::refused;
        if (parser.header_complete() && phase_ != Phase::body) {
            enter(Phase::body, Clock::now() + timeouts.request_body);
        }
        if (phase_ == Phase::body && !std::exchange(continue_considered, true) && parser.expects_continue() &&
            parser.request().body.empty() && !send_continue()) {
            co_return Received::closed;
        }
        make_room(phase_ == Phase::body);
        const bool was_idle = phase_ == Phase::idle;
        switch (co_await read_more()) {
            case Read::closed: co_return Received::closed;
            case Read::timed_out: co_return was_idle ? Received::closed : Received::timed_out;
            case Read::bytes: break;
        }
        // The first request's time runs from the connect, or a client could idle twice.
        if (was_idle)
            enter(Phase::header, served_one_ ? Clock::now() + timeouts.request_header : header_deadline);
    }
}

asio::awaitable<Connection::Read> Connection::read_more() {
    const auto room = asio::buffer(buffer_.data() + unread_end_, buffer_.size() - unread_end_);
    if (thread_.draining() && phase_ == Phase::idle) {
        co_return read_what_is_there() ? Read::bytes : Read::closed;
    }
    const auto [error, count] = co_await socket_.async_read_some(room, await_outcome);
    if (expired_) co_return Read::timed_out;
    if (!error) {
        unread_end_ += count;
        co_return Read::bytes;
    }
    // The wait may have been ended in the moment in which a request came; it is not lost.
    const bool idling_ended =
        error == asio::error::operation_aborted && thread_.draining() && phase_ == Phase::idle;
    const bool request_began = idling_ended && read_what_is_there();
    co_return request_began ? Read::bytes : Read::closed;
}

bool Connection::read_what_is_there() {
    boost::system::error_code error;
    const auto room = asio::buffer(buffer_.data() + unread_end_, buffer_.size() - unread_end_);
    unread_end_ += socket_.read_some(room, error);
    return !error;
}

void Connection::make_room(bool in_body) {
    if (unread_begin_ > 0) {
        const auto rest = unread();
        std::copy(rest.begin(), rest.end(), buffer_.begin());
        unread_end_ = rest.size();
        unread_begin_ = 0;
    }
    // The parser refuses what it cannot finish within the header's limit, and so bounds this.
    if (unread_end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
    if (in_body && buffer_.size() < body_buffer_bytes) buffer_.resize(body_buffer_bytes);
}

void Connection::give_back_room() {
    if (!unread().empty()) return;
    unread_begin_ = unread_end_ = 0;
    if (buffer_.size() == small_buffer_bytes) return;
    buffer_.resize(small_buffer_bytes);
    buffer_.shrink_to_fit();
}

asio::awaitable<bool> Connection::answer(RequestParser& parser) {
    const auto started = Clock::now();
    enter(Phase::handler, TimePoint::max());
    Request& request = parser.request();
    request.remote_address = remote_address_;
    identify(request, thread_.server().random);
    Dispatch found = dispatch(thread_.server().router, parser.target(), request);
    if (found.handler != nullptr) {
        in_work_ = &request;
        route_in_work_ = found.route;
        work_began_ = started;
        const bool as_usual = found.answer_within.count() == 0;
        deadline_ = started + (as_usual ? thread_.server().options.timeouts.handler : found.answer_within);
        found.response = co_await call(*found.handler, request);
        if (expired_) co_return false;
    }
    thread_.metrics().record(request.method, found.route, found.response.status, seconds_since(started));
    if (found.response.status == 401 && !bearer_token(request)) leave_out_token_error(found.response);
    add_request_id(found.response, request.request_id);
    const bool close = !parser.keeps_alive() || thread_.draining();
    const std::string_view connection = close ? "close" : parser.is_http_1_0() ? "keep-alive" : "";
    const bool written = co_await write(request, found.response, connection);
    if (written && close && !unread().empty()) co_await linger();
    co_return written && !close;
}

asio::awaitable<void> Connection::refuse(RequestParser& parser, const Refusal& refusal) {
    expired_ = false;
    Request& request = parser.request();
    identify(request, thread_.server().random);
    Response response = problem(refusal.status, refusal.detail);
    thread_.metrics().record(request.method, Router::no_route, response.status, 0);
    add_request_id(response, request.request_id);
    if (co_await write(request, response, "close")) co_await linger();
}

asio::awaitable<bool> Connection::write(Request& request, const Response& response,
                                        std::string_view connection) {
    std::string& scratch = thread_.scratch();
    scratch.clear();
    append_response_head(
        scratch, response,
        {.request_id = request.request_id, .date = thread_.date(), .connection = connection});
    const bool has_body = request.method != Method::head && response.status != 204 && response.status != 304;
    const std::string_view body = has_body ? std::string_view(response.body) : std::string_view();
    boost::system::error_code error;
    // The kernel nearly always has room, and then there is nothing to wait for.
    std::size_t sent = socket_.write_some(std::array{asio::const_buffer(scratch.data(), scratch.size()),
                                                     asio::const_buffer(body.data(), body.size())},
                                          error);
    if (!error && sent == scratch.size() + body.size()) co_return true;
    if (error && error != asio::error::would_block) co_return false;
    enter(Phase::write, Clock::now() + thread_.server().options.timeouts.write);
    // A client that takes its answer slowly should not hold more of our memory than the answer.
    std::string().swap(request.body);
    give_back_room();
    // The scratch text is other connections' too while this one waits.
    const std::string head = sent < scratch.size() ? scratch.substr(sent) : std::string();
    const std::string_view rest = body.substr(sent < scratch.size() ? 0 : sent - scratch.size());
    const auto [write_error, count] = co_await asio::async_write(
        socket_, std::array{asio::buffer(head), asio::buffer(rest)}, await_outcome);
    co_return !write_error;
}

bool Connection::send_continue() {
    static constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    boost::system::error_code error;
    return socket_.write_some(asio::buffer(text), error) == text.size();
}

asio::awaitable<void> Connection::linger() {
    // Closing while the client still sends makes the kernel answer with a reset, which can reach the client
    // before it has read our answer.
    boost::system::error_code error;
    socket_.shutdown(asio::socket_base::shutdown_send, error);
    enter(Phase::linger, Clock::now() + thread_.server().options.timeouts.linger);
    buffer_.resize(body_buffer_bytes);
    std::size_t discarded = 0;
    while (!error && discarded < max_linger_bytes) {
        const auto [read_error, count] =
            co_await socket_.async_read_some(asio::buffer(buffer_), await_outcome);
        discarded += count;
        error = read_error;
    }
}

}  // namespace quittance::http
