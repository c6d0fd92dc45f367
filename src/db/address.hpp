// Where a database server is, in parts; and the text forms that people and client libraries use for it.
#pragma once

#include <cstdint>
#include <string>

#include "core/secret.hpp"
#include "db/dialect.hpp"

namespace quittance::db {

struct ServerAddress {
    Engine engine = Engine::postgresql;
    std::string user;
    Secret password;
    /// A name or an IP address; or, with a slash in front, a Unix socket: for PostgreSQL the folder that it
    /// is in, for MySQL the socket itself.
    std::string host = "localhost";
    std::uint16_t port = 0;  ///< 0: the engine's own.
    std::string database;
    std::string tls_mode;         ///< PostgreSQL's `sslmode`; empty: the client library's default.
    std::string certificates_of;  ///< File of the certificate authorities that the server is checked against.
};

/// Understands `postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…` and
/// `mysql://user:password@host:port/database?sslca=…`; with `host=/folder` (or `socket=/path` for MySQL) as a
/// parameter, a Unix socket. Reserved characters are percent-encoded. Throws ConfigurationError with what is
/// wrong; never repeats the text, which holds a password.
[[nodiscard]] ServerAddress parse_server_address(const Secret& url);

/// Sets host and port from `HOST`, `HOST:PORT`, `[IPv6]:PORT` or the path of a socket.
void set_host(ServerAddress& address, const std::string& host);

/// Throws ConfigurationError when the address cannot be used: parts that are missing, a socket whose path is
/// too long.
void check(const ServerAddress& address);

/// For the client library, with the password.
[[nodiscard]] std::string connection_text(const ServerAddress& address);

/// For people, without it.
[[nodiscard]] std::string label(const ServerAddress& address);

}  // namespace quittance::db
