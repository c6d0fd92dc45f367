#include "db/address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "core/error.hpp"

namespace quittance::db {

namespace {

constexpr std::string_view postgresql_scheme = "postgresql://";
constexpr std::string_view mysql_scheme = "mysql://";
constexpr std::uint16_t postgresql_port = 5432;
constexpr std::uint16_t mysql_port = 3306;

/// What `sockaddr_un` holds on Linux, without the final NUL.
constexpr std::size_t max_socket_path_bytes = 107;

/// A server that is there answers within milliseconds; requests wait meanwhile.
constexpr std::string_view connect_timeout_s = "4";
/// The longest that a statement may keep us waiting; PostgreSQL has the same limit as a setting.
constexpr std::string_view answer_timeout_s = "35";
constexpr std::string_view keepalive_idle_s = "30";
constexpr std::string_view keepalive_interval_s = "10";
constexpr std::string_view keepalive_count = "3";
constexpr std::string_view unanswered_timeout_ms = "30000";

[[noreturn]] void refuse(const std::string& what) {
    throw ConfigurationError("the address of the database " + what +
                             "; it must look like sqlite:PATH, postgresql://USER:PASSWORD@HOST:PORT/DATABASE "
                             "or mysql://USER:PASSWORD@HOST:PORT/DATABASE");
}

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

/// RFC 3986; refuses control characters, which no part of an address needs.
std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
            const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
            if (!high || !low) refuse("has a % that two hexadecimal digits must follow (write % as %25)");
            c = static_cast<char>(*high * 16 + *low);
            i += 2;
        }
        if (static_cast<unsigned char>(c) < 0x20) refuse("has a control character in it");
        decoded += c;
    }
    return decoded;
}

std::string percent_encoded(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    static constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string encoded;
    for (const char c : text) {
        if (unreserved.find(c) != std::string_view::npos) {
            encoded += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            encoded += '%';
            encoded += digits[byte >> 4U];
            encoded += digits[byte & 0xFU];
        }
    }
    return encoded;
}

/// The part before the separator, which is removed from `text` with it; all of it when there is none.
std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
    return part;
}

std::uint16_t parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0) {
        refuse("has no port from 1 to 65535 after the colon");
    }
    return port;
}

void parse_host(std::string_view text, ServerAddress& address) {
    std::string_view port;
    if (text.starts_with('[')) {
        text.remove_prefix(1);
        address.host = std::string(take_until(text, ']'));
        if (!text.empty() && !text.starts_with(':')) refuse("has something between ] and the port");
        port = text.empty() ? text : text.substr(1);
    } else {
        const std::string host = percent_decoded(take_until(text, ':'));
        if (!host.empty()) address.host = host;
        port = text;
    }
    if (!port.empty()) address.port = parse_port(port);
}

void parse_parameters(std::string_view text, ServerAddress& address) {
    const bool is_mysql = address.engine == Engine::mysql;
    while (!text.empty()) {
        std::string_view parameter = take_until(text, '&');
        const std::string_view name = take_until(parameter, '=');
        const std::string value = percent_decoded(parameter);
        if (name == "host" || (is_mysql && name == "socket")) {
            address.host = value;
        } else if (is_mysql && name == "sslca") {
            address.certificates_of = value;
        } else if (!is_mysql && name == "sslrootcert") {
            address.certificates_of = value;
        } else if (!is_mysql && name == "sslmode") {
            address.tls_mode = value;
        } else {
            refuse("has a parameter that is not known (known are " +
                   std::string(is_mysql ? "host, socket, sslca" : "host, sslmode, sslrootcert") + ")");
        }
    }
}

bool is_socket(const ServerAddress& address) {
    return address.host.starts_with('/');
}

std::uint16_t port_of(const ServerAddress& address) {
    if (address.port != 0) return address.port;
    return address.engine == Engine::postgresql ? postgresql_port : mysql_port;
}

/// A URI, because SOCI takes the other form apart at its spaces.
std::string postgresql_text(const ServerAddress& address) {
    std::string text = std::string(postgresql_scheme) + "/" + percent_encoded(address.database);
    char separator = '?';
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        text += separator;
        text += name;
        text += '=';
        text += percent_encoded(value);
        separator = '&';
    };
    add("host", address.host);
    add("port", std::to_string(port_of(address)));
    add("user", address.user);
    add("password", address.password.reveal());
    add("sslmode", address.tls_mode);
    add("sslrootcert", address.certificates_of);
    add("connect_timeout", connect_timeout_s);
    add("application_name", "quittance");
    add("client_encoding", "UTF8");
    add("keepalives_idle", keepalive_idle_s);
    add("keepalives_interval", keepalive_interval_s);
    add("keepalives_count", keepalive_count);
    add("tcp_user_timeout", unanswered_timeout_ms);
    return text;
}

std::string mysql_text(const ServerAddress& address) {
    std::string text;
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        text += name;
        text += "='";
        for (const char c : value) {
            if (c == '\'' || c == '\\') text += '\\';
            text += c;
        }
        text += "' ";
    };
    if (is_socket(address)) {
        add("unix_socket", address.host);
    } else {
        // The client library takes the name localhost for the default socket.
        add("host", address.host == "localhost" ? "127.0.0.1" : address.host);
        add("port", std::to_string(port_of(address)));
    }
    add("user", address.user);
    add("password", address.password.reveal());
    add("db", address.database);
    add("sslca", address.certificates_of);
    add("charset", "utf8mb4");
    add("connect_timeout", connect_timeout_s);
    add("read_timeout", answer_timeout_s);
    add("write_timeout", answer_timeout_s);
    return text;
}

}  // namespace

ServerAddress parse_server_address(const Secret& url) {
    std::string_view text = url.reveal();
    ServerAddress address;
    if (text.starts_with(mysql_scheme)) {
        address.engine = Engine::mysql;
        text.remove_prefix(mysql_scheme.size());
    } else if (text.starts_with(postgresql_scheme)) {
        text.remove_prefix(postgresql_scheme.size());
    } else {
        refuse("has a beginning that is not known");
    }
    const std::size_t path = text.find('/');
    if (path == std::string_view::npos) refuse("has no / with the name of a database behind the host");
    std::string_view authority = text.substr(0, path);
    std::string_view rest = text.substr(path + 1);
    // A password may hold an @ that was not encoded; a host never does.
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        std::string_view credentials = authority.substr(0, at);
        address.user = percent_decoded(take_until(credentials, ':'));
        address.password = Secret(percent_decoded(credentials));
        authority.remove_prefix(at + 1);
    }
    parse_host(authority, address);
    address.database = percent_decoded(take_until(rest, '?'));
    parse_parameters(rest, address);
    check(address);
    return address;
}

void set_host(ServerAddress& address, const std::string& host) {
    if (host.starts_with('/')) {
        address.host = host;
    } else {
        parse_host(host, address);
    }
}

void check(const ServerAddress& address) {
    static constexpr std::array<std::string_view, 7> tls_modes{"",        "disable",   "allow",      "prefer",
                                                               "require", "verify-ca", "verify-full"};
    if (address.user.empty()) refuse("names no user");
    if (address.database.empty()) refuse("names no database");
    if (std::ranges::find(tls_modes, address.tls_mode) == tls_modes.end()) {
        refuse("has an sslmode that is not disable, allow, prefer, require, verify-ca or verify-full");
    }
    if (!is_socket(address)) return;
    const std::string path = address.engine == Engine::mysql
                                 ? address.host
                                 : address.host + "/.s.PGSQL." + std::to_string(port_of(address));
    if (path.size() > max_socket_path_bytes) {
        throw ConfigurationError("the path of the database's socket is longer than " +
                                 std::to_string(max_socket_path_bytes) +
                                 " bytes, the most that Linux takes: " + path);
    }
}

std::string connection_text(const ServerAddress& address) {
    return address.engine == Engine::mysql ? mysql_text(address) : postgresql_text(address);
}

std::string label(const ServerAddress& address) {
    const std::string scheme(address.engine == Engine::mysql ? mysql_scheme : postgresql_scheme);
    const std::string where =
        is_socket(address) ? "/" + address.database + "?host=" + address.host
                           : address.host + ":" + std::to_string(port_of(address)) + "/" + address.database;
    return scheme + address.user + "@" + where;
}

}  // namespace quittance::db
