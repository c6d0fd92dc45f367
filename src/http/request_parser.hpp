// From bytes to a `Request`: Beast's parser, writing straight into our type instead of into its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/beast/http/basic_parser.hpp>

#include "http/message.hpp"

namespace quittance::http {

/// Why a request is not taken: the status to answer with and what to tell the caller.
struct Refusal {
    int status = 400;
    std::string detail;
};

/// A longer request target is answered with 414.
inline constexpr std::size_t max_target_bytes = 8 * 1024;

/// Reads one request. Not thread safe.
class RequestParser final : private boost::beast::http::basic_parser<true> {
public:
    struct Limits {
        std::size_t max_header_bytes;
        std::size_t max_body_bytes;
    };
    enum class Progress { need_more, complete, refused };

    explicit RequestParser(const Limits& limits);

    /// Reads from the front of `bytes` and takes what it has read off them. After `need_more`, call again
    /// with what was left and more behind it. After `refused` the connection can carry no more requests.
    Progress consume(std::string_view& bytes);

    /// After `refused`.
    [[nodiscard]] const Refusal& refusal() const { return refusal_; }

    [[nodiscard]] bool header_complete() const { return is_header_done(); }
    /// The client waits for "100 Continue" before it sends the body. Call when the header is complete.
    [[nodiscard]] bool expects_continue() const { return expects_continue_; }
    /// The client is ready for another request on this connection. Call when the request is complete.
    [[nodiscard]] bool keeps_alive() const { return keep_alive(); }

    /// HTTP/1.0, where a connection ends after one answer unless both sides say otherwise.
    [[nodiscard]] bool is_http_1_0() const { return version_ < 11; }

    /// As the client sent it; see `split_target`.
    [[nodiscard]] const std::string& target() const { return target_; }
    /// Method, headers and body, as far as they were read. The rest is for others to fill in.
    [[nodiscard]] Request& request() { return request_; }

private:
    using ErrorCode = boost::beast::error_code;
    using StringView = boost::beast::string_view;
    using Field = boost::beast::http::field;

    void on_request_impl(boost::beast::http::verb method, StringView method_text, StringView target,
                         int version, ErrorCode& error) override;
    void on_response_impl(int, StringView, int, ErrorCode&) override {}
    void on_field_impl(Field field, StringView name, StringView value, ErrorCode& error) override;
    void on_header_impl(ErrorCode& error) override;
    void on_body_init_impl(const boost::optional<std::uint64_t>& content_length, ErrorCode& error) override;
    std::size_t on_body_impl(StringView bytes, ErrorCode& error) override;
    void on_chunk_header_impl(std::uint64_t, StringView, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t remaining, StringView bytes, ErrorCode& error) override;
    void on_finish_impl(ErrorCode&) override {}

    Progress refuse(int status, std::string detail);
    Progress refuse(const ErrorCode& error);
    /// The header is too long: 414 where that is the request line's fault, else 431.
    Progress refuse_header(std::string_view unread);

    Limits limits_;
    Request request_;
    std::string target_;
    Refusal refusal_;
    std::size_t header_bytes_ = 0;
    int version_ = 11;
    int host_fields_ = 0;
    int length_fields_ = 0;
    bool header_read_ = false;
    bool expects_continue_ = false;
};

}  // namespace quittance::http
