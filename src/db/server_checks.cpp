#include "db/server_checks.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <libpq-fe.h>
#include <poll.h>

namespace quittance::db {

namespace {

using std::chrono::steady_clock;

/// A pooler without a free connection lets its clients wait, for minutes where nothing else is said.
constexpr std::chrono::seconds answer_limit{5};
/// Of a pooler that other clients use, too, several questions in turn are seldom all answered by the same.
constexpr int probe_rounds = 8;

/// Not a Session, which would begin with its settings.
class PostgresqlProbe {
public:
    explicit PostgresqlProbe(const DatabaseOptions& options)
        : connection_(PQconnectdb(options.connection.c_str()), PQfinish) {
        if (PQstatus(connection_.get()) != CONNECTION_OK) throw StorageUnavailable(message());
        PQsetNoticeProcessor(
            connection_.get(), [](void*, const char*) {}, nullptr);
    }

    /// The first value of the answer, or none when there is no answer in time.
    std::optional<std::string> ask(const char* sql) {
        if (PQsendQuery(connection_.get(), sql) != 1) throw StorageUnavailable(message());
        const auto end = steady_clock::now() + answer_limit;
        while (PQisBusy(connection_.get()) == 1) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
            if (left.count() <= 0) return std::nullopt;
            pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
            ::poll(&socket, 1, static_cast<int>(left.count()));
            if (PQconsumeInput(connection_.get()) != 1) throw StorageUnavailable(message());
        }
        std::string value;
        while (PGresult* next = PQgetResult(connection_.get())) {
            const std::unique_ptr<PGresult, decltype(&PQclear)> result(next, PQclear);
            if (PQresultStatus(next) != PGRES_TUPLES_OK) throw StorageUnavailable(message());
            if (PQntuples(next) > 0) value = PQgetvalue(next, 0, 0);
        }
        return value;
    }

    std::optional<std::string> server_process() { return ask("SELECT pg_backend_pid()"); }

    /// Who answers is the process that the connection was made to. Poolers make up a number of their own.
    bool reaches_its_process(const std::string& process) const {
        return std::to_string(PQbackendPID(connection_.get())) == process;
    }

private:
    [[nodiscard]] std::string message() const {
        std::string text = PQerrorMessage(connection_.get());
        while (text.ends_with('\n'))
            text.pop_back();
        return text;
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

std::string answered(std::optional<std::string> answer) {
    if (!answer) {
        throw StorageUnavailable("no answer within " + std::to_string(answer_limit.count()) +
                                 " s; a connection pooler without a free connection lets its clients wait: "
                                 "raise its default_pool_size");
    }
    return *std::move(answer);
}

/// With a session each, two clients never share a process and none changes its own. A pooler that gives each
/// transaction the connection that became free last, or first, shows both soon.
void check_pooler(PostgresqlProbe& first, const std::string& process, const DatabaseOptions& options) {
    if (first.reaches_its_process(process)) return;
    PostgresqlProbe second(options);
    for (int round = 0; round < probe_rounds; ++round) {
        if (answered(second.server_process()) != process && answered(first.server_process()) == process)
            continue;
        throw ConfigurationError(
            "the database " + options.label +
            " is behind a connection pooler that gives each transaction another connection; prepared "
            "statements and session settings, which this program uses, would end up with others. Set "
            "pool_mode = session for this database in PgBouncer, or let the address name the server itself");
    }
}

void check_postgresql(const DatabaseOptions& options) {
    PostgresqlProbe probe(options);
    const std::string process = answered(probe.server_process());
    const std::string encoding = answered(probe.ask("SHOW server_encoding"));
    if (encoding != "UTF8") {
        throw ConfigurationError(
            "the database " + options.label + " has the encoding " + encoding +
            ", but must have UTF8. As the server's administrator, make another:\n  CREATE DATABASE " +
            answered(probe.ask(
                "SELECT quote_ident(current_database()) || ' OWNER ' || quote_ident(current_user)")) +
            " ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;");
    }
    check_pooler(probe, process, options);
}

void check_mysql(const DatabaseOptions& options) {
    Session session(options);
    const auto [character_set, name] =
        session.select<std::string, std::string>("SELECT @@character_set_database, DATABASE()").at(0);
    if (character_set == "utf8mb4") return;
    throw ConfigurationError(
        "the database " + options.label + " has the character set " + character_set +
        ", but must have utf8mb4. As the server's administrator, make another:\n"
        "  CREATE DATABASE " +
        name + " CHARACTER SET utf8mb4;\nor, where it is empty yet, change it:\n  ALTER DATABASE " + name +
        " CHARACTER SET utf8mb4;");
}

}  // namespace

void check_server(const DatabaseOptions& options) {
    switch (options.engine) {
        case Engine::sqlite: return;
        case Engine::postgresql: return check_postgresql(options);
        case Engine::mysql: return check_mysql(options);
    }
}

}  // namespace quittance::db
