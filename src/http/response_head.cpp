#include "http/response_head.hpp"

#include <array>
#include <charconv>
#include <ctime>

namespace quittance::http {

namespace {

template <class Number>
void append_number(std::string& out, Number number) {
    std::array<char, 24> digits{};
    const auto [end, status] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end);
}

void append_value(std::string& out, std::string_view value) {
    for (const char c : value) {
        const bool is_control = (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
        out.push_back(is_control ? ' ' : c);
    }
}

/// RFC 9110 section 8.6: a 204 must not carry one, and a 304's would have to be that of the 200.
bool may_have_content_length(int status) {
    return status >= 200 && status != 204 && status != 304;
}

}  // namespace

void append_response_head(std::string& out, const Response& response, const ResponseContext& context) {
    out.append("HTTP/1.1 ");
    append_number(out, response.status);
    out.append(" ").append(reason_phrase(response.status)).append("\r\n");
    if (!response.content_type.empty())
        out.append("Content-Type: ").append(response.content_type).append("\r\n");
    bool caching_chosen = false;
    for (const auto& [name, value] : response.headers) {
        caching_chosen = caching_chosen || name == "Cache-Control";
        out.append(name).append(": ");
        append_value(out, value);
        out.append("\r\n");
    }
    if (!caching_chosen) out.append("Cache-Control: no-store\r\n");
    if (may_have_content_length(response.status)) {
        out.append("Content-Length: ");
        append_number(out, response.body.size());
        out.append("\r\n");
    }
    out.append("Date: ").append(context.date).append("\r\n");
    out.append("X-Content-Type-Options: nosniff\r\nX-Request-Id: ").append(context.request_id).append("\r\n");
    if (!context.connection.empty()) out.append("Connection: ").append(context.connection).append("\r\n");
    out.append("\r\n");
}

std::string http_date_now() {
    static constexpr std::array<std::string_view, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    // Names from our own tables: strftime's would follow the process's locale.
    std::array<char, 32> rest{};
    std::string date(days[static_cast<std::size_t>(parts.tm_wday)]);
    date.append(rest.data(), std::strftime(rest.data(), rest.size(), ", %d ", &parts));
    date.append(months[static_cast<std::size_t>(parts.tm_mon)]);
    date.append(rest.data(), std::strftime(rest.data(), rest.size(), " %Y %H:%M:%S GMT", &parts));
    return date;
}

}  // namespace quittance::http
