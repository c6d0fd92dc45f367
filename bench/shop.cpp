#include "bench/shop.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

namespace quittance::bench {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr int max_busy_answers = 60;
constexpr std::string_view password = "correct horse battery staple";

asio::awaitable<void> pause(int seconds) {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::seconds(seconds));
    co_await timer.async_wait(asio::use_awaitable);
}

/// Registering and logging in hash passwords, so a server bounds how often it does that.
asio::awaitable<json::value> post_patiently(HttpConnection& connection, const Target& target,
                                            std::string_view path, const json::object& body) {
    const std::string text = json::serialize(body);
    const std::string request = format_request(target, {.method = "POST", .path = path, .body = text});
    for (int attempt = 0; attempt < max_busy_answers; ++attempt) {
        const Answer answer = co_await connection.send(request);
        if (answer.status == 200 || answer.status == 201) co_return json::parse(answer.body);
        if (answer.status != 429 && answer.status != 503) {
            throw std::runtime_error("POST " + std::string(path) + " was answered with " +
                                     std::to_string(answer.status) + ": " + answer.body);
        }
        co_await pause(std::max(1, answer.retry_after_s));
    }
    throw std::runtime_error("POST " + std::string(path) + " stayed busy for too long");
}

}  // namespace

asio::awaitable<std::vector<std::string>> log_in_customers(HttpConnection& connection, const Target& target,
                                                           int count, const std::string& run) {
    std::vector<std::string> tokens;
    for (int i = 0; i < count; ++i) {
        const std::string email = "load-" + run + "-" + std::to_string(i) + "@example.com";
        const json::object customer{{"name", "Load driver"}, {"email", email}, {"password", password}};
        co_await post_patiently(connection, target, "/users", customer);
        const json::object credentials{{"email", email}, {"password", password}};
        const json::value session = co_await post_patiently(connection, target, "/users/login", credentials);
        tokens.emplace_back(session.at("token").as_string());
    }
    co_return tokens;
}

asio::awaitable<std::vector<std::string>> choose_products(HttpConnection& connection, const Target& target,
                                                          std::size_t limit) {
    std::map<std::string, std::vector<std::string>> ids_by_currency;
    std::string path = "/products";
    while (!path.empty()) {
        const Answer answer =
            co_await connection.send(format_request(target, {.method = "GET", .path = path}));
        if (answer.status != 200) throw std::runtime_error("GET /products was answered with " + answer.body);
        const json::value page = json::parse(answer.body);
        for (const json::value& product : page.at("data").as_array()) {
            if (!product.at("active").as_bool()) continue;
            ids_by_currency[std::string(product.at("currency").as_string())].emplace_back(
                product.at("id").as_string());
        }
        const json::value* next = page.as_object().if_contains("nextCursor");
        const bool more = next != nullptr && next->is_string();
        path = more ? "/products?cursor=" + std::string(next->as_string()) : std::string();
    }
    if (ids_by_currency.empty()) {
        throw std::runtime_error("the catalogue has no active product; start the server with --demo");
    }
    const auto largest = std::ranges::max_element(
        ids_by_currency, {}, [](const auto& currency_and_ids) { return currency_and_ids.second.size(); });
    std::vector<std::string> ids = std::move(largest->second);
    ids.resize(std::min(ids.size(), limit));
    co_return ids;
}

std::vector<std::string> make_order_bodies(const std::vector<std::string>& product_ids, std::size_t count,
                                           std::uint64_t seed) {
    constexpr std::size_t max_items = 5;
    constexpr int max_quantity = 3;
    std::mt19937_64 random(seed);
    std::vector<std::string> shuffled = product_ids;
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < count; ++i) {
        std::ranges::shuffle(shuffled, random);
        std::uniform_int_distribution<std::size_t> item_count(1, std::min(max_items, shuffled.size()));
        std::uniform_int_distribution<int> quantity(1, max_quantity);
        json::array items;
        for (std::size_t item = item_count(random); item > 0; --item) {
            items.push_back({{"productId", shuffled[item - 1]}, {"quantity", quantity(random)}});
        }
        bodies.push_back(
            json::serialize(json::object{{"items", std::move(items)}, {"paymentMethod", "pm_card_visa"}}));
    }
    return bodies;
}

}  // namespace quittance::bench
