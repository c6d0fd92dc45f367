#include "bench/load.hpp"

#include <algorithm>
#include <charconv>
#include <random>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "bench/shop.hpp"

namespace quittance::bench {

namespace asio = boost::asio;
namespace json = boost::json;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t body_count = 256;
/// Long enough for a killed server to come back without a storm of connects, short against its start.
constexpr milliseconds repeat_pause{20};
/// After the run has ended, how long an order without an answer is still repeated.
constexpr std::chrono::seconds repeat_grace{10};
constexpr milliseconds unpaid_pause{10};

std::string random_run_name() {
    std::random_device device;
    const std::uint64_t number = (static_cast<std::uint64_t>(device()) << 32U) | device();
    char text[16];
    const auto end = std::to_chars(text, text + sizeof text, number, 36).ptr;
    return {text, end};
}

std::vector<std::string> read_lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(std::move(line));
    if (lines.empty()) throw std::runtime_error("no tokens in " + path);
    return lines;
}

milliseconds wall_time() {
    return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
}

asio::awaitable<void> pause(asio::io_context& io, milliseconds time) {
    asio::steady_timer timer(io, time);
    co_await timer.async_wait(asio::use_awaitable);
}

std::uint32_t microseconds_since(std::chrono::steady_clock::time_point start) {
    const auto passed = std::chrono::steady_clock::now() - start;
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(passed).count());
}

/// Milliseconds since 1970 of a text such as 2026-01-02T03:04:05.678Z.
milliseconds parse_time(std::string_view text) {
    constexpr std::size_t length = 24;
    if (text.size() != length) throw std::runtime_error("not a time: " + std::string(text));
    const auto number = [text](std::size_t offset, std::size_t digits) {
        int value = 0;
        std::from_chars(text.data() + offset, text.data() + offset + digits, value);
        return value;
    };
    const std::chrono::sys_days day{std::chrono::year(number(0, 4)) /
                                    std::chrono::month(static_cast<unsigned>(number(5, 2))) /
                                    std::chrono::day(static_cast<unsigned>(number(8, 2)))};
    return day.time_since_epoch() + std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
           std::chrono::seconds(number(17, 2)) + milliseconds(number(20, 3));
}

}  // namespace

Load::Load(asio::io_context& io, LoadOptions options)
    : io_(io),
      options_(std::move(options)),
      target_(Target::parse(io, options_.url)),
      run_(random_run_name()) {
    if (options_.ids_file.empty()) return;
    ids_.open(options_.ids_file, std::ios::app);
    if (!ids_) throw std::runtime_error("cannot write to " + options_.ids_file);
}

asio::awaitable<void> Load::run() {
    co_await prepare();
    co_await drive();
    if (!options_.tolerate_disconnects) co_await verify();
    report_.sort_latencies();
}

void Load::stop() {
    if (stopping_) return;
    stopping_ = true;
    stopped_at_ = Clock::now();
    settled_by_ = wall_time() + std::chrono::seconds(options_.settle_seconds);
}

asio::awaitable<void> Load::prepare() {
    HttpConnection connection(io_, target_);
    if (options_.tokens_file.empty()) {
        tokens_ = co_await log_in_customers(connection, target_, options_.users, run_);
    } else {
        tokens_ = read_lines(options_.tokens_file);
    }
    const auto products = co_await choose_products(connection, target_, options_.product_count);
    bodies_ = make_order_bodies(products, body_count, options_.seed);
}

template <class Start>
asio::awaitable<void> Load::run_clients(Start start) {
    int running = options_.clients;
    std::exception_ptr failure;
    asio::steady_timer finished(io_, Clock::time_point::max());
    for (int client = 0; client < options_.clients; ++client) {
        asio::co_spawn(io_, start(client), [&](std::exception_ptr thrown) {
            if (thrown) failure = thrown;
            if (--running == 0) finished.cancel();
        });
    }
    boost::system::error_code canceled;
    co_await finished.async_wait(asio::redirect_error(asio::use_awaitable, canceled));
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> Load::drive() {
    started_at_ = Clock::now();
    deadline_ = started_at_ + std::chrono::seconds(options_.seconds);
    co_await run_clients([this](int client) { return place_orders(client); });
    stop();
    report_.seconds = Clock::now() - started_at_;
}

Load::Clock::time_point Load::due(std::uint64_t number) const {
    if (options_.rate == 0) return Clock::now();
    const std::chrono::duration<double> after(static_cast<double>(number) / options_.rate);
    return started_at_ + std::chrono::duration_cast<Clock::duration>(after);
}

asio::awaitable<void> Load::place_orders(int client) {
    HttpConnection connection(io_, target_);
    asio::steady_timer timer(io_);
    std::size_t user = static_cast<std::size_t>(client) % tokens_.size();
    while (!stopping_ && Clock::now() < deadline_) {
        const std::uint64_t number = next_order_++;
        const auto start = due(number);
        if (start > deadline_) co_return;
        if (start > Clock::now()) {
            timer.expires_at(start);
            co_await timer.async_wait(asio::use_awaitable);
        }
        if (tokens_.size() > static_cast<std::size_t>(options_.clients)) user = number % tokens_.size();
        const std::string key = run_ + "-" + std::to_string(number);
        const std::string request = format_request(target_, {.method = "POST",
                                                             .path = "/orders",
                                                             .token = tokens_[user],
                                                             .idempotency_key = key,
                                                             .body = bodies_[number % bodies_.size()]});
        co_await place_order(connection, user, request, start);
    }
}

asio::awaitable<void> Load::place_order(HttpConnection& connection, std::size_t user,
                                        const std::string& request, Clock::time_point start) {
    while (true) {
        try {
            const Answer answer = co_await connection.send(request);
            if (answer.status == 201) {
                accept(answer, user, start);
                co_return;
            }
            if (answer.status == 503 && options_.expect_busy) {
                report_.busy_latencies_us.push_back(microseconds_since(start));
                co_return;
            }
            report_.count_error("status " + std::to_string(answer.status));
            // In progress, or busy: the same request may still succeed. Anything else is final.
            if (answer.status != 409 && answer.status != 429 && answer.status != 503) co_return;
        } catch (const boost::system::system_error& error) {
            report_.count_error("connection: " + error.code().message());
        }
        if (!may_repeat()) {
            ++report_.unresolved;
            co_return;
        }
        co_await pause(io_, repeat_pause);
    }
}

bool Load::may_repeat() const {
    const auto end = std::min(deadline_, stopped_at_);
    return options_.tolerate_disconnects && Clock::now() < end + repeat_grace;
}

void Load::accept(const Answer& answer, std::size_t user, Clock::time_point start) {
    const auto slash = answer.location.rfind('/');
    if (slash == std::string::npos) {
        report_.count_error("201 without Location");
        return;
    }
    const std::string& id = report_.accepted_ids.emplace_back(answer.location.substr(slash + 1));
    owners_.push_back(user);
    if (answer.replayed) ++report_.replayed;
    if (ids_.is_open()) ids_ << id << std::endl;
    const std::uint32_t latency_us = microseconds_since(start);
    report_.latencies_us.push_back(latency_us);
    wall_starts_.push_back(wall_time() - milliseconds(latency_us / 1000));
}

asio::awaitable<void> Load::verify() {
    report_.verified = true;
    co_await run_clients([this](int) { return check_orders(); });
    if (report_.paid > 0) report_.seconds_to_last_payment = last_updated_ - first_created_;
}

asio::awaitable<void> Load::check_orders() {
    HttpConnection connection(io_, target_);
    while (next_check_ < report_.accepted_ids.size()) {
        const std::size_t index = next_check_++;
        while (!co_await check_order(connection, index)) {
            if (Clock::now() > stopped_at_ + std::chrono::seconds(options_.settle_seconds)) {
                ++report_.unpaid;
                break;
            }
            co_await pause(io_, unpaid_pause);
        }
    }
}

/// False when the order exists but is not paid yet.
asio::awaitable<bool> Load::check_order(HttpConnection& connection, std::size_t index) {
    const std::string path = "/orders/" + report_.accepted_ids[index];
    Answer answer;
    try {
        answer = co_await connection.send(
            format_request(target_, {.method = "GET", .path = path, .token = tokens_[owners_[index]]}));
    } catch (const boost::system::system_error& error) {
        report_.count_error("check, connection: " + error.code().message());
        co_return false;
    }
    if (answer.status == 404) {
        ++report_.missing;
        co_return true;
    }
    if (answer.status == 503 && options_.expect_busy) co_return false;
    if (answer.status != 200) {
        report_.count_error("check, status " + std::to_string(answer.status));
        co_return false;
    }
    const json::value order = json::parse(answer.body);
    if (order.at("status").as_string() != "PAID") co_return false;
    const auto paid_at = parse_time(order.at("updatedAt").as_string());
    // Checking takes its time, in which one may still have been paid too late.
    ++(paid_at <= settled_by_ ? report_.paid : report_.unpaid);
    note_payment(index, parse_time(order.at("createdAt").as_string()), paid_at);
    co_return true;
}

void Load::note_payment(std::size_t index, milliseconds created, milliseconds updated) {
    const auto took = std::max(updated - wall_starts_[index], milliseconds(0));
    report_.paid_after_us.push_back(static_cast<std::uint32_t>(took.count() * 1000));
    first_created_ = std::min(first_created_, created);
    last_updated_ = std::max(last_updated_, updated);
}

}  // namespace quittance::bench
