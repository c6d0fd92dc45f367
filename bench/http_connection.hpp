// One kept-alive HTTP/1.1 connection: as little work per request as a load driver can do.
#pragma once

#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>

namespace quittance::bench {

/// Where the server is: an address that is resolved once, before the load starts.
struct Target {
    boost::asio::ip::tcp::endpoint endpoint;
    std::string host;  ///< For the `Host` header.

    /// Understands `http://HOST[:PORT]`. Throws std::invalid_argument, or boost::system::system_error when
    /// the host has no address.
    [[nodiscard]] static Target parse(boost::asio::io_context& io, const std::string& url);
};

/// The parts of an answer that the driver looks at.
struct Answer {
    int status = 0;
    bool replayed = false;  ///< `Idempotency-Replayed: true`
    int retry_after_s = 0;  ///< `Retry-After`; 0 when absent.
    std::string location;
    std::string body;
};

/// Connects when first used and again after an error. One request at a time; not thread safe.
class HttpConnection {
public:
    HttpConnection(boost::asio::io_context& io, const Target& target);

    /// Sends a whole request, as `format_request` makes it, and waits for the answer. Throws
    /// boost::system::system_error when the connection fails or nothing comes for 30 s; the request may have
    /// had its effect then.
    [[nodiscard]] boost::asio::awaitable<Answer> send(const std::string& request);

private:
    boost::asio::awaitable<Answer> exchange(const std::string& request);

    const Target& target_;
    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    bool connected_ = false;
};

struct RequestParts {
    std::string_view method;
    std::string_view path;
    std::string_view token;            ///< Left out when empty.
    std::string_view idempotency_key;  ///< Left out when empty.
    std::string_view body;             ///< JSON; left out when empty.
};

[[nodiscard]] std::string format_request(const Target& target, const RequestParts& parts);

}  // namespace quittance::bench
