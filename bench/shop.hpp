// What a load needs from the shop before it starts: customers that are logged in, and orders to place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "bench/http_connection.hpp"

namespace quittance::bench {

/// Registers `count` new customers and logs each in; waits where the server asks to. Returns their tokens,
/// which live 15 minutes. Throws std::runtime_error with the server's answer when it refuses.
[[nodiscard]] boost::asio::awaitable<std::vector<std::string>> log_in_customers(HttpConnection& connection,
                                                                                const Target& target,
                                                                                int count,
                                                                                const std::string& run);

/// The ids of at most `limit` active products that share one currency. Throws std::runtime_error when the
/// catalogue has none.
[[nodiscard]] boost::asio::awaitable<std::vector<std::string>> choose_products(HttpConnection& connection,
                                                                               const Target& target,
                                                                               std::size_t limit);

/// Bodies for POST /orders: 1 to 5 different products each, always the same ones for the same seed.
[[nodiscard]] std::vector<std::string> make_order_bodies(const std::vector<std::string>& product_ids,
                                                         std::size_t count, std::uint64_t seed);

}  // namespace quittance::bench
