#include "http/request_parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/verb.hpp>

namespace quittance::http {

namespace {

namespace beast_http = boost::beast::http;

/// A chunked body ends with "0", a line's end and an empty line at the least.
constexpr std::size_t least_chunked_rest_bytes = 5;

/// Enough for any method that we know, two spaces and the version.
constexpr std::size_t rest_of_request_line_bytes = 64;

/// Most requests have fewer fields.
constexpr std::size_t usual_header_fields = 8;

Method method_of(beast_http::verb verb) {
    switch (verb) {
        case beast_http::verb::get: return Method::get;
        case beast_http::verb::head: return Method::head;
        case beast_http::verb::post: return Method::post;
        case beast_http::verb::put: return Method::put;
        case beast_http::verb::patch: return Method::patch;
        case beast_http::verb::delete_: return Method::delete_;
        case beast_http::verb::options: return Method::options;
        case beast_http::verb::trace: return Method::trace;
        case beast_http::verb::connect: return Method::connect;
        default: return Method::other;
    }
}

template <class View>
std::string lower_case(const View& text) {
    std::string lowered(text.data(), text.size());
    for (char& c : lowered) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lowered;
}

/// Of a chunked body from which Beast wants more: a size line that is all there, with an extension whose
/// quotes it does not close. Beast would look for their end in what follows, and count the chunk again each
/// time.
bool has_open_quotes(std::string_view bytes) {
    if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);  // The end of the chunk before.
    const std::string_view line = bytes.substr(0, bytes.find("\r\n"));
    // Of the last chunk, which has no size, the trailer may be missing.
    const std::size_t size = line.find_first_not_of('0');
    const bool last = size == line.npos || line[size] == ';' || line[size] == ' ' || line[size] == '\t';
    return line.size() < bytes.size() && !last;
}

/// The characters of a host (RFC 3986 section 3.2.2): unreserved ones, those of percent-encoding and the
/// "sub-delims".
constexpr std::array<bool, 256> make_host_characters() {
    std::array<bool, 256> allowed{};
    constexpr std::string_view characters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=";
    for (const char c : characters)
        allowed[static_cast<unsigned char>(c)] = true;
    return allowed;
}

constexpr std::array<bool, 256> host_characters = make_host_characters();

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_hexadecimal(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// The value of `Host` (RFC 9110 section 7.2): a host, which may be empty, and perhaps a port.
bool is_host(std::string_view value) {
    if (value.starts_with('[')) {
        const std::size_t end = value.find(']');
        if (end == std::string_view::npos || end == 1) return false;
        const auto is_address = [](char c) { return is_hexadecimal(c) || c == ':' || c == '.'; };
        if (!std::ranges::all_of(value.substr(1, end - 1), is_address)) return false;
        value.remove_prefix(end + 1);
        if (!value.empty() && value.front() != ':') return false;
    }
    std::size_t length = 0;
    while (length < value.size() && host_characters[static_cast<unsigned char>(value[length])]) {
        const bool broken_escape =
            value[length] == '%' && (value.size() < length + 3 || !is_hexadecimal(value[length + 1]) ||
                                     !is_hexadecimal(value[length + 2]));
        if (broken_escape) return false;
        ++length;
    }
    if (length == value.size()) return true;
    constexpr std::size_t longest_port = 5;
    const std::string_view port = value.substr(length + 1);
    return value[length] == ':' && port.size() <= longest_port && std::ranges::all_of(port, is_digit);
}

}  // namespace

RequestParser::RequestParser(const Limits& limits) : limits_(limits) {
    // One more than allowed: our own count, which spans request line and fields, is the one that decides.
    header_limit(static_cast<std::uint32_t>(limits.max_header_bytes + 1));
    body_limit(limits.max_body_bytes);
}

RequestParser::Progress RequestParser::refuse(int status, std::string detail) {
    refusal_ = {.status = status, .detail = std::move(detail)};
    return Progress::refused;
}

RequestParser::Progress RequestParser::refuse(const ErrorCode& error) {
    if (!refusal_.detail.empty()) return Progress::refused;
    if (error == beast_http::error::header_limit) {
        return refuse(431, "the header has more than " + std::to_string(limits_.max_header_bytes) + " bytes");
    }
    if (error == beast_http::error::body_limit) {
        return refuse(413, "the body has more than " + std::to_string(limits_.max_body_bytes) + " bytes");
    }
    return refuse(400, "this is not HTTP/1.1: " + error.message());
}

RequestParser::Progress RequestParser::refuse_header(std::string_view unread) {
    if (!refusal_.detail.empty()) return Progress::refused;
    // Beast reads nothing of a header that is not there as a whole, so that all of it is still unread.
    const bool is_line_too_long =
        unread.find("\r\n") > max_target_bytes + rest_of_request_line_bytes;  // npos, too.
    if (target_.empty() && is_line_too_long) {
        return refuse(414, "the request target has more than " + std::to_string(max_target_bytes) + " bytes");
    }
    return refuse(beast_http::make_error_code(beast_http::error::header_limit));
}

RequestParser::Progress RequestParser::consume(std::string_view& bytes) {
    if (!got_some()) {
        // RFC 9112 section 2.2: empty lines before a request are to be skipped.
        while (bytes.starts_with("\r\n"))
            bytes.remove_prefix(2);
        // Half of such a line; given to the parser it would be the beginning of a method.
        if (bytes == "\r") return Progress::need_more;
    }
    ErrorCode error;
    while (!bytes.empty() && !is_done()) {
        const bool in_header = !is_header_done();
        // Beast ends the program when it has read "0" and a line's end and is then given less than this. More
        // is to come; whatever else is too short, Beast may judge at once.
        if (!in_header && chunked() && bytes.size() < least_chunked_rest_bytes && bytes.front() == '0') {
            return Progress::need_more;
        }
        const std::size_t body_bytes = request_.body.size();
        const std::size_t used = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
        bytes.remove_prefix(used);
        if (in_header) {
            header_bytes_ += used;
            const std::size_t unfinished = is_header_done() ? 0 : bytes.size();
            if (error != beast_http::error::body_limit &&
                header_bytes_ + unfinished > limits_.max_header_bytes) {
                return refuse_header(bytes);
            }
        }
        // A chunk's size line, or the last with its trailer; they have the header's limit.
        const bool between_chunks = !in_header && chunked() && request_.body.size() == body_bytes;
        if (between_chunks && used > limits_.max_header_bytes) {
            return refuse(beast_http::make_error_code(beast_http::error::header_limit));
        }
        if (error == beast_http::error::need_more) {
            if (between_chunks && has_open_quotes(bytes)) {
                return refuse(beast_http::make_error_code(beast_http::error::bad_chunk_extension));
            }
            if (bytes.size() > limits_.max_header_bytes) {
                return refuse(beast_http::make_error_code(beast_http::error::header_limit));
            }
            return Progress::need_more;
        }
        if (error) return refuse(error);
    }
    return is_done() ? Progress::complete : Progress::need_more;
}

void RequestParser::on_request_impl(beast_http::verb method, StringView, StringView target, int version,
                                    ErrorCode& error) {
    if (target.size() > max_target_bytes) {
        refuse(414, "the request target has more than " + std::to_string(max_target_bytes) + " bytes");
        error = beast_http::error::bad_target;
    }
    request_.method = method_of(method);
    target_.assign(target.data(), target.size());
    version_ = version;
    request_.headers.reserve(usual_header_fields);
}

void RequestParser::on_field_impl(Field field, StringView name, StringView value, ErrorCode& error) {
    // A trailer could pretend to be a header that someone trusts; nobody here needs one.
    if (header_read_) return;
    const auto fault = [&](const char* detail) {
        refusal_ = {.status = 400, .detail = detail};
        error = beast_http::error::bad_value;
    };
    if (field == Field::host) {
        ++host_fields_;
        if (!is_host({value.data(), value.size()})) fault("Host is not a host with or without a port");
    } else if (field == Field::content_length && (++length_fields_ > 1 || value.find(',') != value.npos)) {
        fault("there is more than one Content-Length");
    } else if (field == Field::transfer_encoding) {
        // Whoever reads another end of the body than the proxy before us lets requests be smuggled in.
        if (version_ < 11 || !boost::beast::iequals(value, "chunked")) {
            fault("Transfer-Encoding can only be \"chunked\"");
        }
    } else if (field == Field::expect) {
        expects_continue_ = version_ >= 11 && boost::beast::iequals(value, "100-continue");
    }
    request_.headers.emplace_back(lower_case(name), std::string(value.data(), value.size()));
}

void RequestParser::on_header_impl(ErrorCode& error) {
    header_read_ = true;
    if (host_fields_ > 1 || (version_ >= 11 && host_fields_ == 0)) {
        refusal_ = {.status = 400, .detail = "a request has exactly one Host"};
        error = beast_http::error::bad_field;
    }
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& content_length, ErrorCode&) {
    if (content_length) request_.body.reserve(static_cast<std::size_t>(*content_length));
}

std::size_t RequestParser::on_body_impl(StringView bytes, ErrorCode&) {
    request_.body.append(bytes.data(), bytes.size());
    return bytes.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, StringView bytes, ErrorCode&) {
    request_.body.append(bytes.data(), bytes.size());
    return bytes.size();
}

}  // namespace quittance::http
