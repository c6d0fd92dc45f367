#include "apps/commands.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <istream>
#include <ostream>

#include <boost/json.hpp>

#include "apps/data_folder.hpp"
#include "apps/environment.hpp"
#include "apps/service_database.hpp"
#include "contracts/events.hpp"
#include "messaging/outbox.hpp"
#include "messaging/pubsub_dead_letters.hpp"
#include "users/user_service.hpp"

namespace quittance::apps {

namespace json = boost::json;

namespace {

/// What goes wrong on the way, as something that an operator understands.
template <class Work>
auto while_it_is_there(const db::DatabaseOptions& options, Work work) {
    try {
        return work();
    } catch (const StorageUnavailable& unavailable) {
        throw ConfigurationError("the database " + options.label + " went away: " + unavailable.what());
    }
}

/// Of a shop that is there; changes no schema and makes no file.
template <class Work>
void with_database(const db::DatabaseOptions& options, const std::vector<db::Migration>& migrations,
                   Work work) {
    db::Session session(options);
    open_existing_database(session, options, migrations);
    while_it_is_there(options, [&] { work(session); });
}

/// SQLite makes a file, but its folder has to be there: the name of a wrong one is soon written.
void require_folder_of(const db::DatabaseOptions& options, const std::string& data_folder) {
    if (options.engine != db::Engine::sqlite) return;
    const std::filesystem::path file = sqlite_file_of(options);
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    if (!std::filesystem::is_directory(folder)) {
        throw ConfigurationError(
            "there is no folder " + folder.string() +
            ": make it as the user that the service runs as, or name another with --data "
            "(now " +
            data_folder + ")");
    }
    act_as_owner_of(folder);
}

void migrate_database(const db::DatabaseOptions& options, const std::vector<db::Migration>& migrations,
                      std::ostream& out) {
    const SystemClock clock;
    db::Session session(options);
    const int applied = open_database(session, options, migrations, clock);
    out << options.label << ": " << applied << " migration(s) applied" << std::endl;
}

bool is_missing(const db::DatabaseOptions& options) {
    std::error_code unknown;
    return options.engine == db::Engine::sqlite && !std::filesystem::exists(sqlite_file_of(options), unknown);
}

using ForService = std::function<void(std::string_view service, db::Session&, const messaging::Outbox&)>;

/// The outboxes, and so the dead letters, of both services; of one where the other keeps its data elsewhere.
void with_outboxes(const DatabaseChoice& databases, const ForService& work) {
    const auto orders = databases.orders();
    const auto payments = databases.payments();
    const bool both_or_none = is_missing(orders) == is_missing(payments);
    if (both_or_none || !is_missing(orders)) {
        with_database(orders, db::orders_migrations(), [&](db::Session& session) {
            work("order", session, messaging::Outbox(session.dialect()));
        });
    }
    if (both_or_none || !is_missing(payments)) {
        with_database(payments, db::payments_migrations(), [&](db::Session& session) {
            work("payment", session, messaging::Outbox(session.dialect()));
        });
    }
}

/// The one who sent what is published to a topic.
std::string_view sender_of(const std::string& topic) {
    return topic == contracts::payment_events_topic ? "order" : "payment";
}

messaging::PubsubDeadLetters pubsub_letters(const BusChoice& bus) {
    return {bus.pubsub_settings(), pubsub_routes()};
}

json::object to_object(std::string_view service, const messaging::DeadLetter& letter) {
    const messaging::Message& message = letter.row.message;
    return {{"id", message.id},
            {"service", service},
            {"topic", letter.row.topic},
            {"type", message.type},
            {"orderingKey", message.ordering_key},
            {"reason", letter.reason},
            {"deliveryAttempts", letter.delivery_attempts},
            {"publishedAt", to_rfc3339(message.time)},
            {"deadAt", to_rfc3339(letter.dead_at)}};
}

std::string no_such_letter(const std::string& id) {
    return "there is no dead letter with the id " + id;
}

std::string in_words(const Error& error) {
    std::string words = error.detail;
    for (const Fault& fault : error.faults)
        words += "\n  " + fault.pointer.substr(1) + " " + fault.detail;
    return words;
}

json::object to_full_object(std::string_view service, const messaging::DeadLetter& letter) {
    json::object object = to_object(service, letter);
    object["source"] = letter.row.message.source;
    object["traceparent"] = letter.row.message.traceparent;
    object["data"] = letter.row.message.data;
    return object;
}

}  // namespace

void migrate_databases(const DatabaseChoice& databases, std::ostream& out) {
    const auto orders = databases.orders();
    const auto payments = databases.payments();
    require_folder_of(orders, databases.data_folder);
    require_folder_of(payments, databases.data_folder);
    migrate_database(orders, db::orders_migrations(), out);
    migrate_database(payments, db::payments_migrations(), out);
}

void create_user(const CreateUserOptions& options, std::istream& in, bool in_is_terminal, std::ostream& out) {
    const auto role = parse_role(options.role);
    if (!role) throw ConfigurationError("--role must be CUSTOMER, ADMIN or SERVICE, not " + options.role);
    const std::string& name = options.name.empty() ? options.email : options.name;
    Environment environment;
    std::string password;
    if (!in_is_terminal) std::getline(in, password);
    // A line from Windows ends with both.
    if (password.ends_with('\r')) password.pop_back();
    const users::PasswordHasher hasher({.threads = 0});
    with_database(options.databases.orders(), db::orders_migrations(), [&](db::Session& session) {
        const auto created =
            users::create_user(session, hasher, environment.ids, environment.random, environment.clock,
                               {name, options.email, Secret(password), *role});
        if (!created)
            throw ConfigurationError("the user " + options.email +
                                     " was not created: " + in_words(created.error()));
        out << "user: " << created->user.id.to_string() << " " << created->user.email << " "
            << to_string(created->user.role) << std::endl;
        if (created->generated_password)
            out << "password: " << created->generated_password->reveal() << std::endl;
    });
}

void unlock_user(const UnlockUserOptions& options, std::ostream& out) {
    with_database(options.databases.orders(), db::orders_migrations(), [&](db::Session& session) {
        const auto sources = users::unlock_user(session, options.email);
        out << "unlocked: " << options.email << ", where log-ins had failed from " << sources
            << (sources == 1 ? " address" : " addresses") << std::endl;
    });
}

void list_dead_letters(const DeadLetterOptions& options, std::ostream& out) {
    with_outboxes(options.databases,
                  [&](std::string_view service, db::Session& session, const messaging::Outbox& outbox) {
                      for (const auto& letter : outbox.dead_letters(session, options.limit)) {
                          out << json::serialize(to_object(service, letter)) << "\n";
                      }
                  });
    if (options.bus.is_pubsub()) {
        for (const auto& letter : pubsub_letters(options.bus).list(options.limit))
            out << json::serialize(to_object(sender_of(letter.row.topic), letter)) << "\n";
    }
    out.flush();
}

void show_dead_letter(const DeadLetterOptions& options, std::ostream& out) {
    bool found = false;
    with_outboxes(options.databases,
                  [&](std::string_view service, db::Session& session, const messaging::Outbox& outbox) {
                      const auto letter = outbox.dead_letter(session, options.event_id);
                      if (!letter) return;
                      out << json::serialize(to_full_object(service, *letter)) << std::endl;
                      found = true;
                  });
    if (!found && options.bus.is_pubsub()) {
        if (const auto letter = pubsub_letters(options.bus).find(options.event_id)) {
            out << json::serialize(to_full_object(sender_of(letter->row.topic), *letter)) << std::endl;
            found = true;
        }
    }
    if (!found) throw ConfigurationError(no_such_letter(options.event_id));
}

void replay_dead_letter(const DeadLetterOptions& options, std::ostream& out) {
    bool found = false;
    with_outboxes(options.databases, [&](std::string_view service, db::Session& session,
                                         const messaging::Outbox& outbox) {
        db::Transaction transaction(session);
        if (!outbox.replay(session, options.event_id)) return;
        transaction.commit();
        found = true;
        out << options.event_id << " is back in the outbox of the " << service << " service" << std::endl;
    });
    if (!found && options.bus.is_pubsub()) {
        if (const auto topic = pubsub_letters(options.bus).replay(options.event_id)) {
            out << options.event_id << " is published to " << *topic << " again" << std::endl;
            found = true;
        }
    }
    if (!found) throw ConfigurationError(no_such_letter(options.event_id));
}

}  // namespace quittance::apps
