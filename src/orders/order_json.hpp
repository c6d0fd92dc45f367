// Orders in the words of the HTTP contract: reading requests, writing answers. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/principal.hpp"
#include "orders/order.hpp"
#include "orders/order_service.hpp"

namespace quittance::orders {

/// `POST /orders`. `malformed`, `invalid`, or `forbidden` for a price from somebody who may not set one.
[[nodiscard]] Result<CreateOrder> parse_create_order(std::string_view body, const Principal& principal);
/// `PATCH /orders/{id}/status`
[[nodiscard]] Result<OrderStatus> parse_status_change(std::string_view body);
/// `POST /orders/{id}/payment`; by whom is for the caller to fill in.
[[nodiscard]] Result<PayAgain> parse_payment(std::string_view body, OrderId id);
/// `POST /orders/{id}/refunds`; the body may be left out.
[[nodiscard]] Result<RefundOrder> parse_refund(std::string_view body, OrderId id);
/// `PUT /products/{id}`
[[nodiscard]] Result<Product> parse_product(std::string_view body, std::string id);

[[nodiscard]] std::string to_json(const OrderView& order);
[[nodiscard]] std::string to_json(const OrderPage& page);
[[nodiscard]] std::string to_json(const std::vector<HistoryEntry>& history);
[[nodiscard]] std::string to_json(const Product& product);
[[nodiscard]] std::string to_json(const ProductPage& page);

/// Where a page of products goes on: behind the product with this id.
[[nodiscard]] std::string to_product_cursor(std::string_view product_id);
/// The id in such a cursor; nullopt for what is none.
[[nodiscard]] std::optional<std::string> parse_product_cursor(std::string_view cursor);

/// The version in an entity tag: "3" in quotes.
[[nodiscard]] std::string to_etag(int version);
/// Products have no version: theirs is made from what they are.
[[nodiscard]] std::string to_etag(const Product& product);

}  // namespace quittance::orders
