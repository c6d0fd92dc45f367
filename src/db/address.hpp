// Where a database server is, in parts; and the text forms that people and client libraries use for it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/secret.hpp"
#include "db/dialect.hpp"

namespace quittance::db {

struct ServerAddress {
    struct Place {
        std::string host;
        std::uint16_t port = 0;  ///< 0: the engine's own.
    };

    Engine engine = Engine::postgresql;
    std::string user;
    Secret password;
    /// A name or an IP address; or, with a slash in front, a Unix socket: for PostgreSQL the folder that it
    /// is in, for MySQL the socket itself.
    std::string host = "localhost";
    std::uint16_t port = 0;  ///< 0: the engine's own.
    /// Further servers of the same cluster, tried in their order; of PostgreSQL only.
    std::vector<Place> more_places;
    std::string database;
    std::string tls_mode;         ///< PostgreSQL's `sslmode`; empty: the client library's default.
    std::string certificates_of;  ///< File of the certificate authorities that the server is checked against.
    /// Further parameters, in libpq's names; they go before what we would choose. May hold a secret.
    std::vector<std::pair<std::string, std::string>> parameters;
};

/// Understands `postgresql://user:password@host:port,host:port/database?parameter=value&…` (or `postgres://`)
/// with libpq's parameters, and `mysql://user:password@host:port/database?sslca=…` (or `mariadb://`); with
/// `host=/folder` (or `socket=/path` for MySQL) as a parameter, a Unix socket. IPv6 addresses stand in square
/// brackets, reserved characters are percent-encoded. Of several servers the one that accepts writes is used,
/// unless `target_session_attrs` says otherwise. Throws ConfigurationError with what is wrong: a parameter
/// that is not known is named, but no text that may be a password is repeated.
[[nodiscard]] ServerAddress parse_server_address(const Secret& url);

/// Sets hosts and ports from `HOST`, `HOST:PORT`, `IPv6`, `[IPv6]:PORT`, several of these with commas
/// between, or the path of a socket.
void set_host(ServerAddress& address, const std::string& host);

/// Throws ConfigurationError when the address cannot be used: parts that are missing, a socket whose path is
/// too long.
void check(const ServerAddress& address);

/// For the client library, with the password.
[[nodiscard]] std::string connection_text(const ServerAddress& address);

/// For people, without it.
[[nodiscard]] std::string label(const ServerAddress& address);

}  // namespace quittance::db
