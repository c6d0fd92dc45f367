// The two databases in memory, which survive every crash, and what fails between them and the services.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/database.hpp"
#include "tests/sim/stage.hpp"

struct sqlite3;

namespace quittance::sim {

/// While it lives, the statements of this thread belong to one process, and faults are among them.
class FaultyStatements {
public:
    FaultyStatements(Stage& stage, int process);
    ~FaultyStatements();
    FaultyStatements(const FaultyStatements&) = delete;
    FaultyStatements& operator=(const FaultyStatements&) = delete;
};

/// While it lives, nothing fails: for those who look on.
class SoundStatements {
public:
    SoundStatements();
    ~SoundStatements();
    SoundStatements(const SoundStatements&) = delete;
    SoundStatements& operator=(const SoundStatements&) = delete;

private:
    Stage* stage_;
};

/// One database. Used through any number of sessions, and looked into from the side.
class Database {
public:
    /// A copy of `empty`, under this name.
    Database(const std::string& name, Database& empty);
    /// An empty one.
    explicit Database(const std::string& name);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    [[nodiscard]] db::DatabaseOptions options() const;

    using Row = std::vector<std::string>;
    /// Everything committed; throws Violation when a transaction is open, which whoever looks must not do.
    [[nodiscard]] std::vector<Row> rows(const std::string& sql,
                                        const std::vector<std::string>& parameters = {});
    [[nodiscard]] std::int64_t number(const std::string& sql,
                                      const std::vector<std::string>& parameters = {});

private:
    struct Statements;

    std::string name_;
    sqlite3* connection_ = nullptr;
    std::unique_ptr<Statements> statements_;
};

/// In the catalogue beside those of the demo.
inline constexpr std::string_view free_product = "sample";

/// Both, with their schemas and the catalogue, made once per program and copied for each world.
struct Templates {
    Templates();
    Database orders;
    Database payments;
};

}  // namespace quittance::sim
