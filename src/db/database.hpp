// Databases: connections, statements, transactions. SOCI stays behind this header.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.hpp"
#include "core/secret.hpp"
#include "db/address.hpp"
#include "db/dialect.hpp"

namespace quittance::db {

/// A value bound to a statement. Batches travel as one JSON text; see `Dialect::rows`.
using Parameter = std::variant<std::string, std::int64_t>;

/// Where one column of a result goes. NULL is not read: queries use COALESCE where a column may be NULL.
using ColumnTarget = std::variant<std::vector<std::string>*, std::vector<long long>*>;

/// Where a database is and how to reach it.
struct DatabaseOptions {
    Engine engine = Engine::sqlite;
    std::string connection;  ///< In the words of SOCI's backend; may hold a password: never log it.
    std::string label;       ///< For logs and messages: the address without any secret.
    std::string file;        ///< The path of a SQLite database.
    /// When set to true, every session with these options refuses all work with StorageUnavailable: what it
    /// has open is not the database any more.
    std::shared_ptr<std::atomic<bool>> closed;

    /// Understands `sqlite:PATH` and what `parse_server_address` does. Throws ConfigurationError with what is
    /// accepted.
    [[nodiscard]] static DatabaseOptions parse(const Secret& url);
    [[nodiscard]] static DatabaseOptions server(const ServerAddress& address);
};

/// One connection, used by one thread at a time. Connects when first used and again after the connection
/// broke, which goes unnoticed where nothing was under way: between transactions. Throws StorageUnavailable
/// (or what is derived from it), StorageConflict or StorageRejected; never anything of SOCI's. After
/// StorageUnavailable the connection is given up: SQLite, for one, reopens a file read-only when its file
/// system was, and stays with it.
///
/// On the servers: transactions are READ COMMITTED, a statement ends after 30 s and a wait for a lock after
/// 10 s, and a server that could not be reached is not asked again for half a second.
class Session {
public:
    explicit Session(DatabaseOptions options);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    [[nodiscard]] const Dialect& dialect() const;
    /// Transactions committed.
    [[nodiscard]] std::uint64_t commits() const { return commits_; }

    /// Runs a statement and returns the number of rows it changed. Parameters are bound in the order in
    /// which `:name` placeholders appear; a name that appears twice takes two parameters. Statements are
    /// prepared once per session and text, so texts are built once, not per call.
    std::int64_t execute(const std::string& sql, const std::vector<Parameter>& parameters = {});

    /// Runs one statement as it stands, without parameters and without preparing it. A colon in it would be
    /// taken for a placeholder.
    void run(const std::string& sql);

    /// Runs a query and returns all its rows. Columns are std::string or std::int64_t.
    template <class... Columns>
    [[nodiscard]] std::vector<std::tuple<Columns...>> select(const std::string& sql,
                                                             const std::vector<Parameter>& parameters = {}) {
        std::tuple<ColumnBuffer<Columns>...> buffers;
        std::vector<std::tuple<Columns...>> rows;
        const auto targets =
            std::apply([](auto&... buffer) { return std::vector<ColumnTarget>{&buffer...}; }, buffers);
        query(sql, parameters, targets);
        const std::size_t count = std::get<0>(buffers).size();
        rows.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            rows.push_back(std::apply(
                [i](auto&... buffer) { return std::tuple<Columns...>(std::move(buffer[i])...); }, buffers));
        }
        return rows;
    }

private:
    friend class Transaction;
    template <class Column>
    using ColumnBuffer = std::vector<std::conditional_t<std::is_integral_v<Column>, long long, std::string>>;

    /// Fills the targets with every row, in place of what they hold.
    void query(const std::string& sql, const std::vector<Parameter>& parameters,
               const std::vector<ColumnTarget>& targets);

    template <class Work>
    auto with_connection(Work work);
    /// As `with_connection`, and once more when the connection turns out to have broken while it was idle.
    /// Only then: what the server cut short would be cut short again. `work` begins anew.
    template <class Work>
    auto with_live_connection(Work work);
    void connect();

    struct Connection;
    DatabaseOptions options_;
    Dialect dialect_;
    std::unique_ptr<Connection> connection_;
    bool in_transaction_ = false;
    std::uint64_t commits_ = 0;
    std::chrono::steady_clock::time_point no_connect_before_{};
    std::exception_ptr connect_failure_;
};

/// A transaction that rolls back unless committed. On SQLite it takes the write lock at once.
class Transaction {
public:
    explicit Transaction(Session& session);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    /// Throws StorageUnavailable when the outcome is not known.
    void commit();

    /// Commits and then runs `after`, which cannot throw: an exception after a commit would be taken for a
    /// failed execution, and what was committed would be done again.
    template <class After>
    void commit(After after) {
        static_assert(noexcept(after()), "what follows a commit is noexcept");
        commit();
        after();
    }

private:
    Session& session_;
    bool open_ = true;
};

}  // namespace quittance::db
