#include "db/address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>

#include <arpa/inet.h>

#include "core/error.hpp"

namespace quittance::db {

namespace {

struct Scheme {
    std::string_view text;
    Engine engine;
};
/// Providers print either form.
constexpr std::array<Scheme, 4> schemes{{{"postgresql://", Engine::postgresql},
                                         {"postgres://", Engine::postgresql},
                                         {"mysql://", Engine::mysql},
                                         {"mariadb://", Engine::mysql}}};
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

/// Passed on as they are. https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-PARAMKEYWORDS
constexpr std::array<std::string_view, 26> libpq_parameters{"application_name",
                                                            "channel_binding",
                                                            "connect_timeout",
                                                            "gssencmode",
                                                            "gsslib",
                                                            "hostaddr",
                                                            "keepalives",
                                                            "keepalives_count",
                                                            "keepalives_idle",
                                                            "keepalives_interval",
                                                            "krbsrvname",
                                                            "options",
                                                            "passfile",
                                                            "requirepeer",
                                                            "ssl_max_protocol_version",
                                                            "ssl_min_protocol_version",
                                                            "sslcert",
                                                            "sslcompression",
                                                            "sslcrl",
                                                            "sslcrldir",
                                                            "sslkey",
                                                            "sslpassword",
                                                            "sslsni",
                                                            "target_session_attrs",
                                                            "tcp_user_timeout",
                                                            "fallback_application_name"};
constexpr std::string_view postgresql_parameters =
    "host, port, user, password, dbname, sslmode, sslrootcert, client_encoding=UTF8";
constexpr std::string_view mysql_parameters = "host, port, user, password, socket, sslca";

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

bool has_only(std::string_view text, std::string_view punctuation) {
    return std::ranges::all_of(text, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               punctuation.find(c) != std::string_view::npos;
    });
}

bool is_socket(std::string_view host) {
    return host.starts_with('/');
}

bool is_ipv6(std::string_view host) {
    return !is_socket(host) && host.find(':') != std::string_view::npos;
}

void check_ipv6(std::string_view text) {
    const std::string digits(text.substr(0, text.find('%')));
    in6_addr parsed{};
    if (::inet_pton(AF_INET6, digits.c_str(), &parsed) != 1 || !has_only(text, ":.%-_"))
        refuse("has something in square brackets that is no IPv6 address");
}

void check_host_name(std::string_view text) {
    if (!text.empty() && !has_only(text, ".-_"))
        refuse("has a host that is neither a name nor an IP address");
}

/// HOST, HOST:PORT, [IPv6] or [IPv6]:PORT; an empty text is the default.
ServerAddress::Place parse_place(std::string_view text) {
    ServerAddress::Place place;
    std::string_view port;
    if (text.starts_with('[')) {
        if (text.find(']') == std::string_view::npos) refuse("has a [ without a ]");
        text.remove_prefix(1);
        place.host = percent_decoded(take_until(text, ']'));
        check_ipv6(place.host);
        if (!text.empty() && !text.starts_with(':')) refuse("has something between ] and the port");
        port = text.empty() ? text : text.substr(1);
    } else {
        if (std::ranges::count(text, ':') > 1) refuse("has an IPv6 address without square brackets");
        place.host = percent_decoded(take_until(text, ':'));
        if (!is_socket(place.host)) check_host_name(place.host);
        port = text;
    }
    if (!port.empty()) place.port = parse_port(port);
    return place;
}

/// Of several, each has to be named.
void set_places(std::vector<ServerAddress::Place> places, ServerAddress& address) {
    const bool one = places.size() == 1;
    if (!one && address.engine == Engine::mysql)
        refuse("has several hosts, which only PostgreSQL's client library understands");
    if (!one && std::ranges::any_of(places, [](const auto& place) { return place.host.empty(); }))
        refuse("has an empty host between its commas");
    if (!places.front().host.empty()) address.host = places.front().host;
    if (places.front().port != 0) address.port = places.front().port;
    address.more_places.assign(std::make_move_iterator(places.begin() + 1),
                               std::make_move_iterator(places.end()));
}

std::vector<std::string_view> split_at_commas(std::string_view text) {
    std::vector<std::string_view> parts;
    do {
        parts.push_back(take_until(text, ','));
    } while (!text.empty());
    return parts;
}

void parse_places(std::string_view text, ServerAddress& address) {
    std::vector<ServerAddress::Place> places;
    for (const std::string_view part : split_at_commas(text))
        places.push_back(parse_place(part));
    set_places(std::move(places), address);
}

/// As a parameter: names, addresses without brackets, or folders of sockets.
void parse_host_parameter(std::string_view text, ServerAddress& address) {
    std::vector<ServerAddress::Place> places;
    for (const std::string_view part : split_at_commas(text)) {
        if (is_ipv6(part)) check_ipv6(part);
        if (!is_ipv6(part) && !is_socket(part)) check_host_name(part);
        places.push_back({std::string(part), 0});
    }
    const std::uint16_t port = address.port;
    set_places(std::move(places), address);
    address.port = port;
}

/// One port for all hosts, or one for each. After the hosts.
void parse_port_parameter(std::string_view text, ServerAddress& address) {
    const auto ports = split_at_commas(text);
    if (ports.size() != 1 && ports.size() != address.more_places.size() + 1)
        refuse("has another number of ports than of hosts");
    address.port = parse_port(ports.front());
    for (std::size_t i = 0; i < address.more_places.size(); ++i)
        address.more_places[i].port = parse_port(ports.size() == 1 ? ports.front() : ports[i + 1]);
}

/// A text from the address for a message. Empty where it may be a part of the password: one whose reserved
/// characters are not encoded falls into pieces anywhere.
std::string harmless(std::string_view text, const ServerAddress& address) {
    static constexpr std::size_t longest_name = 40;
    const std::string& password = address.password.reveal();
    if (text.empty() || text.size() > longest_name || !has_only(text, "-_.")) return {};
    if (!password.empty() &&
        (password.find(text) != std::string::npos || text.find(password) != std::string_view::npos))
        return {};
    return " \"" + std::string(text) + "\"";
}

std::string names_of_parameters(bool is_mysql) {
    if (is_mysql) return std::string(mysql_parameters);
    std::string names(postgresql_parameters);
    for (const std::string_view name : libpq_parameters)
        names.append(", ").append(name);
    return names;
}

/// Every program of ours writes.
void check_target(const std::string& value, const ServerAddress& address) {
    if (value == "any" || value == "read-write" || value == "primary") return;
    refuse("has the target_session_attrs" + harmless(value, address) +
           ", but must have read-write, primary or any: the program writes to its database");
}

void check_encoding(const std::string& value, const ServerAddress& address) {
    std::string lower = value;
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (lower == "utf8" || lower == "utf-8" || lower == "unicode" || lower == "auto") return;
    refuse("has the client_encoding" + harmless(value, address) + ", but the program speaks UTF8 only");
}

/// False for a name that is not known.
bool set_parameter(std::string_view name, const std::string& value, ServerAddress& address) {
    const bool is_mysql = address.engine == Engine::mysql;
    if (name == "host" || (is_mysql && name == "socket")) {
        parse_host_parameter(value, address);
    } else if (name == "user") {
        address.user = value;
    } else if (name == "password") {
        address.password = Secret(value);
    } else if (name == (is_mysql ? "sslca" : "sslrootcert")) {
        address.certificates_of = value;
    } else if (is_mysql) {
        return false;
    } else if (name == "dbname") {
        address.database = value;
    } else if (name == "sslmode") {
        address.tls_mode = value;
    } else if (name == "client_encoding") {
        check_encoding(value, address);
    } else if (std::ranges::find(libpq_parameters, name) != libpq_parameters.end()) {
        if (name == "target_session_attrs") check_target(value, address);
        address.parameters.emplace_back(name, value);
    } else {
        return false;
    }
    return true;
}

void parse_parameters(std::string_view text, ServerAddress& address) {
    std::string ports;
    std::string unknown;
    bool has_unknown = false;
    bool has_password = false;
    while (!text.empty()) {
        std::string_view parameter = take_until(text, '&');
        const std::string_view name = take_until(parameter, '=');
        const std::string value = percent_decoded(parameter);
        has_password |= name == "password" || name == "sslpassword";
        if (name == "port") {
            ports = value;
        } else if (!set_parameter(name, value, address) && !has_unknown) {
            has_unknown = true;
            unknown = name;
        }
    }
    if (has_unknown) {
        const bool is_mysql = address.engine == Engine::mysql;
        // Behind a password with an & that was not encoded, its rest looks like a parameter.
        refuse("has a parameter" + (has_password ? std::string() : harmless(unknown, address)) +
               " that is not supported; supported are " + names_of_parameters(is_mysql) +
               (is_mysql ? ", of which sslca=FILE asks for TLS" : ""));
    }
    if (!ports.empty()) parse_port_parameter(ports, address);
}

std::uint16_t port_of(Engine engine, std::uint16_t port) {
    if (port != 0) return port;
    return engine == Engine::postgresql ? postgresql_port : mysql_port;
}

std::vector<ServerAddress::Place> places_of(const ServerAddress& address) {
    std::vector<ServerAddress::Place> places{{address.host, address.port}};
    places.insert(places.end(), address.more_places.begin(), address.more_places.end());
    for (ServerAddress::Place& place : places)
        place.port = port_of(address.engine, place.port);
    return places;
}

/// Something of each place, with commas between.
template <class Text>
std::string listed(const ServerAddress& address, Text text) {
    std::string list;
    for (const ServerAddress::Place& place : places_of(address)) {
        if (!list.empty()) list += ',';
        list += text(place);
    }
    return list;
}

/// A URI, because SOCI takes the other form apart at its spaces.
std::string postgresql_text(const ServerAddress& address) {
    std::string text = "postgresql:///" + percent_encoded(address.database);
    char separator = '?';
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        text += separator;
        text += name;
        text += '=';
        text += percent_encoded(value);
        separator = '&';
    };
    const auto add_default = [&](std::string_view name, std::string_view value) {
        const auto is_this = [&](const auto& parameter) { return parameter.first == name; };
        if (std::ranges::none_of(address.parameters, is_this)) add(name, value);
    };
    add("host", listed(address, [](const auto& place) { return place.host; }));
    add("port", listed(address, [](const auto& place) { return std::to_string(place.port); }));
    add("user", address.user);
    add("password", address.password.reveal());
    add("sslmode", address.tls_mode);
    add("sslrootcert", address.certificates_of);
    add("client_encoding", "UTF8");
    for (const auto& [name, value] : address.parameters)
        add(name, value);
    // A standby that stands first in the list would refuse every order.
    if (!address.more_places.empty()) add_default("target_session_attrs", "read-write");
    add_default("connect_timeout", connect_timeout_s);
    add_default("application_name", "quittance");
    add_default("keepalives_idle", keepalive_idle_s);
    add_default("keepalives_interval", keepalive_interval_s);
    add_default("keepalives_count", keepalive_count);
    add_default("tcp_user_timeout", unanswered_timeout_ms);
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
    if (is_socket(address.host)) {
        add("unix_socket", address.host);
    } else {
        // The client library takes the name localhost for the default socket.
        add("host", address.host == "localhost" ? "127.0.0.1" : address.host);
        add("port", std::to_string(port_of(address.engine, address.port)));
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
    const auto scheme =
        std::ranges::find_if(schemes, [&](const Scheme& known) { return text.starts_with(known.text); });
    if (scheme == schemes.end()) refuse("has a beginning that is not known");
    address.engine = scheme->engine;
    text.remove_prefix(scheme->text.size());
    const std::size_t path = text.find('/');
    if (path == std::string_view::npos) refuse("has no / with the name of a database behind the host");
    std::string_view authority = text.substr(0, path);
    std::string_view rest = text.substr(path + 1);
    if (rest.substr(0, rest.find('?')).find('@') != std::string_view::npos)
        refuse("has an @ behind its first / (write / in a password as %2F, and @ as %40)");
    // A password may hold an @ that was not encoded; a host never does.
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        std::string_view credentials = authority.substr(0, at);
        address.user = percent_decoded(take_until(credentials, ':'));
        address.password = Secret(percent_decoded(credentials));
        authority.remove_prefix(at + 1);
    }
    parse_places(authority, address);
    address.database = percent_decoded(take_until(rest, '?'));
    parse_parameters(rest, address);
    check(address);
    return address;
}

void set_host(ServerAddress& address, const std::string& host) {
    if (is_socket(host)) {
        address.host = host;
        return;
    }
    if (host.empty()) refuse("has an empty host");
    if (host.find_first_of("[,") == std::string::npos && std::ranges::count(host, ':') > 1) {
        // Without brackets, as people write an address that no port follows.
        check_ipv6(host);
        address.host = host;
        return;
    }
    parse_places(host, address);
}

void check(const ServerAddress& address) {
    static constexpr std::array<std::string_view, 7> tls_modes{"",        "disable",   "allow",      "prefer",
                                                               "require", "verify-ca", "verify-full"};
    if (address.user.empty()) refuse("names no user");
    if (address.database.empty()) refuse("names no database");
    if (std::ranges::find(tls_modes, address.tls_mode) == tls_modes.end()) {
        refuse("has the sslmode" + harmless(address.tls_mode, address) +
               ", but must have disable, allow, prefer, require, verify-ca or verify-full");
    }
    for (const ServerAddress::Place& place : places_of(address)) {
        if (!is_socket(place.host)) continue;
        const std::string path = address.engine == Engine::mysql
                                     ? place.host
                                     : place.host + "/.s.PGSQL." + std::to_string(place.port);
        if (path.size() > max_socket_path_bytes) {
            throw ConfigurationError("the path of the database's socket is longer than " +
                                     std::to_string(max_socket_path_bytes) +
                                     " bytes, the most that Linux takes: " + path);
        }
    }
}

std::string connection_text(const ServerAddress& address) {
    return address.engine == Engine::mysql ? mysql_text(address) : postgresql_text(address);
}

std::string label(const ServerAddress& address) {
    const std::string scheme(address.engine == Engine::mysql ? "mysql://" : "postgresql://");
    if (is_socket(address.host))
        return scheme + address.user + "@/" + address.database + "?host=" + address.host;
    const auto place_text = [](const ServerAddress::Place& place) {
        const std::string host = is_ipv6(place.host) ? "[" + place.host + "]" : place.host;
        return host + ":" + std::to_string(place.port);
    };
    return scheme + address.user + "@" + listed(address, place_text) + "/" + address.database;
}

}  // namespace quittance::db
