// What an operator does from the command line, beside serving.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "apps/options.hpp"

namespace quittance::apps {

/// `quittance migrate`
void migrate_databases(const DatabaseChoice& databases, std::ostream& out);

struct CreateUserOptions {
    DatabaseChoice databases;
    std::string email;
    std::string name;
    std::string role;
};

/// `quittance user create`: the password is read from `in` unless it is a terminal or empty; then one is
/// made and printed once.
void create_user(const CreateUserOptions& options, std::istream& in, bool in_is_terminal, std::ostream& out);

struct UnlockUserOptions {
    DatabaseChoice databases;
    std::string email;
};

/// `quittance user unlock`: the next log-in to the account need not wait for those that failed.
void unlock_user(const UnlockUserOptions& options, std::ostream& out);

struct DeadLetterOptions {
    DatabaseChoice databases;
    BusChoice
        bus;  ///< With Pub/Sub, what its dead-letter subscriptions hold comes after that of the databases.
    std::int64_t limit = 100;
    std::string event_id;  ///< For show and replay.
};

/// `quittance dead-letters list`: one JSON object a line, without the data.
void list_dead_letters(const DeadLetterOptions& options, std::ostream& out);
/// `quittance dead-letters show`: everything about one, as JSON.
void show_dead_letter(const DeadLetterOptions& options, std::ostream& out);
/// `quittance dead-letters replay`: back into the outbox; a running server publishes it within a second.
void replay_dead_letter(const DeadLetterOptions& options, std::ostream& out);

}  // namespace quittance::apps
