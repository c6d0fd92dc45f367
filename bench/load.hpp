// The load itself: clients that place orders as fast as they are answered, and the check that none was lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "bench/http_connection.hpp"
#include "bench/report.hpp"

namespace quittance::bench {

struct LoadOptions {
    std::string url = "http://127.0.0.1:8080";
    int clients = 64;
    int seconds = 30;
    /// Orders a second to start, whether or not those before are answered; their latency counts from the
    /// moment at which they were due, so that a slow server cannot hide its delays. 0: each client starts
    /// the next order when the last one is answered.
    double rate = 0;
    bool expect_busy = false;  ///< 503 is a proper answer to a load that is too high, and no error.
    int users = 8;
    std::string tokens_file;  ///< One access token a line, in place of customers that are registered.
    std::size_t product_count = 50;
    int settle_seconds = 2;  ///< How long after the last answer an order may still be on its way to PAID.
    std::uint64_t seed = 1;
    bool tolerate_disconnects = false;  ///< Repeat what got no answer, and leave the check to others.
    std::string ids_file;               ///< Gets the id of every accepted order; none when empty.
};

/// One run against one server. Everything happens on the thread that runs `io`.
class Load {
public:
    Load(boost::asio::io_context& io, LoadOptions options);

    /// Prepares, drives and checks. Throws std::runtime_error when the shop cannot be prepared.
    [[nodiscard]] boost::asio::awaitable<void> run();
    /// Places no further orders; those under way are finished. Safe to call more than once.
    void stop();
    [[nodiscard]] Report& report() { return report_; }

private:
    using Clock = std::chrono::steady_clock;

    boost::asio::awaitable<void> prepare();
    boost::asio::awaitable<void> drive();
    boost::asio::awaitable<void> verify();

    boost::asio::awaitable<void> place_orders(int client);
    /// When the order with this number is to be sent.
    [[nodiscard]] Clock::time_point due(std::uint64_t number) const;
    /// Sends one order until it has an answer, or until repeating it makes no sense.
    boost::asio::awaitable<void> place_order(HttpConnection& connection, std::size_t user,
                                             const std::string& request, Clock::time_point start);
    void accept(const Answer& answer, std::size_t user, Clock::time_point start);
    boost::asio::awaitable<void> check_orders();
    boost::asio::awaitable<bool> check_order(HttpConnection& connection, std::size_t index);
    void note_payment(std::size_t index, std::chrono::milliseconds created,
                      std::chrono::milliseconds updated);
    [[nodiscard]] bool may_repeat() const;
    /// Runs `clients` of these at once and waits for all.
    template <class Start>
    boost::asio::awaitable<void> run_clients(Start start);

    boost::asio::io_context& io_;
    LoadOptions options_;
    Target target_;
    std::string run_;  ///< Sets this run's users and keys apart from every other's.
    std::vector<std::string> tokens_;
    std::vector<std::string> bodies_;
    std::uint64_t next_order_ = 0;
    Clock::time_point started_at_{};

    bool stopping_ = false;
    Clock::time_point deadline_ = Clock::time_point::max();
    Clock::time_point stopped_at_ = Clock::time_point::max();
    std::chrono::milliseconds settled_by_{0};  ///< By the wall clock.

    Report report_;
    std::vector<std::size_t> owners_;                     ///< The user of each of the report's accepted ids.
    std::vector<std::chrono::milliseconds> wall_starts_;  ///< Of each accepted id, since 1970.
    std::size_t next_check_ = 0;
    std::chrono::milliseconds first_created_ = std::chrono::milliseconds::max();
    std::chrono::milliseconds last_updated_ = std::chrono::milliseconds::min();
    std::ofstream ids_;
};

}  // namespace quittance::bench
