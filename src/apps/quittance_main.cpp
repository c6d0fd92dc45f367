// quittance: the all-in-one server and the operator's command line.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/commands.hpp"
#include "apps/money_commands.hpp"
#include "apps/options.hpp"
#include "apps/pubsub_commands.hpp"
#include "apps/serve.hpp"
#include "apps/service_program.hpp"
#include "apps/setting_checks.hpp"
#include "apps/standard_descriptors.hpp"
#include "core/error.hpp"
#include "telemetry/log.hpp"

namespace {

using namespace quittance;
using namespace quittance::apps;

void add_serve(CLI::App& app, ServeOptions& options) {
    CLI::App* serve_command =
        app.add_subcommand("serve", "Run the order and payment services in one process");
    add_serve_options(*serve_command, options);
    serve_command->callback([&options] {
        start_logging(options.log_level);
        serve(options);
    });
}

void add_migrate(CLI::App& app, DatabaseChoice& choice) {
    CLI::App* command = app.add_subcommand("migrate", "Bring the databases' schemas up to date");
    add_database_options(*command, choice);
    command->callback([&choice] { migrate_databases(choice, std::cout); });
}

/// Options of one command's own: the environment is read for the commands that were not called, too, and
/// would overwrite what a flag of the one that was called has said.
template <class Options>
std::shared_ptr<Options> own() {
    return std::make_shared<Options>();
}

void add_unlock(CLI::App& user) {
    const auto options = own<UnlockUserOptions>();
    CLI::App* unlock =
        user.add_subcommand("unlock", "Let an account log in at once, whatever has failed before");
    add_database_options(*unlock, options->databases);
    unlock->add_option("--email", options->email, "E-mail address")->required();
    unlock->callback([options] { unlock_user(*options, std::cout); });
}

void add_user(CLI::App& app, CreateUserOptions& options) {
    CLI::App* user = app.add_subcommand("user", "Manage users");
    user->require_subcommand(1);
    CLI::App* create =
        user->add_subcommand("create", "Create a user; the password comes from standard input");
    add_database_options(*create, options.databases);
    create->add_option("--email", options.email, "E-mail address")->required();
    create->add_option("--name", options.name, "Name; the e-mail address when left out");
    create->add_option("--role", options.role, "CUSTOMER, ADMIN or SERVICE")->required();
    create->callback([&options] { create_user(options, std::cin, isatty(STDIN_FILENO) == 1, std::cout); });
    add_unlock(*user);
}

void add_dead_letters(CLI::App& app) {
    CLI::App* letters = app.add_subcommand("dead-letters", "Look at events that no consumer could handle");
    letters->require_subcommand(1);
    CLI::App* list = letters->add_subcommand("list", "List them, oldest first, one JSON object a line");
    CLI::App* show = letters->add_subcommand("show", "Show one with its data");
    CLI::App* replay = letters->add_subcommand("replay", "Publish one again");
    for (CLI::App* command : {list, show, replay}) {
        const auto options = own<DeadLetterOptions>();
        add_database_options(*command, options->databases);
        add_bus_options(*command, options->bus);
        if (command == list) {
            command->add_option("--limit", options->limit, "At most so many of each service")
                ->check(CLI::Range(1, 100'000))
                ->capture_default_str();
        } else {
            command->add_option("id", options->event_id, "The event's id")->required();
        }
        const auto run = command == list   ? list_dead_letters
                         : command == show ? show_dead_letter
                                           : replay_dead_letter;
        command->callback([options, run] { run(*options, std::cout); });
    }
}

void add_push(CLI::App& pubsub) {
    CLI::App* push = pubsub.add_subcommand("push", "Let Pub/Sub post messages to the services, or not");
    push->require_subcommand(1);
    CLI::App* on = push->add_subcommand("on", "Messages are posted to the services' /pubsub/push");
    const auto on_options = own<PubsubOptions>();
    add_project_option(*on, on_options->bus);
    on->add_option("--order-service", on_options->order_service_url,
                   "Address of the order service, https://...")
        ->required();
    on->add_option("--payment-service", on_options->payment_service_url,
                   "Address of the payment service; for the all-in-one the same")
        ->required();
    add_push_identity_options(*on, on_options->bus);
    on->callback([on_options] { push_on(*on_options, std::cout); });
    CLI::App* off = push->add_subcommand("off", "The services fetch messages themselves");
    const auto off_options = own<PubsubOptions>();
    add_project_option(*off, off_options->bus);
    off->callback([off_options] { push_off(*off_options, std::cout); });
}

void add_pubsub(CLI::App& app, bool& as_it_should_be) {
    CLI::App* pubsub = app.add_subcommand("pubsub", "Prepare Google Cloud Pub/Sub, or its emulator");
    pubsub->require_subcommand(1);
    CLI::App* provision_command = pubsub->add_subcommand(
        "provision", "Make topics and subscriptions as they should be; may be repeated");
    CLI::App* check_command =
        pubsub->add_subcommand("check", "Say what is not as it should be; ends with code 3 if anything");
    for (CLI::App* command : {provision_command, check_command}) {
        const auto options = own<PubsubOptions>();
        add_project_option(*command, options->bus);
        add_push_options(*command, options->bus);
        command
            ->add_option("--min-backoff", options->min_backoff_s,
                         "Seconds before a message is delivered for the second time")
            ->check(CLI::Range(0.0, 600.0))
            ->capture_default_str();
        if (command == provision_command) {
            command->callback([options] { provision(*options, std::cout); });
        } else {
            command->callback([options, &as_it_should_be] { as_it_should_be = check(*options, std::cout); });
        }
    }
    add_push(*pubsub);
}

void add_payments(CLI::App& app, bool& as_it_should_be) {
    CLI::App* payments = app.add_subcommand("payments", "Look at payments that nobody knows the outcome of");
    payments->require_subcommand(1);
    CLI::App* stuck = payments->add_subcommand(
        "stuck", "List what waits for a human, one JSON object a line; ends with code 3 if anything");
    CLI::App* retry = payments->add_subcommand("retry", "Ask the provider about one of them again");
    const auto stuck_options = own<MoneyOptions>();
    add_database_options(*stuck, stuck_options->databases);
    stuck->callback([stuck_options, &as_it_should_be] {
        as_it_should_be = list_stuck_payments(*stuck_options, std::cout);
    });
    const auto retry_options = own<MoneyOptions>();
    add_database_options(*retry, retry_options->databases);
    retry->add_option("id", retry_options->id, "Id of the payment, or of the refund")->required();
    retry->callback([retry_options] { retry_payment(*retry_options, std::cout); });

    CLI::App* release = payments->add_subcommand(
        "release", "Void or give back the payments of an order that is not stored (any more)");
    const auto release_options = own<MoneyOptions>();
    add_database_options(*release, release_options->databases);
    release->add_option("order", release_options->order_id, "Id of the order")->required();
    release->callback([release_options] { release_payments(*release_options, std::cout); });

    CLI::App* restore = payments->add_subcommand(
        "restore", "Store a payment again that the provider knows and the database does not (any more)");
    const auto restore_options = own<MoneyOptions>();
    add_database_options(*restore, restore_options->databases);
    add_gateway_options(*restore, restore_options->gateway);
    restore->add_option("id", restore_options->id, "Id of the payment, as the provider's metadata say")
        ->required();
    restore->add_option("--order", restore_options->order_id, "Id of its order")->required();
    restore->add_option("--attempt", restore_options->attempt, "Which attempt to pay the order it was")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    restore->callback([restore_options] { restore_payment(*restore_options, std::cout); });
}

void add_pace_option(CLI::App& command, MoneyOptions& options) {
    command.add_flag("--at-once", options.at_once,
                     "Do not pause between pages: for a database that no service works on");
}

void add_books(CLI::App& app, bool& as_it_should_be) {
    CLI::App* ledger = app.add_subcommand("ledger", "Check the books");
    ledger->require_subcommand(1);
    CLI::App* verify = ledger->add_subcommand(
        "verify", "Compute every chain, sum and balance anew; ends with code 3 if anything does not hold");
    CLI::App* reconcile = app.add_subcommand(
        "reconcile",
        "Compare orders, payments, ledger and the provider; ends with code 3 if anything differs");
    const auto verify_options = own<MoneyOptions>();
    add_database_options(*verify, verify_options->databases);
    add_pace_option(*verify, *verify_options);
    verify->callback(
        [verify_options, &as_it_should_be] { as_it_should_be = verify_ledger(*verify_options, std::cout); });
    const auto reconcile_options = own<MoneyOptions>();
    add_database_options(*reconcile, reconcile_options->databases);
    add_gateway_options(*reconcile, reconcile_options->gateway);
    add_pace_option(*reconcile, *reconcile_options);
    reconcile->add_flag("--orders", reconcile_options->orders_only,
                        "Only compare orders with payments: needs no provider, and works with the simulator");
    reconcile->add_flag("--json", reconcile_options->json, "Print one JSON document");
    reconcile->add_option("--metrics-file", reconcile_options->metrics_file,
                          "Also write the number of differences of each kind to this file, as Prometheus' "
                          "node exporter reads it");
    reconcile->callback([reconcile_options, &as_it_should_be] {
        as_it_should_be = reconcile_books(*reconcile_options, std::cout);
    });
}

}  // namespace

int main(int argc, char** argv) {
    open_standard_descriptors();
    // Databases and keys are nobody else's to read.
    umask(077);
    CLI::App app("Quittance: orders and payments that add up");
    app.set_version_flag("--version", "quittance " QUITTANCE_VERSION);
    app.require_subcommand(1);
    ServeOptions serve_options;
    DatabaseChoice migrate_choice;
    CreateUserOptions user_options;
    bool as_it_should_be = true;
    add_serve(app, serve_options);
    add_migrate(app, migrate_choice);
    add_user(app, user_options);
    add_dead_letters(app);
    add_pubsub(app, as_it_should_be);
    add_payments(app, as_it_should_be);
    add_books(app, as_it_should_be);
    refuse_stray_white_space(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::RequiredError& error) {
        const auto unknown = app.remaining();
        if (unknown.empty()) return app.exit(error);
        log::say("quittance: there is no command " + unknown.front() + "; --help lists them");
        return 2;
    } catch (const CLI::ParseError& error) {
        return refuse_command_line(app, "quittance", error);
    } catch (const ConfigurationError& error) {
        log::say(std::string("quittance: ") + error.what());
        return 2;
    } catch (const std::exception& error) {
        log::say(std::string("quittance: failed: ") + error.what());
        return 1;
    }
    return as_it_should_be ? 0 : 3;
}
