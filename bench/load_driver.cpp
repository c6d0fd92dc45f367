// Places orders against a running server and proves what became of each.
#include <csignal>
#include <exception>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "bench/load.hpp"

namespace {

using quittance::bench::Load;
using quittance::bench::LoadOptions;
using quittance::bench::Report;

/// A token lives 15 minutes, and the driver logs in once.
constexpr int max_seconds = 840;

void declare_options(CLI::App& app, LoadOptions& options, std::string& json_file) {
    app.add_option("--url", options.url, "The server")->capture_default_str();
    app.add_option("--clients", options.clients, "Connections, each with one order under way")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    app.add_option("--seconds", options.seconds, "How long to place orders")
        ->check(CLI::Range(1, max_seconds))
        ->capture_default_str();
    app.add_option(
           "--rate", options.rate,
           "Orders a second, at fixed times, on at most --clients connections; 0: as fast as answered")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_flag("--expect-busy", options.expect_busy, "503 is a proper answer, and no error");
    app.add_option("--tokens-file", options.tokens_file,
                   "Customers' access tokens, one a line, in place of registering --users customers");
    app.add_option("--users", options.users, "Customers to register and to share among the clients")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--product-count", options.product_count, "Use at most so many products")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--settle-seconds", options.settle_seconds,
                   "How long after the last answer an order may take to be PAID")
        ->check(CLI::Range(0, 600))
        ->capture_default_str();
    app.add_option("--seed", options.seed, "Chooses the orders")->capture_default_str();
    app.add_flag(
        "--tolerate-disconnects", options.tolerate_disconnects,
        "Repeat an order that got no answer, with the same key, and do not check the orders afterwards");
    app.add_option("--ids-file", options.ids_file, "Append the id of every accepted order to this file");
    app.add_option("--json", json_file, "Write the report to this file");
}

/// Runs the load to its end; SIGTERM and SIGINT end it early but in good order.
void run(boost::asio::io_context& io, Load& load) {
    boost::asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&load](const boost::system::error_code& error, int) {
        if (!error) load.stop();
    });
    std::exception_ptr failure;
    boost::asio::co_spawn(io, load.run(), [&](std::exception_ptr thrown) {
        failure = thrown;
        signals.cancel();
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

int exit_code(const Report& report, const LoadOptions& options) {
    if (report.accepted_ids.empty()) return 1;
    if (options.tolerate_disconnects) return report.unresolved == 0 ? 0 : 1;
    return report.error_count() == 0 && report.unpaid == 0 && report.missing == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    LoadOptions options;
    std::string json_file;
    CLI::App app("Places orders against a running server and proves what became of each.", "load-driver");
    declare_options(app, options, json_file);
    CLI11_PARSE(app, argc, argv);
    try {
        boost::asio::io_context io(1);
        Load load(io, options);
        run(io, load);
        std::cout << load.report().to_text();
        if (!json_file.empty()) std::ofstream(json_file) << load.report().to_json() << '\n';
        return exit_code(load.report(), options);
    } catch (const boost::system::system_error& error) {
        std::cerr << "load-driver: " << options.url << ": " << error.code().message() << '\n';
        return 1;
    } catch (const std::exception& error) {
        std::cerr << "load-driver: " << error.what() << '\n';
        return 1;
    }
}
