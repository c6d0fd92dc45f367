#include "bench/http_connection.hpp"

#include <charconv>
#include <chrono>
#include <stdexcept>

#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

namespace quittance::bench {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

constexpr std::chrono::seconds exchange_timeout{30};
/// A page of a hundred orders fits many times.
constexpr std::uint64_t max_answer_bytes = 8U << 20U;

}  // namespace

Target Target::parse(asio::io_context& io, const std::string& url) {
    constexpr std::string_view scheme = "http://";
    if (!url.starts_with(scheme)) throw std::invalid_argument("--url must look like http://127.0.0.1:8080");
    Target target;
    target.host = url.substr(scheme.size());
    while (target.host.ends_with('/'))
        target.host.pop_back();
    const auto colon = target.host.rfind(':');
    const std::string name = target.host.substr(0, colon);
    const std::string port = colon == std::string::npos ? "80" : target.host.substr(colon + 1);
    asio::ip::tcp::resolver resolver(io);
    target.endpoint = resolver.resolve(name, port).begin()->endpoint();
    return target;
}

HttpConnection::HttpConnection(asio::io_context& io, const Target& target) : target_(target), stream_(io) {}

asio::awaitable<Answer> HttpConnection::send(const std::string& request) {
    try {
        co_return co_await exchange(request);
    } catch (const boost::system::system_error&) {
        // What is left of the broken exchange must not be taken for the next answer.
        stream_.close();
        buffer_.clear();
        connected_ = false;
        throw;
    }
}

asio::awaitable<Answer> HttpConnection::exchange(const std::string& request) {
    stream_.expires_after(exchange_timeout);
    if (!connected_) {
        co_await stream_.async_connect(target_.endpoint, asio::use_awaitable);
        stream_.socket().set_option(asio::ip::tcp::no_delay(true));
        connected_ = true;
    }
    co_await asio::async_write(stream_, asio::buffer(request), asio::use_awaitable);
    http::response_parser<http::string_body> parser;
    parser.body_limit(max_answer_bytes);
    co_await http::async_read(stream_, buffer_, parser, asio::use_awaitable);

    auto message = parser.release();
    Answer answer;
    answer.status = message.result_int();
    answer.location = std::string(message[http::field::location]);
    answer.replayed = message["Idempotency-Replayed"] == "true";
    const auto wait = message[http::field::retry_after];
    std::from_chars(wait.data(), wait.data() + wait.size(), answer.retry_after_s);
    answer.body = std::move(message.body());
    if (!message.keep_alive()) {
        stream_.close();
        connected_ = false;
    }
    co_return answer;
}

std::string format_request(const Target& target, const RequestParts& parts) {
    std::string request;
    request.reserve(512 + parts.token.size() + parts.body.size());
    request.append(parts.method).append(" ").append(parts.path).append(" HTTP/1.1\r\nHost: ");
    request.append(target.host).append("\r\n");
    if (!parts.token.empty()) request.append("Authorization: Bearer ").append(parts.token).append("\r\n");
    if (!parts.idempotency_key.empty()) {
        request.append("Idempotency-Key: ").append(parts.idempotency_key).append("\r\n");
    }
    if (!parts.body.empty()) {
        request.append("Content-Type: application/json\r\nContent-Length: ");
        request.append(std::to_string(parts.body.size())).append("\r\n");
    }
    request.append("\r\n").append(parts.body);
    return request;
}

}  // namespace quittance::bench
